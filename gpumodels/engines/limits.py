"""The limit of GPU memory (`--memory`), as environment variables of a model server.

The server applies the limit to PyTorch and TensorFlow; see `server.limits`. JAX reads it from its own variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpumodels.engines.base import LaunchPlan

#: The bytes of a GPU that CUDA and its libraries take, besides those that a framework allocates. They count towards the
#: limit too. If they are more than half of the limit, the framework still gets half.
_CUDA = 512 << 20

_JAX, _JAX_NEW = "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION"


def allowance(plan: LaunchPlan) -> int | None:
    """Return the bytes that the framework may allocate on each GPU; None for no limit.

    The limit of the instance is divided equally among its GPUs.
    """
    if plan.record.limit is None or not plan.devices:
        return None
    part = plan.record.limit // len(plan.devices)
    return max(part - _CUDA, part // 2)


def fraction(plan: LaunchPlan) -> float | None:
    """Return the allowance as a fraction of a GPU's memory; None without a limit, or if a GPU's size is not known.

    The fraction is that of the largest GPU, so that it exceeds the allowance on none of them.
    """
    allowed, sizes = allowance(plan), [device.memory_total for device in plan.devices]
    known = [size for size in sizes if size is not None]
    return None if allowed is None or len(known) < len(sizes) else min(1.0, allowed / max(known))


def settings(plan: LaunchPlan) -> dict[str, str]:
    """Return the environment variables that apply the limit in the model server; none if there is no limit.

    If `--env` or `model.toml` sets one of JAX's variables, those of JAX are left out, so that its value stays.
    """
    allowed, share = allowance(plan), fraction(plan)
    found = {} if allowed is None else {"GPUMODELS_MEMORY_LIMIT": str(allowed)}
    if share is not None and not {_JAX, _JAX_NEW} & {*plan.env, *dict(plan.spec.env)}:
        # All versions of JAX know the old name. New versions refuse both names together, so the new one is set to "".
        found |= {_JAX: f"{share:.6f}", _JAX_NEW: ""}
    return found
