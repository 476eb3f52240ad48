"""The build context: it has the model's own files, and is sent in pieces."""

from __future__ import annotations

import tarfile
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from gpumodels import catalog
from gpumodels.engines import engine
from gpumodels.engines.docker import context
from gpumodels.errors import BuildFailed, ModelFolderError

if TYPE_CHECKING:
    from pathlib import Path

    from docker import DockerClient

    from tests.integration.docker.conftest import MakeFolder
    from tests.integration.reports import Recorded

BIG = 96 << 20


def test_a_big_folder_is_not_read_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(BIG)
    tracemalloc.start()
    try:
        with (
            context.packed({"big": tmp_path / "big", "small": b"x"}) as (archive, packed),
            tarfile.open(fileobj=archive) as tar,
        ):
            assert tar.getnames() == ["big", "small"]
        assert context.fingerprint({"small": b"x", "big": tmp_path / "big"}) == packed
        assert tracemalloc.get_traced_memory()[1] < BIG / 4
    finally:
        tracemalloc.stop()


def test_the_fingerprint_depends_on_names_and_contents() -> None:
    assert (
        len({context.fingerprint(files) for files in ({"a": b"x"}, {"b": b"x"}, {"a": b"y"}, {"a": b"", "x": b""})})
        == 4
    )


def test_the_tar_of_packed_files_has_no_name_in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    with context.packed({"a": b"x"}):
        assert list(directory.iterdir()) == []


def test_a_missing_temporary_directory_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with (
        pytest.raises(BuildFailed, match=r"cannot be packed: No .* Name another place by TMPDIR"),
        context.packed({"a": b"x"}),
    ):
        pass


def test_a_file_that_cannot_be_read_is_named(folder: MakeFolder, report: Recorded) -> None:
    path = folder("unreadable")
    (path / "odd").symlink_to("/proc/self/mem")  # even root cannot read this file from its beginning
    with pytest.raises(BuildFailed, match=r"unreadable/odd cannot be packed for the image: "):
        engine("docker").prepare(catalog.find(path), "cpu", report.progress)


def test_a_folder_that_was_removed_is_a_clear_error(folder: MakeFolder, report: Recorded) -> None:
    path = folder("gone")
    spec = catalog.find(path)
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(ModelFolderError, match="gone cannot be read: No such file or directory"):
        engine("docker").prepare(spec, "cpu", report.progress)


def test_version_control_and_environments_are_not_part_of_the_image(
    folder: MakeFolder, client: DockerClient, report: Recorded
) -> None:
    path = folder("lean")
    tag = engine("docker").prepare(catalog.find(path), "cpu", report.progress)
    for name in (".git/HEAD", ".venv/pyvenv.cfg", ".venv/big", "__pycache__/model.pyc", ".ipynb_checkpoints/model.py"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch()
    assert engine("docker").prepare(catalog.find(path), "cpu", report.progress) == tag
    listed = client.containers.run(tag, ["ls", "-A", "/opt/folder"], remove=True).decode().split()
    assert sorted(listed) == ["__pycache__", "model.py", "model.toml"]  # the build compiled model.py
