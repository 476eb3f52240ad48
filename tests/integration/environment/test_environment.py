"""Environments of the process engine: made once, completely or not at all, and separate from the notebook's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from gpumodels.engines import environment, payload
from gpumodels.errors import BuildFailed, EngineError, LoadCancelled
from gpumodels.instances import runtime_directory
from gpumodels.loading import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.reports import Recorded

#: A package that is installed quickly, and that no notebook's own environment has.
SMALL = ("uuid-utils==0.10.0",)


def entries(environments: Path) -> list[str]:
    """Return the names in the directory of environments, without locks."""
    return sorted(path.name for path in environments.iterdir() if path.suffix != ".lock")


def packages(python: Path) -> str:
    command = [python, "-I", "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def test_an_environment_is_made_once_with_its_requirements_and_those_of_the_server(
    environments: Path, report: Recorded
) -> None:
    python = environment.python_with(SMALL, "small", report.progress)
    assert {"uuid_utils", "grpcio", "numpy", "protobuf"} <= set(packages(python).replace("-", "_").split())
    assert report.progressed[0] == ("making an environment for small", None)
    assert report.mentions("installing for small:")
    report.progressed.clear()
    assert environment.python_with(SMALL, "small", report.progress) == python
    assert report.progressed == []
    assert len(entries(environments)) == 1


def test_requirements_in_another_order_make_no_second_environment(environments: Path, report: Recorded) -> None:
    first = environment.python_with(("numpy", *SMALL), "small", report.progress)
    assert environment.python_with((*SMALL, "numpy"), "small", report.progress) == first


def test_two_processes_at_once_make_one_environment(environments: Path, report: Recorded) -> None:
    code = f"""
        from gpumodels.engines import environment
        progress = []
        environment.python_with({SMALL!r}, "small", lambda text, fraction: progress.append(text))
        print("made" if progress else "found")
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(process.communicate()[0].strip() for process in both) == ["found", "made"]
    assert len(entries(environments)) == 1


def test_a_requirement_that_does_not_exist_shows_uvs_lines_and_leaves_nothing(
    environments: Path, report: Recorded
) -> None:
    with pytest.raises(
        BuildFailed, match=r"(?s)The environment of 'unmet' could not be made.*gpumodels-no-such-package"
    ):
        environment.python_with(("gpumodels-no-such-package==1.2.3",), "unmet", report.progress)
    assert entries(environments) == []


def test_uvs_lines_have_no_colours_even_if_the_kernel_asks_for_them(
    environments: Path, report: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(BuildFailed) as raised:
        environment.python_with(("gpumodels-no-such-package==1.2.3",), "unmet", report.progress)
    environment.python_with(SMALL, "small", report.progress)
    assert "\x1b" not in str(raised.value) + str(report.progressed)


def test_a_malformed_requirement_shows_uvs_lines(environments: Path, report: Recorded) -> None:
    with pytest.raises(BuildFailed, match=r"(?s)'garbled'.*not a requirement"):
        environment.python_with(("not a requirement!",), "garbled", report.progress)
    assert entries(environments) == []


def test_an_interrupt_ends_uv_and_leaves_nothing(
    environments: Path, report: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv, pid = slow_uv(tmp_path)
    monkeypatch.setattr(environment, "_uv", lambda: str(uv))
    began = threading.Event()

    def interrupt() -> None:
        began.wait(60)
        time.sleep(0.2)  # until the load waits for uv: it would notice an earlier signal only at uv's next line
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()

    class Interrupting(type(report)):
        def progress(self, text: str, fraction: float | None) -> None:
            if "slowly" in text:
                began.set()

    with pytest.raises(LoadCancelled, match="echo: cancelled, nothing left"):
        load("echo", gpu="none", engine="process", report=Interrupting())
    assert entries(environments) == []
    assert_ended(int(pid.read_text()))


def test_the_half_made_environment_of_a_killed_notebook_does_not_block_the_next(
    environments: Path, report: Recorded, tmp_path: Path
) -> None:
    uv, pid = slow_uv(tmp_path)
    code = f"""
        from gpumodels.engines import environment
        environment._uv = lambda: {str(uv)!r}
        environment.python_with({SMALL!r}, "small", lambda *_: None)
    """
    notebook = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    while notebook.poll() is None and not (pid.exists() and pid.read_text()):
        time.sleep(0.02)
    notebook.kill()
    notebook.wait()
    environment.python_with(SMALL, "small", report.progress)
    assert len(entries(environments)) == 1
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_fresh_makes_the_environment_again(environments: Path, report: Recorded) -> None:
    python = environment.python_with(SMALL, "small", report.progress)
    (python.parents[1] / "old").touch()
    assert environment.python_with(SMALL, "small", report.progress, fresh=True) == python
    assert "uuid" in packages(python)
    assert not (python.parents[1] / "old").exists()
    assert len(entries(environments)) == 1


def test_a_failed_fresh_build_keeps_the_old_environment(
    environments: Path, report: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = environment.python_with(SMALL, "small", report.progress)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "nothing-downloaded"))
    with pytest.raises(BuildFailed):
        environment.python_with(SMALL, "small", report.progress, fresh=True)
    assert "uuid" in packages(python)
    assert len(entries(environments)) == 1


INSIDE = """
    import importlib.util, os, sys

    class Model:
        def load(self, device: str) -> None:
            print("loaded from", __file__)

        def predict(self, value: dict) -> dict:
            names = ("docker", "IPython", "jupyter_server", "gpumodels.loading", "gpumodels.engines", "numpy")
            return {
                "found": [name for name in names if self._finds(name)],
                "environment": dict(os.environ),
                "path": sys.path,
                "cwd": os.getcwd(),
            }

        def _finds(self, name):
            try:
                return importlib.util.find_spec(name) is not None
            except ModuleNotFoundError:
                return False
"""


def test_nothing_of_the_notebook_leaks_into_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "telling"
    folder.mkdir()
    (folder / "model.toml").write_text('name = "telling"\n')
    (folder / "model.py").write_text(textwrap.dedent(INSIDE))
    (tmp_path / "notebooks-own").mkdir()
    (tmp_path / "notebooks-own" / "numpy.py").write_text("raise RuntimeError('the notebook\\'s')")
    of_the_kernel = {
        "PYTHONPATH": str(tmp_path / "notebooks-own"), "PYTHONSTARTUP": "/nonexistent", "MPLBACKEND": "module://inline",
        "VIRTUAL_ENV": "/nonexistent", "JPY_PARENT_PID": "1", "CUDA_VISIBLE_DEVICES": "0", "GPUMODELS_INDEX_URL": "",
        "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1",
    }  # fmt: skip
    for name, value in of_the_kernel.items():
        monkeypatch.setenv(name, value)
    with load(folder, gpu="none", engine="process", env={"MINE": "yes"}) as model:
        answer, directory = model({}), runtime_directory().directory(model.record.id).path
    assert answer["cwd"] == str(directory / "work")
    assert answer["found"] == ["numpy"]
    assert answer["environment"]["MINE"] == "yes"
    assert answer["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert not set(answer["environment"]) & (set(of_the_kernel) - {"PYTHONPATH", "CUDA_VISIBLE_DEVICES"})
    assert "notebooks-own" not in str(answer["path"]) + answer["environment"]["PYTHONPATH"]
    assert answer["environment"]["HOME"] == os.environ["HOME"]


def slow_uv(place: Path) -> tuple[Path, Path]:
    """Make a fake uv that makes environments but never ends installing.

    Return its path, and the file to which it writes its process id.
    """
    uv, pid = place / "uv", place / "uv.pid"
    uv.write_text(
        f'#!/bin/sh\n[ "$1" = venv ] && exec {find_uv_bin()} "$@"\necho $$ > {pid}\necho slowly\nexec sleep 300\n'
    )
    uv.chmod(0o755)
    return uv, pid


def assert_ended(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_deleted_cache_is_made_again_in_the_same_notebook(environments: Path) -> None:
    for _ in range(2):
        with load("echo", gpu="none", engine="process") as model:
            assert model(3) == 3
        shutil.rmtree(environments.parent)


@pytest.mark.parametrize("make", [lambda: environment.python_with((), "any", print), payload.directory])
def test_a_cache_that_cannot_be_written_is_a_clear_error(
    make: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/proc")
    with pytest.raises(
        EngineError, match=r"cannot be made in /proc/\.cache/gpumodels: .*set XDG_CACHE_HOME to another"
    ):
        make()


def test_the_error_of_a_full_disk_does_not_blame_the_requirements(
    environments: Path, report: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho 'error: failed to write: No space left on device (os error 28)'\nexit 2\n")
    uv.chmod(0o755)
    monkeypatch.setattr(environment, "_uv", lambda: str(uv))
    with pytest.raises(
        BuildFailed, match=r"(?s)'small'.*The disk is full: free .*XDG_CACHE_HOME.*os error 28"
    ) as raised:
        environment.python_with(SMALL, "small", report.progress)
    assert "Mend" not in str(raised.value)
    assert entries(environments) == []
