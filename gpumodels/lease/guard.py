"""The guard: a small process beside each kernel that loads something, which sweeps when the kernel is dead.

The lease frees the GPU; the guard removes what a lease cannot: a container that was created and never started, a
paused one, directories, shared memory, what the process engine orphaned. It is detached, in a session of its own, so
that killing the kernel's whole process group misses it, and it waits out an engine that is down. A second one stands
behind it and takes over when it is killed; if both are, the next load sweeps.
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
#: Seconds after which a guard gives up, and leaves what is left to the next load. Daemons are down for hours at most.
_GIVE_UP_AFTER = 86400.0

_ensuring = threading.Lock()  # threads that load at once need one guard
#: Guards that run, by the process they guard and its runtime directory; on `sys`, so that reloading forgets none.
_guards: dict[tuple[int, Path], subprocess.Popen[bytes]] = sys.__dict__.setdefault("_gpumodels_guards", {})
#: All that was started detached and may still run.
_detached: list[subprocess.Popen[bytes]] = sys.__dict__.setdefault("_gpumodels_detached", [])


def ensure(module: str, runtime: RuntimeDirectory, package: Callable[[], Path] = lambda: _PACKAGE_ROOT) -> None:
    """Start this process's guard, `python -m MODULE`, unless it runs.

    `module` calls `watch`; `package` returns the directory to import it from. The guard inherits a descriptor of this
    process, so that a reused process id can never be taken for it.
    """
    key = (os.getpid(), runtime.path)
    with _ensuring:
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
    """Start `python -m MODULE ARGUMENTS` in a session of its own, where it outlives this process.

    It is imported from the directory `package`, and inherits `descriptors`.
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
    for ended in [each for each in _detached if each.poll() is not None]:  # which reaps them
        with suppress(ValueError):  # another thread was first
            _detached.remove(ended)
    _detached.append(started)
    return started


@atexit.register
def _disown() -> None:
    """They outlive this process on purpose; Popen would warn of that."""
    for process in _detached:
        process.returncode = 0


def watch(pidfd: int, sweep: Callable[[], bool]) -> None:
    """Wait for the death of the process behind `pidfd`, then call `sweep` until it says that all is swept."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    wait_for_death(pidfd)
    until_done(sweep)


def until_done(sweep: Callable[[], bool], within: float = _GIVE_UP_AFTER) -> None:
    """Call `sweep` with growing pauses until it returns True, for `within` seconds at most."""
    deadline, pause = time.monotonic() + within, 0.05
    while not _swept(sweep) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(1.3 * pause, 2.0)


def fork_second(*only_first: int) -> int:
    """Fork one that takes over when this process dies: there 0 is returned, then, and here its process id, at once.

    Who has done its work kills its second. This process must be without threads; the descriptors `only_first` are
    not the second's.
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


def _swept(sweep: Callable[[], bool]) -> bool:
    with suppress(Exception):  # whatever it is (a full disk, an engine gone mad), trying again is all a guard can do
        return sweep()
    return False
