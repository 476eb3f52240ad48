"""The command line and the environment variables of a model server. All engines of this machine use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import devices
from gpumodels.engines import limits
from gpumodels.lease import processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpumodels.engines.artifacts import ArtifactName
    from gpumodels.engines.base import LaunchPlan

    #: The paths of the artifacts as the instance sees them: inside a container, or on this machine.
    Paths = Mapping[ArtifactName, str]


def command(plan: LaunchPlan, paths: Paths, python: str, entry: str, leash: Sequence[str] = ()) -> list[str]:
    """Return the command line of the leash, which starts the model server.

    `python` is the path of the interpreter, as the instance sees it. `entry` is the `module:Class` to serve. `leash`
    holds more options of the leash.
    """
    scratch = ["--scratch", paths["shared memory"]] if "shared memory" in paths else []
    return [
        python, "-m", "gpumodels.lease.leash", *leash,
        "--lease", paths["lease"], "--nonce", plan.record.nonce, "--grace", str(plan.record.grace), *scratch, "--",
        python, "-m", "gpumodels.server",
        "--folder", paths["code"], "--entry", entry, "--name", plan.spec.name,
        "--device", "cuda" if plan.devices else "cpu", "--socket", paths["sockets"],
    ]  # fmt: skip


def environment(plan: LaunchPlan, paths: Paths, *, container: bool) -> dict[str, str]:
    """Return the environment variables of the model server.

    `container` is True if it runs in a container, where other variables choose the GPUs than in a local process.
    """
    return {
        **dict(plan.spec.env),
        **plan.env,
        # After the user's variables, because only `--gpu` chooses the GPUs of an instance.
        **devices.environment(plan.devices, container=container),
        "PYTHONPATH": paths["payload"],
        "GPUMODELS_SHM": paths.get("shared memory", ""),
        "GPUMODELS_WEIGHTS": paths.get("weights", ""),
        **({"GPUMODELS_SHM_PEERS": paths["peers"]} if "peers" in paths else {}),
        **({} if plan.record.idle is None else {"GPUMODELS_IDLE": str(plan.record.idle)}),
        **limits.settings(plan),
        **({"GPUMODELS_TOKEN": plan.token} if plan.token else {}),
        # Each process of the instance inherits the mark, so a process that NVML reports can be attributed to it.
        processes.INSTANCE_MARK: plan.record.id,
    }
