"""The guard: a small process beside each kernel that loads a model. It sweeps when the kernel has died.

The end of a lease frees the GPU. The guard removes the rest: containers that are paused or were never started,
directories, shared memory, and processes that the process engine orphaned.

The guard runs detached, in a session of its own, so that a signal to the kernel's process group does not reach it.
While an engine is down, the guard tries again. A second process waits and takes over if the guard is killed. If both
are killed, the next load sweeps.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.lease.processes import wait_for_death

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.lease.runtime import RuntimeDirectory

_PACKAGE_ROOT = Path(__file__).parents[2]
#: Seconds after which a guard gives up and leaves the rest to the next load. Daemons are down for hours at most.
_GIVE_UP_AFTER = 86400.0

_start_lock = threading.Lock()  # threads that load at once share one guard
#: The running guards, by guarded process and runtime directory. The table lies on `sys`, so that it survives a reload
#: of the package.
_guards: dict[tuple[int, Path], subprocess.Popen[bytes]] = sys.__dict__.setdefault("_gpumodels_guards", {})
#: The processes that `detached` has started and that may still run.
_detached: list[subprocess.Popen[bytes]] = sys.__dict__.setdefault("_gpumodels_detached", [])


def ensure(module: str, runtime: RuntimeDirectory, package: Callable[[], Path] = lambda: _PACKAGE_ROOT) -> None:
    """Start this process's guard, `python -m MODULE`, unless it runs.

    The module must call `watch`. `package` returns the directory that the guard imports gpumodels from. The guard
    inherits a descriptor of this process (pidfd_open(2)), because the id of this process may be reused after its death.
    """
    key = (os.getpid(), runtime.path)
    with _start_lock:
        running = _guards.get(key)
        if running is None or running.poll() is not None:
            _guards[key] = _start(module, runtime, package())


def _start(module: str, runtime: RuntimeDirectory, package: Path) -> subprocess.Popen[bytes]:
    pidfd = os.pidfd_open(os.getpid())
    try:
        arguments = [str(pidfd), str(os.getpid()), runtime.identity]
        return detached(module, runtime, arguments, pidfd, package=package)
    finally:
        os.close(pidfd)


def detached(
    module: str, runtime: RuntimeDirectory, arguments: list[str], *descriptors: int, package: Path = _PACKAGE_ROOT
) -> subprocess.Popen[bytes]:
    """Start `python -m MODULE ARGUMENTS` in a new session, so that the new process goes on when this one ends.

    `package`, a directory that contains gpumodels, is put at the front of PYTHONPATH there. The new process inherits
    `descriptors`.
    """
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
    started = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": path, "GPUMODELS_RUNTIME_DIR": str(runtime.path)},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=descriptors,
        start_new_session=True,
    )
    for ended in [each for each in _detached if each.poll() is not None]:  # poll() reaps them
        with suppress(ValueError):  # another thread has removed it already
            _detached.remove(ended)
    _detached.append(started)
    return started


@atexit.register
def _disown() -> None:
    """Suppress Popen's warning about processes that still run. They outlive this process on purpose."""
    for process in _detached:
        process.returncode = 0


def watch(pidfd: int, sweep: Callable[[], bool]) -> None:
    """Wait for the death of the process behind `pidfd`, then call `sweep` until it returns True."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    wait_for_death(pidfd)
    until_done(sweep)


def until_done(sweep: Callable[[], bool], within: float = _GIVE_UP_AFTER) -> None:
    """Call `sweep` with growing pauses until it returns True, for `within` seconds at most."""
    deadline, pause = time.monotonic() + within, 0.05
    while not _try_sweep(sweep) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(1.3 * pause, 2.0)


def fork_second(*only_first: int) -> int:
    """Fork a second process that takes over when this one dies.

    In this process, return the id of the second at once. In the second, return 0 when this process has died. This
    process must kill the second once its own work is done.

    This process must have no threads. The second closes its copies of the descriptors `only_first`.
    """
    first = os.pidfd_open(os.getpid())
    second = os.fork()
    if second == 0:
        for descriptor in only_first:
            os.close(descriptor)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        wait_for_death(first)
    os.close(first)
    return second


def _try_sweep(sweep: Callable[[], bool]) -> bool:
    with suppress(Exception):  # such as a full disk or a broken engine: all that a guard can do is to try again
        return sweep()
    return False
