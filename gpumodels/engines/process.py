"""The process engine, for machines without Docker. It runs the model server in a local process."""

from __future__ import annotations

import atexit
import itertools
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gpumodels.engines import environment, following, launch
from gpumodels.engines.base import Ending, Engine, Instance, LaunchPlan
from gpumodels.engines.local import LocalInstance
from gpumodels.errors import EngineUnavailable
from gpumodels.lease import older, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gpumodels.catalog import Flavour, ModelSpec, Progress
    from gpumodels.lease import InstanceDirectory, InstanceRecord

#: Prefixes of environment variables for the notebook's interpreter and display. The model server must not inherit them.
_NOT_INHERITED = (
    "PYTHON",
    "VIRTUAL_ENV",
    "CONDA_",
    "JPY_",
    "IPY",
    "MPLBACKEND",
    "CUDA_",
    "NVIDIA_",
    "GPUMODELS_",
    *environment.COLOURING,
)
#: Environment variables of every model server in a local process.
_ALWAYS_SET = {"PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"}
#: The seconds that a leash may need in addition to the grace, on a busy machine.
_MARGIN = 2.0

#: The leashes that this process started, by instance id. They are child processes, so this process must wait for them.
_children: dict[str, subprocess.Popen[bytes]] = sys.__dict__.setdefault("_gpumodels_leashes", {})


@atexit.register
def _disown() -> None:
    """Prevent Popen's warning that a child still runs. Python calls this function when this process exits.

    The leashes still run then. They end just afterwards, when the operating system has released the lock of the lease.
    """
    for child in _children.values():
        child.returncode = 0


class ProcessInstance(LocalInstance):
    """A leash and its model server, in their own session and, if the machine allows it, their own PID namespace."""

    def __init__(self, record: InstanceRecord, directory: InstanceDirectory) -> None:
        super().__init__(record, directory)
        self.pid: int = record.engine_ref.get("pid", 0)
        self.started: int = record.engine_ref.get("started", 0)
        self._log = directory.log

    def ending(self) -> Ending | None:
        child = _children.get(self.id)
        if child is not None:
            code = child.poll()
            return None if code is None else Ending(code)
        return None if processes.same_process(self.pid, self.started) else Ending(None)

    def logs(self, lines: int = 40) -> str:
        return "\n".join(self._last(lines, _size(self._log)).decode(errors="replace").splitlines())

    def follow(self, lines: int = 40) -> Iterator[str]:
        end = _size(self._log)
        added = following.chunks(self._log, end, lambda: self.ending() is not None)
        return following.lines(itertools.chain([self._last(lines, end)], added))

    def _last(self, lines: int, end: int) -> bytes:
        """Return the last `lines` lines before byte `end` of the log.

        If the log is too short, begin in the older log, which was renamed when it was full.
        """
        wanted = 400 * lines  # bytes, for long lines
        found = _tail(self._log, wanted, end)
        if len(found) < wanted:
            before = older(self._log)
            found = _tail(before, wanted - len(found), _size(before)) + found
        return b"".join(found.splitlines(keepends=True)[-lines:])

    def stop(self, grace: float) -> None:
        with suppress(OSError):
            pidfd = os.pidfd_open(self.pid)
            try:
                if self.ending() is None:
                    signal.pidfd_send_signal(pidfd, signal.SIGINT)
                    processes.wait_for_death(pidfd, grace + _MARGIN)
            finally:
                os.close(pidfd)
        self.remove()

    def remove(self) -> None:
        processes.kill_instance(self.id)
        child = _children.pop(self.id, None)
        if child is not None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(_MARGIN)


class ProcessEngine(Engine):
    """An engine that runs the model server in a local process, in an environment with the model's requirements."""

    name = "process"
    place = "a local process"

    def check(self) -> None:
        if os.name != "posix" or not hasattr(os, "pidfd_open"):
            raise EngineUnavailable("The process engine needs Linux 5.3 or newer; run gpumodels there.")

    def prepare(self, spec: ModelSpec, flavour: Flavour, progress: Progress, *, fresh: bool = False) -> str:
        return str(environment.python_with(spec.requirements(flavour), spec.name, progress, fresh=fresh))

    def start(self, plan: LaunchPlan, note: Callable[[dict[str, Any]], None]) -> Instance:
        # A directory of its own, so that files that the model writes cannot overwrite instance.json and the like.
        work = plan.directory.path / "work"
        work.mkdir(mode=0o700)
        entry, inherited = self.entry(plan.spec), _inherited()
        paths, leash = plan.paths_here, ["--namespace", "--log", str(plan.directory.log)]
        with plan.directory.log.open("ab") as log:
            child = subprocess.Popen(
                launch.command(plan, paths, plan.prepared, entry, leash),
                env={**inherited, **launch.environment(plan, paths, container=False), **_ALWAYS_SET},
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _children[plan.record.id] = child
        reference = {"pid": child.pid, "started": processes.start_time(child.pid)}
        note(reference)
        return ProcessInstance(replace(plan.record, engine_ref=reference), plan.directory)

    def entry(self, spec: ModelSpec) -> str:
        """Return the `module:Class` that the model server serves."""
        return spec.entry

    def attach(self, record: InstanceRecord, directory: InstanceDirectory) -> Instance:
        return ProcessInstance(record, directory)

    def sweep(self, runtime: Path, identity: str) -> list[str]:  # noqa: ARG002
        """Return an empty list. A leash ends its processes by itself, even if the directory of the instance is gone."""
        return []


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _tail(file: Path, size: int, end: int) -> bytes:
    with suppress(OSError), file.open("rb") as opened:
        start = max(0, end - size)
        opened.seek(start)
        return opened.read(end - start)
    return b""


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
