"""The command line and the environment of a model server, the same for every engine of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import devices
from gpumodels.lease import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpumodels.engines.artifacts import Artifact, ArtifactName
    from gpumodels.engines.base import LaunchPlan

    #: Returns the path at which the instance sees an artifact: inside a container, or on this machine.
    Locate = Callable[[Artifact], str]


def command(plan: LaunchPlan, locate: Locate, python: str, entry: str, leash: Sequence[str] = ()) -> list[str]:
    """Return the command line of the leash, which starts the model server.

    `python` is the interpreter that the instance sees, `entry` the `module:Class` to serve, `leash` more options of
    the leash.
    """

    def path(name: ArtifactName) -> str:
        return locate(plan.artifacts[name])

    scratch = ["--scratch", path("shared memory")] if "shared memory" in plan.artifacts else []
    return [
        python, "-m", "gpumodels.lease.leash", *leash,
        "--lease", path("lease"), "--nonce", plan.record.nonce, "--grace", str(plan.record.grace), *scratch, "--",
        python, "-m", "gpumodels.server",
        "--folder", path("code"), "--entry", entry, "--name", plan.spec.name,
        "--device", plan.server_device, "--socket", path("sockets"),
    ]  # fmt: skip


def environment(plan: LaunchPlan, locate: Locate, *, container: bool) -> dict[str, str]:
    """Return the environment settings of the model server; `container` says how GPUs are named."""

    def path(name: ArtifactName) -> str:
        return locate(plan.artifacts[name]) if name in plan.artifacts else ""

    return {
        **dict(plan.spec.env),
        **plan.env,
        # After the user's settings: `--gpu` alone says which GPUs an instance gets.
        **devices.environment(plan.devices, container=container),
        "PYTHONPATH": path("payload"),
        "GPUMODELS_SHM": path("shared memory"),
        "GPUMODELS_WEIGHTS": path("weights"),
        **({"GPUMODELS_SHM_PEERS": path("peers")} if "peers" in plan.artifacts else {}),
        **plan.settings(),
        # Names the instance of each process id that NVML reports.
        processes.MARK: plan.record.id,
    }
