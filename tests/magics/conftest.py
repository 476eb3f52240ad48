"""Shells and kernels as users have them: an IPython shell in this process, and real kernels through jupyter_client."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client import KernelManager
from traitlets.config import Config

import gpumodels
from gpumodels.lease.processes import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.interactiveshell import ExecutionResult
    from jupyter_client import BlockingKernelClient

#: The fake engine runs the real model server with the interpreter at hand: nothing has to be built.
ECHO = "%load_model echo --engine fake --gpu none"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of the test's own; whatever the test did, nothing is left in the end."""
    place = tmp_path / "runtime"
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(place))
    yield place
    wait_until(lambda: not left(place), lambda: f"nothing is left, but there is {left(place)}")


def left(runtime: Path) -> list[str]:
    """What is left of instances of a runtime directory: directories, notes of loads, shared memory, processes."""
    if not runtime.exists():
        return []
    identity = (runtime / ".identity").read_text() if (runtime / ".identity").exists() else "none"
    directories = [path.name for path in runtime.iterdir() if path.is_dir()]
    notes = [path.name for path in runtime.glob(".*load-*") if _under_way(path)]
    memory = [str(path) for path in Path(f"/dev/shm/gpumodels-{os.getuid()}").glob(f"{identity}-*")]
    return directories + notes + memory + [f"process {pid}" for pid in _processes(identity)]


def _under_way(note: Path) -> bool:
    """Whether it tells of a load that goes on; of one that failed it stays."""
    try:
        return '"failed": ""' in note.read_text()
    except FileNotFoundError:  # it has just ended
        return False


def _processes(identity: str) -> list[int]:
    """Processes of instances whose shared memory bears this runtime directory's identity."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            environ = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if MARK.encode() in environ and f"/{identity}-".encode() in environ:
            found.append(int(entry.name))
    return found


def wait_until(true: Callable[[], Any], what: Callable[[], str], within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"not within {within} s: {what()}"
        time.sleep(0.02)


class Terminal(InteractiveShell):
    """A shell whose cells go into the history, as typed ones do."""

    def run_cell(self, code: str) -> ExecutionResult:
        return super().run_cell(code, store_history=True)


@pytest.fixture
def shell(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A terminal's IPython shell, with the extension loaded; what is left running is stopped."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    Terminal.clear_instance()
    made = Terminal.instance(config=Config(HistoryManager={"enabled": False}))
    made.run_cell("%load_ext gpumodels").raise_error()
    yield made
    gpumodels.stop(everything=True)
    made.run_line_magic("unload_ext", "gpumodels")
    made.restore_sys_module_state()
    Terminal.clear_instance()


@dataclass
class Ran:
    """One cell that a kernel ran, as a front end shows it: displays are the last of their updates."""

    status: str = ""
    error: str = ""
    traceback: list[str] = field(default_factory=list)
    stream: str = ""
    result: str = ""
    #: text/plain of each display in order, and of every state that one of them went through.
    displays: dict[str, str] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[str]:
        return list(self.displays.values())


class Kernel:
    """A real kernel and one front end of it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str, watch: Callable[[str], Any] = lambda _: None) -> Ran:
        """Run a cell; `watch` is told each text that a display shows."""
        ran = Ran()

        def hear(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind in ("display_data", "update_display_data"):
                text = content["data"]["text/plain"]
                ran.displays[content["transient"].get("display_id", len(ran.displays))] = text
                ran.states.append(text)
                watch(text)
            elif kind == "stream":
                ran.stream += content["text"]
            elif kind == "execute_result":
                ran.result = content["data"]["text/plain"]
            elif kind == "error":
                ran.traceback = content["traceback"]

        reply = self.client.execute_interactive(code, timeout=120, output_hook=hear)["content"]
        ran.status, ran.error = reply["status"], reply.get("ename", "")
        return ran

    def ok(self, code: str) -> Ran:
        ran = self.run(code)
        assert ran.status == "ok", (code, ran)
        return ran

    def complete(self, code: str) -> list[str]:
        """What Tab offers at the end of `code`, as the whole text would then be."""
        content = self.client.complete(code, reply=True, timeout=30)["content"]
        return [code[: content["cursor_start"]] + match for match in content["matches"]]

    def inspect(self, code: str) -> str:
        """What Shift-Tab shows at the end of `code`."""
        content = self.client.inspect(code, len(code), reply=True, timeout=30)["content"]
        return content["data"].get("text/plain", "")

    def interrupt(self) -> None:
        """As jupyter_client does it, but from any thread."""
        os.killpg(self.manager.provisioner.pgid, signal.SIGINT)


@pytest.fixture
def kernel(runtime: Path, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel in which the extension is loaded."""
    with started(tmp_path) as made:
        yield made


@contextmanager
def started(tmp_path: Path, **environment: str) -> Iterator[Kernel]:
    # Jupyter servers name the file so, and the kernel reads its id from there.
    file = tmp_path / f"kernel-{uuid4()}.json"
    # Not TCP: between choosing a port and using it, another test's kernel may take it. Socket paths must be short.
    sockets = tempfile.mkdtemp(prefix="k-")
    manager = KernelManager(
        kernel_name="python3", connection_file=str(file), transport="ipc", ip=str(Path(sockets) / "k")
    )
    settings = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), **environment}
    manager.start_kernel(env=settings, extra_arguments=["--log-level=ERROR"], cwd=str(tmp_path))
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        made = Kernel(manager, client)
        made.ok("%load_ext gpumodels")
        yield made
    finally:
        client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel()
        shutil.rmtree(sockets)
