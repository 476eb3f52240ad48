"""Daemons that do not see this machine's files: the load is refused, because they could not watch the lease."""

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

#: Loads echo and prints the outcome. Only this process sees the filesystem of the runtime directory.
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
    """Build the image first, so that no test waits for a build."""
    with load("echo", gpu="none", engine="docker"):
        pass


def load_in_namespace(place: Path, engine: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Load in a new mount namespace with a private filesystem at `place`, as a kernel in a container does."""
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


def test_a_docker_that_does_not_see_the_files_is_refused(tmp_path: Path, client: DockerClient) -> None:
    output = load_in_namespace(tmp_path / "private", "docker").stdout
    assert output.startswith("LeaseUnseen: Docker does not see this machine's files")
    assert "`--engine process`" in output
    here = f"gpumodels.runtime={tmp_path}/private/runtime"
    assert client.api.containers(all=True, filters={"label": here}) == []


def test_auto_uses_a_process_if_docker_does_not_see_the_files(tmp_path: Path) -> None:
    done = load_in_namespace(tmp_path / "private", "auto")
    assert done.stdout == "process 7\n"
    notices = [line for line in done.stderr.splitlines() if line.startswith("gpumodels: ")]
    assert len([line for line in notices if "Docker does not see this machine's files" in line]) == 1


def test_the_leash_notices_another_file_with_the_name_of_its_lease(tmp_path: Path, client: DockerClient) -> None:
    """Prepare paths that the daemon finds, but with files other than those of the load. The leash must notice."""
    outside = tmp_path / "private" / "runtime" / f"echo-{'ab' * 5}"
    (outside / "socket").mkdir(parents=True)
    (outside / "lease").write_text("another nonce")
    os.chown(outside / "lease", 65532, 65532)
    same_names = "import secrets\nsecrets.token_hex = lambda count: 'ab' * count\n"
    output = load_in_namespace(tmp_path / "private", "docker", before=same_names).stdout
    assert "LeaseUnseen: What was started for echo does not see this machine's files" in output
    here = f"gpumodels.runtime={tmp_path}/private/runtime"
    assert client.api.containers(all=True, filters={"label": here}) == []
