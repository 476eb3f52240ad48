"""A daemon that does not see our files could never end an instance with its notebook, so it gets none."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from gpumodels.loading import load

if TYPE_CHECKING:
    from pathlib import Path

    from docker import DockerClient

#: Prints what came of a load, whose runtime directory lies on a filesystem that only this process sees.
LOAD = """
    import sys
    from gpumodels.errors import LeaseUnseen
    from gpumodels.loading import load
    try:
        with load("echo", gpu="none", engine=sys.argv[1]) as model:
            print(model.record.engine, model(7))
    except LeaseUnseen as error:
        print("LeaseUnseen:", error)
"""


@pytest.fixture(autouse=True)
def _image() -> None:
    """Built before the filesystems part, for that is not what is tested."""
    with load("echo", gpu="none", engine="docker"):
        pass


def load_apart(place: Path, engine: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Load in a mount namespace of its own, as a kernel in a container does, with a private filesystem at `place`."""
    place.mkdir(exist_ok=True)
    script = 'mount -t tmpfs private "$0" && exec "$@"'
    python = [sys.executable, "-c", before + textwrap.dedent(LOAD), engine]
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, place, *python],
        env={**os.environ, "GPUMODELS_RUNTIME_DIR": str(place / "runtime")},
        check=True,
        text=True,
        capture_output=True,
        timeout=120,
    )


def test_docker_that_does_not_see_our_files_is_refused(tmp_path: Path, client: DockerClient) -> None:
    said = load_apart(tmp_path / "private", "docker").stdout
    assert said.startswith("LeaseUnseen: Docker does not see this machine's files")
    assert "`--engine process`" in said
    here = f"gpumodels.runtime={tmp_path}/private/runtime"
    assert client.api.containers(all=True, filters={"label": here}) == []


def test_auto_then_uses_a_process(tmp_path: Path) -> None:
    done = load_apart(tmp_path / "private", "auto")
    assert done.stdout == "process 7\n"
    notices = [line for line in done.stderr.splitlines() if line.startswith("gpumodels: ")]
    assert len([line for line in notices if "Docker does not see this machine's files" in line]) == 1


def test_file_of_the_same_name_that_is_another_file_is_noticed_inside(tmp_path: Path, client: DockerClient) -> None:
    """The daemon finds the paths, but what it mounts is not what we hold: the leash itself must notice."""
    outside = tmp_path / "private" / "runtime" / f"echo-{'ab' * 5}"
    (outside / "socket").mkdir(parents=True)
    (outside / "lease").write_text("another nonce")
    os.chown(outside / "lease", 65532, 65532)
    same_names = "import secrets\nsecrets.token_hex = lambda count: 'ab' * count\n"
    said = load_apart(tmp_path / "private", "docker", before=same_names).stdout
    assert "LeaseUnseen: What was started for echo does not see this machine's files" in said
    here = f"gpumodels.runtime={tmp_path}/private/runtime"
    assert client.api.containers(all=True, filters={"label": here}) == []
