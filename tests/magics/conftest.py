"""Fixtures for an IPython shell in this process, and for real kernels that are started by jupyter_client."""

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
from gpumodels.lease.processes import INSTANCE_MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.interactiveshell import ExecutionResult
    from jupyter_client import BlockingKernelClient

#: The fake engine runs the real model server with this Python, so nothing has to be built.
ECHO = "%load_model echo --engine fake --gpu none"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The runtime directory of the test. After the test it must be empty, and its instances must have ended."""
    path = tmp_path / "runtime"
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(path))
    yield path
    wait_until(lambda: not left(path), lambda: f"nothing is left, but there is {left(path)}")


def left(runtime: Path) -> list[str]:
    """Return the remains of instances of a runtime directory: directories, notes, shared memory, processes."""
    if not runtime.exists():
        return []
    identity = (runtime / ".identity").read_text() if (runtime / ".identity").exists() else "none"
    directories = [path.name for path in runtime.iterdir() if path.is_dir()]
    notes = [path.name for path in runtime.glob(".*load-*") if _is_of_load_in_flight(path)]
    memory = [str(path) for path in Path(f"/dev/shm/gpumodels-{os.getuid()}").glob(f"{identity}-*")]
    return directories + notes + memory + [f"process {pid}" for pid in _processes(identity)]


def _is_of_load_in_flight(note: Path) -> bool:
    """Return True for the note of a load in flight, False for the note of a failed load, which stays."""
    try:
        return '"failed": ""' in note.read_text()
    except FileNotFoundError:  # the load has just ended
        return False


def _processes(identity: str) -> list[int]:
    """Return the processes of instances that use shared memory of the runtime directory with that identity."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            environ = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if INSTANCE_MARK.encode() in environ and f"/{identity}-".encode() in environ:
            found.append(int(entry.name))
    return found


def wait_until(true: Callable[[], Any], what: Callable[[], str], within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"not within {within} s: {what()}"
        time.sleep(0.02)


class Terminal(InteractiveShell):
    """A shell that stores its cells in the history, as if they were typed."""

    def run_cell(self, code: str) -> ExecutionResult:
        return super().run_cell(code, store_history=True)


@pytest.fixture
def shell(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """An IPython shell of a terminal with the extension loaded. Models that still run at the end are stopped."""
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
    """The outputs of a cell that a kernel has run, as a front end shows them, with the last update of each display."""

    status: str = ""
    error: str = ""
    traceback: list[str] = field(default_factory=list)
    stream: str = ""
    result: str = ""
    #: The text/plain of each display, in order.
    displays: dict[str, str] = field(default_factory=dict)
    #: The text/plain of all displays and all their updates, in order.
    states: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[str]:
        return list(self.displays.values())


class Kernel:
    """A real kernel with one front end."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str, watch: Callable[[str], Any] = lambda _: None) -> Ran:
        """Run a cell. `watch` is called with each text that a display shows."""
        ran = Ran()

        def record(message: dict[str, Any]) -> None:
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

        reply = self.client.execute_interactive(code, timeout=120, output_hook=record)["content"]
        ran.status, ran.error = reply["status"], reply.get("ename", "")
        return ran

    def ok(self, code: str) -> Ran:
        ran = self.run(code)
        assert ran.status == "ok", (code, ran)
        return ran

    def complete(self, code: str) -> list[str]:
        """Return the completions that Tab offers at the end of `code`, each as the whole text."""
        content = self.client.complete(code, reply=True, timeout=30)["content"]
        return [code[: content["cursor_start"]] + match for match in content["matches"]]

    def inspect(self, code: str) -> str:
        """Return the text that Shift-Tab shows at the end of `code`."""
        content = self.client.inspect(code, len(code), reply=True, timeout=30)["content"]
        return content["data"].get("text/plain", "")

    def interrupt(self) -> None:
        """Send SIGINT to the kernel's process group, as jupyter_client does, but from any thread."""
        os.killpg(self.manager.provisioner.pgid, signal.SIGINT)


@pytest.fixture
def kernel(runtime: Path, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel with the extension loaded."""
    with started(tmp_path) as made:
        yield made


@contextmanager
def started(tmp_path: Path, **environment: str) -> Iterator[Kernel]:
    # Jupyter servers give the file such a name, and the kernel reads its id from the name.
    file = tmp_path / f"kernel-{uuid4()}.json"
    # Sockets, not TCP: another test's kernel may take a port between its choice and its use. Paths must be short.
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
