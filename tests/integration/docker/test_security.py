"""What a container may do and see: asked of the daemon, and of the model inside it."""

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

#: A model that tells what its server can do and see.
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
ASKED = {"places": PLACES, "weights": "/weights"}


def telling(folder: MakeFolder) -> Path:
    weights = b"seven"
    path = folder("telling", INSIDE)
    (path / "model.toml").write_text(
        f'name = "{path.name}"\n[[weights]]\nfile = "w.bin"\nsource = "w.bin"\n'
        f'sha256 = "{hashlib.sha256(weights).hexdigest()}"\n'
    )
    (path / "w.bin").write_bytes(weights)
    return path


class Telling:
    """What the daemon and the model say of one container."""

    def __init__(self, told: dict[str, Any], seen: dict[str, Any], instance: str) -> None:
        self.told = told
        self.seen = seen
        self.instance = instance


@pytest.fixture
def container(folder: MakeFolder, client: DockerClient) -> Iterator[Telling]:
    umask = os.umask(0o077)  # what is made for the instance must not depend on it
    try:
        with load(telling(folder), gpu="none", engine="docker", env={"MINE": "yes"}) as model:
            seen = client.api.inspect_container(model.record.engine_ref["container"])
            yield Telling(model(ASKED), seen, model.record.id)
    finally:
        os.umask(umask)


def test_daemon_was_told_to_confine_it(container: Telling) -> None:
    host = container.seen["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["PidsLimit"] == 4096
    assert not host["Privileged"]
    assert not host["AutoRemove"]  # the exit code must stay to be read
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert host["IpcMode"] == "private"
    assert not host["PortBindings"]
    assert not host["Binds"]
    assert {mount["Target"]: mount.get("ReadOnly", False) for mount in host["Mounts"]} == {
        "/run/gpumodels/lease": False, "/run/gpumodels/socket": False, "/dev/shm": False, "/weights": True,
    }  # fmt: skip


def test_server_has_no_privileges(container: Telling) -> None:
    told = container.told
    assert (told["uid"], told["gid"]) == (65532, 65532)  # the tests run as root
    assert [told["status"][name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")] == ["0" * 16] * 5
    assert told["status"]["NoNewPrivs"] == "1"
    assert told["status"]["Seccomp"] == "2"
    assert told["setuid"]


def test_server_sees_no_network_and_no_other_processes(container: Telling) -> None:
    assert container.told["network"] == ["lo"]
    assert container.told["processes"][0] == "1"
    assert len(container.told["processes"]) <= 3  # leash, server, and who lists them


def test_server_writes_only_its_socket_shared_memory_and_tmp(container: Telling) -> None:
    assert container.told["writable"] == ["/run/gpumodels/socket", "/tmp", "/dev/shm"]
    assert container.told["runs_in_tmp"]


def test_server_sees_its_lease_socket_memory_and_weights_and_nothing_of_the_host(
    container: Telling, tmp_path: Path
) -> None:
    assert container.told["ours"] == ["lease", "socket"]
    assert container.told["weights"] == [["w.bin", "seven"]]
    of_the_host = {fields[4] for fields in container.told["mounts"] if fields[3] != "/" and fields[4] != "/"}
    made_by_docker = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
    shown = {path for path in of_the_host - made_by_docker if not path.startswith(("/proc", "/sys"))}
    assert shown == {"/run/gpumodels/lease", "/run/gpumodels/socket", "/dev/shm", "/weights"}


def test_environment_is_what_we_gave_and_nothing_of_the_notebook(container: Telling) -> None:
    environment = container.told["environment"]
    assert environment["MINE"] == "yes"
    assert environment["HOME"] == "/tmp"
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    expected = {
        "MINE", "HOME", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "GPUMODELS_SHM", "GPUMODELS_WEIGHTS",
        "GPUMODELS_INSTANCE", "PYTHONPATH", "PYTHONUNBUFFERED", "PATH", "HOSTNAME", "PWD", "LC_CTYPE",
    }  # fmt: skip
    assert set(environment) <= expected


def test_labels_say_whose_it_is(container: Telling, tmp_path: Path) -> None:
    found = container.seen["Config"]["Labels"]
    assert found["gpumodels.instance"] == container.instance
    assert found["gpumodels.uid"] == str(os.getuid())
    assert found["gpumodels.runtime"] == str(tmp_path / "runtime")
    assert found["gpumodels.boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_ordinary_users_container_runs_as_that_user_with_its_groups(folder: MakeFolder, tmp_path: Path) -> None:
    path = telling(folder)
    (tmp_path / "asked.json").write_text(json.dumps(ASKED))
    code = f"""
        import json, pathlib
        from gpumodels.loading import load
        asked = json.loads(pathlib.Path({str(tmp_path / "asked.json")!r}).read_text())
        with load({str(path)!r}, gpu="none", engine="docker") as model:
            print(json.dumps(model(asked)))
    """
    docker = Path("/var/run/docker.sock").stat().st_gid
    said = as_user([sys.executable, "-c", textwrap.dedent(code)], tmp_path, groups=[docker, 4711])
    told = json.loads(said.stdout)
    assert (told["uid"], told["gid"]) == (UID, GID)
    assert set(told["groups"]) == {GID, docker, 4711}
    assert told["status"]["CapEff"] == "0" * 16
    assert told["status"]["NoNewPrivs"] == "1"
    assert told["writable"] == ["/run/gpumodels/socket", "/tmp", "/dev/shm"]
    assert told["weights"] == [["w.bin", "seven"]]
    assert not [left.name for left in (tmp_path / "home" / "runtime").iterdir() if not left.name.startswith(".")]


def test_model_without_shared_memory_is_loaded_all_the_same(
    folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gpumodels.lease.runtime.SHARED_MEMORY", tmp_path / "nothing" / "here")
    with load(telling(folder), gpu="none", engine="docker") as model:
        assert model.record.shared_memory == ""
        assert "/dev/shm" not in {fields[3] for fields in model(ASKED)["mounts"] if fields[3] != "/"}
