"""Reading `docker info` of daemons that these tests cannot start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gpumodels.engines.docker.daemon import Daemon, inspect

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


def inspected(**info: Any) -> Daemon:
    """Return the properties of a daemon with that `docker info`."""
    return inspect(SimpleNamespace(info=lambda: info))  # type: ignore[arg-type]


def test_a_plain_daemon_gives_no_gpus() -> None:
    assert inspected() == Daemon(rootless=False, remaps_users=False, gpu_access="none")
    assert inspected(SecurityOptions=None, Runtimes=None) == inspected()


def test_rootless_and_user_namespaces_are_recognised() -> None:
    assert inspected(SecurityOptions=["name=seccomp,profile=default", "name=rootless"]).rootless
    assert inspected(SecurityOptions=["name=seccomp,profile=default", "name=userns"]).remaps_users


def test_the_nvidia_runtime_is_recognised() -> None:
    assert inspected(Runtimes={"runc": {"path": "runc"}, "nvidia": {"path": "x"}}).gpu_access == "nvidia runtime"


def test_discovered_devices_are_preferred_to_the_runtime() -> None:
    found = [{"Source": "cdi", "ID": "nvidia.com/gpu=GPU-1"}]
    assert inspected(DiscoveredDevices=found, Runtimes={"nvidia": {}}).gpu_access == "cdi"


def test_discovered_devices_of_another_maker_do_not_count_as_gpus() -> None:
    assert inspected(DiscoveredDevices=[{"Source": "cdi", "ID": "vendor.com/nic=0"}]).gpu_access == "none"


def test_engines_before_28_3_are_recognised_by_their_specification_directories(tmp_path: Path) -> None:
    directories = [str(tmp_path / "missing"), str(tmp_path)]
    assert inspected(CDISpecDirs=directories).gpu_access == "none"
    (tmp_path / "other.json").write_text('{"kind": "vendor.com/nic"}')
    assert inspected(CDISpecDirs=directories).gpu_access == "none"
    (tmp_path / "nvidia.yaml").write_text("cdiVersion: 0.6.0\nkind: nvidia.com/gpu\n")
    assert inspected(CDISpecDirs=directories).gpu_access == "cdi"
