"""GPU memory of a container: it belongs to the model that runs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gpumodels
from tests.fakes.nvml import GB, Machine, gpu

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import DockerClient


def test_memory_of_a_container_belongs_to_its_model(client: DockerClient, build: Callable[..., Machine]) -> None:
    """Use the cgroup of a container's processes, because they run as another user."""
    gpus = build(gpu())
    with gpumodels.load("echo", engine="docker", gpu="none") as model:
        container = client.containers.get(model.record.engine_ref["container"])
        stranger = client.containers.run(container.image, entrypoint=["sleep", "60"], user="47110", detach=True)
        try:
            stranger.reload()
            inside = [int(process[1]) for process in container.top()["Processes"]]
            gpus.hold(inside[-1], 3 * GB)
            gpus.hold(stranger.attrs["State"]["Pid"], 2 * GB)
            found = [(share.kind, share.instance, share.memory) for share in gpumodels.usage().devices[0].shares]
        finally:
            stranger.remove(force=True)
        assert found == [("model", model.record.id, 3 * GB), ("others", "", 2 * GB)]
