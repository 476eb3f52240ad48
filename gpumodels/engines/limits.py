"""What a model server is told of the GPU memory that its model may use (`--memory`), in the form each framework knows.

PyTorch and TensorFlow are told inside the server, see `server.limits`; JAX reads its environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpumodels.engines.base import LaunchPlan

#: Bytes of a GPU that CUDA and its libraries take beside what a framework allocates, and that count as well; where so
#: much would be more than half of what the model may use, half is left to the framework.
_CUDA = 512 << 20

_JAX, _JAX_NEW = "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION"


def allowance(plan: LaunchPlan) -> int | None:
    """Bytes that the framework may allocate on each of the GPUs, which have equal parts; None for no limit."""
    if plan.record.limit is None or not plan.devices:
        return None
    part = plan.record.limit // len(plan.devices)
    return max(part - _CUDA, part // 2)


def fraction(plan: LaunchPlan) -> float | None:
    """The same as a share of a GPU's memory, of the smallest where they differ; None where its size is not known."""
    allowed, sizes = allowance(plan), [device.memory_total for device in plan.devices]
    known = [size for size in sizes if size is not None]
    return None if allowed is None or len(known) < len(sizes) else min(1.0, allowed / max(known))


def settings(plan: LaunchPlan) -> dict[str, str]:
    """Environment settings of the model server; what the user or the model's author says to JAX himself stands."""
    allowed, share = allowance(plan), fraction(plan)
    told = {} if allowed is None else {"GPUMODELS_MEMORY_LIMIT": str(allowed)}
    if share is not None and not {_JAX, _JAX_NEW} & {*plan.env, *dict(plan.spec.env)}:
        told |= {_JAX: f"{share:.6f}", _JAX_NEW: ""}  # the old name, which all know; new ones refuse both
    return told
