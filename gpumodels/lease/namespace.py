"""Keeping a process tree together: parent-death signals, PID namespaces, and killing what is left.

Sources: prctl(2), pid_namespaces(7), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
_NAMESPACES = _CLONE_NEWPID | _CLONE_NEWNS
_MS_PRIVATE, _MS_REC, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1 << 18, 1 << 14, 2, 4, 8


def die_with_parent() -> None:
    """Be killed when the thread that forked this process ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def fork_on_leash() -> int:
    """Fork a child that is killed when the thread that forked it ends; returns as os.fork does."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(read)  # and the other end stays open for as long as this process lives
        return pid
    os.close(write)
    die_with_parent()
    # A dying process closes its files before it tells its children: either the signal comes or this is at its end.
    if select.select([read], [], [], 0)[0]:
        os._exit(128 + signal.SIGKILL)
    os.close(read)
    return 0


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that none leaves the tree."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def enter() -> None:
    """Go on as PID 1 of a new PID namespace, where the machine allows it; else go on as before.

    The calling process stays outside: it hands on signals, and exits as the inner one does. If it is killed,
    so is the inner one, and with a PID 1 ends all of its namespace.
    """
    if _libc.unshare(_NAMESPACES) != 0 and not (_tried(_unshare_as_user) and _unshare_as_user()):
        return
    inner = fork_on_leash()
    if inner:
        _stand_outside(inner)
    # /proc should show this namespace. Where the machine forbids the mount, the old one stays: only views of
    # other processes are then wrong, and /proc/self is right in both.
    _libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    _libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)


def _unshare_as_user() -> bool:
    uid, gid = os.getuid(), os.getgid()
    if _libc.unshare(_NAMESPACES | _CLONE_NEWUSER) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError:
        return False
    return True


def _tried(step: Callable[[], bool]) -> bool:
    """Whether `step` works in a child: some systems grant a user namespace, forbid its use, and leave no way back."""
    child = os.fork()
    if child == 0:
        os._exit(0 if step() else 1)
    return os.waitpid(child, 0)[1] == 0


def _stand_outside(inner: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: os.kill(inner, received))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _, status = os.waitpid(inner, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def kill_descendants() -> None:
    """SIGKILL every descendant of this process, again and again until there is none.

    As PID 1 that is every process; elsewhere the tree under this one, which `adopt_orphans` keeps whole.
    """
    if os.getpid() == 1:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(-1, signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:  # a process that is dying may still write
                os.waitpid(-1, 0)
    while [pid for pid in _children(os.getpid()) if _killed(pid)]:  # theirs become ours, and are met in the next round
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # gone, or run as another user by way of sudo
        return False
    return True


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [
            int(word)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for word in (task / "children").read_text().split()
        ]
    return []
