"""GPUs in containers, with a fake NVML and a fake nvidia runtime: each container gets the GPUs of its load."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpumodels import catalog
from gpumodels.devices import allowlist
from gpumodels.engines import engine
from gpumodels.engines.docker import base_image
from gpumodels.errors import EngineUnavailable
from gpumodels.loading import load
from tests.fakes.nvml import GB, gpu
from tests.fakes.runtime import nvidia
from tests.integration.docker.second_daemon import SecondDaemon, second_daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker import DockerClient

    from tests.fakes.nvml import Machine
    from tests.integration.docker.conftest import MakeFolder
    from tests.integration.reports import Recorded

FIRST, SECOND = (f"GPU-{digit * 8}-0000-4000-8000-{digit:>012}" for digit in "01")

INSIDE = f"""
    import os

    class Model:
        def load(self, device: str) -> None:
            self.device = device

        def predict(self, value: dict) -> dict:
            shown = sorted(os.listdir({nvidia.SHOWN_IN!r})) if os.path.isdir({nvidia.SHOWN_IN!r}) else []
            settings = {{name: value for name, value in os.environ.items() if name.startswith(("CUDA_", "NVIDIA_"))}}
            return {{"device": self.device, "shown": shown, **settings}}
"""


@pytest.fixture(scope="module")
def other(client: DockerClient) -> Iterator[SecondDaemon]:
    with second_daemon(Path(client.info()["DockerRootDir"]).parent) as daemon:
        yield daemon


@pytest.fixture
def path(
    folder: MakeFolder,
    client: DockerClient,
    other: SecondDaemon,
    report: Recorded,
    build: Callable[..., Machine],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A model folder on a machine with two GPUs. The second daemon has the image of the model."""
    path = folder("gpus", INSIDE)
    tag = engine("docker").prepare(catalog.find(path), "cpu", report.progress)
    if tag not in [name for image in other.client.images.list() for name in image.tags]:
        other.copy(client, base_image.made(), tag)
    build(gpu("NVIDIA H100", 80 * GB), gpu("NVIDIA A100", 40 * GB))
    monkeypatch.setattr(allowlist, "_INITIAL", Path("/dev/null"))
    monkeypatch.setenv("DOCKER_HOST", other.address)
    return path


def test_a_container_gets_the_gpu_of_its_load_and_no_other(path: Path) -> None:
    with load(path, gpu=1, engine="docker") as model:
        assert model({}) == {
            "device": "cuda",
            "shown": [SECOND],
            "CUDA_VISIBLE_DEVICES": SECOND,
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "NVIDIA_VISIBLE_DEVICES": SECOND,
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        }


def test_a_container_gets_both_gpus_in_the_order_of_the_load(path: Path) -> None:
    with load(path, gpu="1,0", engine="docker") as model:
        answer = model({})
    assert answer["shown"] == [FIRST, SECOND]
    assert answer["CUDA_VISIBLE_DEVICES"] == f"{SECOND},{FIRST}"


def test_a_container_without_a_gpu_uses_the_plain_runtime_and_sees_none(path: Path, other: SecondDaemon) -> None:
    with load(path, gpu="none", engine="docker") as model:
        answer = model({})
        seen = other.client.api.inspect_container(model.record.engine_ref["container"])
    assert seen["HostConfig"]["Runtime"] == "runc"
    assert (answer["device"], answer["shown"], answer["NVIDIA_VISIBLE_DEVICES"]) == ("cpu", [], "void")


@pytest.fixture
def plain(other: SecondDaemon) -> Iterator[SecondDaemon]:
    """The second daemon with no other runtime than runc."""
    other.set_runtimes()
    yield other
    other.set_runtimes("nvidia")


def test_a_device_request_is_used_if_only_the_hook_is_installed(
    path: Path, plain: SecondDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{plain.tools}:{os.environ['PATH']}")
    before = plain.hooked
    with load(path, gpu=1, engine="docker") as model:
        answer = model({})
    assert plain.hooked == [*before, SECOND]
    assert (answer["NVIDIA_VISIBLE_DEVICES"], answer["CUDA_VISIBLE_DEVICES"]) == (SECOND, SECOND)


def test_the_error_of_a_docker_without_gpu_support_names_what_to_install(path: Path, plain: SecondDaemon) -> None:
    with pytest.raises(EngineUnavailable, match=r"cannot give a GPU to a container.*NVIDIA container toolkit"):
        load(path, gpu=0, engine="docker")


def test_auto_uses_a_process_if_docker_has_no_gpu_support(path: Path, plain: SecondDaemon, report: Recorded) -> None:
    with load(path, gpu=1, engine="auto", report=report) as model:
        answer = model({})
        assert model.record.engine == "process"
    assert answer["CUDA_VISIBLE_DEVICES"] == SECOND
    (notice,) = report.notices
    assert "runs in a local process. Docker here cannot give a GPU to a container" in notice
