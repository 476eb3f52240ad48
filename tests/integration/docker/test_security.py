"""Rights of a container and the files that it sees, as the daemon and a model inside report them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpumodels.loading import load
from tests.integration.docker.users import GID, UID, as_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

    from tests.integration.docker.conftest import MakeFolder

#: A model that reports what its server can do and see.
INSIDE = """
    import os, pathlib, stat, subprocess

    class Model:
        def load(self, device: str) -> None:
            pass

        def predict(self, value: dict) -> dict:
            status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
            return {
                "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "pid": os.getpid(),
                "status": {key: text.strip() for key, text in status.items()},
                "network": sorted(os.listdir("/sys/class/net")),
                "mounts": [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()],
                "environment": dict(os.environ),
                "writable": [place for place in value["places"] if self._writes(place)],
                "runs_in_tmp": self._runs_in_tmp(),
                "ours": sorted(os.listdir("/run/gpumodels")),
                "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
                "weights": [(path.name, path.read_text()) for path in pathlib.Path(value["weights"]).iterdir()],
                "setuid": os.system("su -c id >/dev/null 2>&1 </dev/null") != 0,
            }

        def _writes(self, place):
            try:
                path = pathlib.Path(place, "made-by-the-model")
                path.write_text("x")
                path.unlink()
                return True
            except OSError:
                return False

        def _runs_in_tmp(self):
            script = pathlib.Path("/tmp/compiled")
            script.write_text("#!/bin/sh\\necho runs\\n")
            script.chmod(0o755)
            try:
                return subprocess.run([script], capture_output=True, text=True).stdout.strip() == "runs"
            finally:
                script.unlink()
"""
PLACES = ["/", "/etc", "/opt/folder", "/opt/gpumodels", "/run/gpumodels", "/run/gpumodels/socket", "/weights", "/tmp",
          "/dev/shm", "/dev", "/proc/sys/kernel", "/sys/fs/cgroup", "/var/tmp", "/root", "/run"]  # fmt: skip
REQUEST = {"places": PLACES, "weights": "/weights"}


def reporting_model(folder: MakeFolder) -> Path:
    """Make the folder of the model `INSIDE`, with a file of weights."""
    weights = b"seven"
    path = folder("reporting", INSIDE)
    (path / "model.toml").write_text(
        f'name = "{path.name}"\n[[weights]]\nfile = "w.bin"\nsource = "w.bin"\n'
        f'sha256 = "{hashlib.sha256(weights).hexdigest()}"\n'
    )
    (path / "w.bin").write_bytes(weights)
    return path


class Container:
    """A container, with two reports: `inside` by the model, `outside` by the daemon."""

    def __init__(self, inside: dict[str, Any], outside: dict[str, Any], instance: str) -> None:
        self.inside = inside
        self.outside = outside
        self.instance = instance


@pytest.fixture
def container(folder: MakeFolder, client: DockerClient) -> Iterator[Container]:
    umask = os.umask(0o077)  # the instance's files must not depend on it
    try:
        with load(reporting_model(folder), gpu="none", engine="docker", env={"MINE": "yes"}) as model:
            outside = client.api.inspect_container(model.record.engine_ref["container"])
            yield Container(model(REQUEST), outside, model.record.id)
    finally:
        os.umask(umask)


def test_the_daemon_confines_the_container(container: Container) -> None:
    host = container.outside["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["PidsLimit"] == 4096
    assert not host["Privileged"]
    assert not host["AutoRemove"]  # so that the exit code can be read
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert host["IpcMode"] == "private"
    assert not host["PortBindings"]
    assert not host["Binds"]
    assert {mount["Target"]: mount.get("ReadOnly", False) for mount in host["Mounts"]} == {
        "/run/gpumodels/lease": False, "/run/gpumodels/socket": False, "/dev/shm": False, "/weights": True,
    }  # fmt: skip


def test_the_server_has_no_privileges(container: Container) -> None:
    inside = container.inside
    assert (inside["uid"], inside["gid"]) == (65532, 65532)  # the tests run as root
    assert [inside["status"][name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")] == ["0" * 16] * 5
    assert inside["status"]["NoNewPrivs"] == "1"
    assert inside["status"]["Seccomp"] == "2"
    assert inside["setuid"]


def test_the_server_sees_no_network_and_no_other_processes(container: Container) -> None:
    assert container.inside["network"] == ["lo"]
    assert container.inside["processes"][0] == "1"
    assert len(container.inside["processes"]) <= 3  # leash, server, and the process that lists them


def test_the_server_can_write_only_to_its_sockets_shared_memory_and_tmp(container: Container) -> None:
    assert container.inside["writable"] == ["/run/gpumodels/socket", "/tmp", "/dev/shm"]
    assert container.inside["runs_in_tmp"]


def test_the_server_sees_only_its_lease_sockets_shared_memory_and_weights(container: Container, tmp_path: Path) -> None:
    assert container.inside["ours"] == ["lease", "socket"]
    assert container.inside["weights"] == [["w.bin", "seven"]]
    of_the_host = {fields[4] for fields in container.inside["mounts"] if fields[3] != "/" and fields[4] != "/"}
    made_by_docker = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
    shown = {path for path in of_the_host - made_by_docker if not path.startswith(("/proc", "/sys"))}
    assert shown == {"/run/gpumodels/lease", "/run/gpumodels/socket", "/dev/shm", "/weights"}


def test_the_environment_has_nothing_of_the_notebook(container: Container) -> None:
    environment = container.inside["environment"]
    assert environment["MINE"] == "yes"
    assert environment["HOME"] == "/tmp"
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    expected = {
        "MINE", "HOME", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "GPUMODELS_SHM", "GPUMODELS_WEIGHTS",
        "GPUMODELS_INSTANCE", "PYTHONPATH", "PYTHONUNBUFFERED", "PATH", "HOSTNAME", "PWD", "LC_CTYPE",
    }  # fmt: skip
    assert set(environment) <= expected


def test_labels_name_the_instance_user_runtime_directory_and_boot(container: Container, tmp_path: Path) -> None:
    found = container.outside["Config"]["Labels"]
    assert found["gpumodels.instance"] == container.instance
    assert found["gpumodels.uid"] == str(os.getuid())
    assert found["gpumodels.runtime"] == str(tmp_path / "runtime")
    assert found["gpumodels.boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_the_container_of_an_ordinary_user_runs_as_that_user_with_its_groups(
    folder: MakeFolder, tmp_path: Path
) -> None:
    path = reporting_model(folder)
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    code = f"""
        import json, pathlib
        from gpumodels.loading import load
        request = json.loads(pathlib.Path({str(tmp_path / "request.json")!r}).read_text())
        with load({str(path)!r}, gpu="none", engine="docker") as model:
            print(json.dumps(model(request)))
    """
    docker = Path("/var/run/docker.sock").stat().st_gid
    ran = as_user([sys.executable, "-c", textwrap.dedent(code)], tmp_path, groups=[docker, 4711])
    inside = json.loads(ran.stdout)
    assert (inside["uid"], inside["gid"]) == (UID, GID)
    assert set(inside["groups"]) == {GID, docker, 4711}
    assert inside["status"]["CapEff"] == "0" * 16
    assert inside["status"]["NoNewPrivs"] == "1"
    assert inside["writable"] == ["/run/gpumodels/socket", "/tmp", "/dev/shm"]
    assert inside["weights"] == [["w.bin", "seven"]]
    assert not [left.name for left in (tmp_path / "home" / "runtime").iterdir() if not left.name.startswith(".")]


def test_a_model_loads_also_without_shared_memory(
    folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gpumodels.lease.runtime.SHARED_MEMORY", tmp_path / "nothing" / "here")
    with load(reporting_model(folder), gpu="none", engine="docker") as model:
        assert model.record.shared_memory == ""
        assert "/dev/shm" not in {fields[3] for fields in model(REQUEST)["mounts"] if fields[3] != "/"}
