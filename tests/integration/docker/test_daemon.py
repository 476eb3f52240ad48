"""What is read from `docker info`, for daemons that these tests cannot start."""

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


def said(**info: Any) -> Daemon:
    return inspect(SimpleNamespace(info=lambda: info))  # type: ignore[arg-type]


def test_plain_daemon() -> None:
    assert said() == Daemon(rootless=False, remaps_users=False, gpu_access="none")
    assert said(SecurityOptions=None, Runtimes=None) == said()


def test_rootless_and_user_namespaces() -> None:
    assert said(SecurityOptions=["name=seccomp,profile=default", "name=rootless"]).rootless
    assert said(SecurityOptions=["name=seccomp,profile=default", "name=userns"]).remaps_users


def test_nvidia_runtime() -> None:
    assert said(Runtimes={"runc": {"path": "runc"}, "nvidia": {"path": "x"}}).gpu_access == "nvidia runtime"


def test_discovered_devices_are_preferred_to_the_runtime() -> None:
    found = [{"Source": "cdi", "ID": "nvidia.com/gpu=GPU-1"}]
    assert said(DiscoveredDevices=found, Runtimes={"nvidia": {}}).gpu_access == "cdi"


def test_discovered_devices_of_another_maker_are_no_gpus_of_ours() -> None:
    assert said(DiscoveredDevices=[{"Source": "cdi", "ID": "vendor.com/nic=0"}]).gpu_access == "none"


def test_specification_directories_of_engines_before_28_3(tmp_path: Path) -> None:
    directories = [str(tmp_path / "missing"), str(tmp_path)]
    assert said(CDISpecDirs=directories).gpu_access == "none"
    (tmp_path / "other.json").write_text('{"kind": "vendor.com/nic"}')
    assert said(CDISpecDirs=directories).gpu_access == "none"
    (tmp_path / "nvidia.yaml").write_text("cdiVersion: 0.6.0\nkind: nvidia.com/gpu\n")
    assert said(CDISpecDirs=directories).gpu_access == "cdi"
