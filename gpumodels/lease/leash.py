"""The leash: the first process of an instance. It starts the model server and ends it when nobody holds the lease.

    python -m gpumodels.lease.leash --lease FILE --nonce TEXT [--grace GRACE] [--scratch SCRATCH] [--log FILE]
        [--namespace] -- COMMAND...

As PID 1 of a container it also reaps orphans. In the process engine it is a session leader. With `--namespace` it makes
a PID namespace of its own, so that all processes that the server forks end with it. The leash imports nothing but the
standard library, because it must run before the model's imports begin.

GRACE is the seconds between SIGTERM and SIGKILL. SCRATCH is a directory that the leash empties at the end.

The exit code of the leash is that of the server (128 + signal if a signal killed it), UNSEEN if the lease file is not
the one that the starting process holds, LET_GO if the lease was released, or ENDED if the leash got a signal to end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from gpumodels.lease import locks, namespace
from gpumodels.lease.log import Log

#: The exit code if the leash does not see the lease file of the process that started it, or does not see its lock.
UNSEEN = 97
LET_GO = 98
ENDED = 99

_FREE = signal.SIGUSR1  # sent by the waiting thread to the main one when the lease is free
_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, _FREE)
#: The most seconds that the server has to end after the leash got SIGTERM. A Docker daemon that shuts down sends
#: SIGTERM, and waits for its containers.
_SIGTERM_PATIENCE = 0.8


class Leash:
    """A leash and its model server.

    The leash runs in the main thread, because the server gets its parent-death signal when the *thread* that forked it
    ends (prctl(2)).
    """

    def __init__(self, lease: Path, nonce: str, grace: float, scratch: Path | None, log: Path | None) -> None:
        self.grace = grace
        self.scratch = scratch
        self.log = Log(log) if log else None
        self.server = 0
        self.fd = self._handshake(lease, nonce)

    @staticmethod
    def _handshake(lease: Path, nonce: str) -> int:
        try:
            fd = os.open(lease, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            _exit(UNSEEN, f"the lease file cannot be opened: {error}")
        if os.read(fd, len(nonce) + 1).decode(errors="replace") != nonce:
            _exit(UNSEEN, "the lease file belongs to another instance")
        if locks.try_description_lock(fd, locks.LEASE):
            _exit(UNSEEN, "nobody holds the lease that can be seen from here")
        if not locks.try_description_lock(fd, locks.LEASH):
            _exit(UNSEEN, "another leash holds this lease file")
        return fd

    def run(self, command: list[str]) -> NoReturn:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.server = self._spawn(command)
        threading.Thread(target=self._wait_for_lease, daemon=True).start()
        while True:
            received = signal.sigwait(_WATCHED)
            if received == signal.SIGCHLD:
                status = self._reap()
                if status is not None:
                    self._finish(status)
            elif received == _FREE:
                _report(f"the lease is free (monotonic {time.monotonic():.6f}): ending")
                self._end(self.grace, LET_GO)
            else:
                self._end(self.grace if received == signal.SIGINT else min(self.grace, _SIGTERM_PATIENCE), ENDED)

    def _spawn(self, command: list[str]) -> int:
        pid = namespace.fork_on_leash()  # there is only one thread so far: the waiting thread starts later
        if pid:
            if self.log:
                self.log.copy()
            return pid
        try:
            if self.log:
                self.log.become_output()
            else:
                os.dup2(1, 2)  # Docker does not record the order of lines on two streams
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            os.execvp(command[0], command)  # noqa: S606  no shell is needed
        except OSError as error:
            _report(f"cannot run {command[0]}: {error}")
        finally:
            os._exit(127)

    def _wait_for_lease(self) -> None:
        try:
            locks.wait_description_lock(self.fd, locks.LEASE)
        finally:  # also after an error, because nobody could end the server of a lease that cannot be watched
            os.kill(os.getpid(), _FREE)

    def _reap(self) -> int | None:
        """Collect all dead children. Return the exit code of the server if it is among them, else None."""
        ended = None
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.server:
                    code = os.waitstatus_to_exitcode(status)
                    ended = code if code >= 0 else 128 - code
        return ended

    def _end(self, grace: float, code: int) -> NoReturn:
        with suppress(ProcessLookupError):
            os.kill(self.server, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while (left := deadline - time.monotonic()) > 0:
            received = signal.sigtimedwait((signal.SIGCHLD, signal.SIGTERM), left)
            if received is not None and received.si_signo == signal.SIGTERM:
                deadline = min(deadline, time.monotonic() + _SIGTERM_PATIENCE)
            elif received is not None and self._reap() is not None:
                break
        self._finish(code)

    def _finish(self, code: int) -> NoReturn:
        namespace.kill_descendants()
        if self.log:
            self.log.drain()
        if self.scratch is not None:
            # Files in shared memory occupy memory: free it now, not when a sweep removes the directory.
            with suppress(OSError):  # the directory may be gone
                for entry in self.scratch.iterdir():
                    with suppress(OSError):
                        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        _exit(code)


def _report(text: str) -> None:
    with suppress(OSError):  # such as a full disk, which must not prevent the end
        os.write(2, f"gpumodels leash: {text}\n".encode())


def _exit(code: int, why: str = "") -> NoReturn:
    if why:
        _report(why)
    os._exit(code)  # at once: the waiting thread may be inside fcntl


def main(arguments: list[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m gpumodels.lease.leash")
    parser.add_argument("--lease", type=Path, required=True)
    parser.add_argument("--nonce", required=True)
    parser.add_argument("--grace", type=float, default=1.0)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument(
        "--log", type=Path, help="file for the server's output; by default it goes where the leash's own goes"
    )
    parser.add_argument("--namespace", action="store_true")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    # Block signals before the namespace is made: its PID 1 never gets a signal that it neither blocked nor handled.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    if options.namespace:
        namespace.enter()
    namespace.adopt_orphans()
    Leash(options.lease, options.nonce, options.grace, options.scratch, options.log).run(options.command)


if __name__ == "__main__":
    main()
