"""Keeping a process tree together: parent-death signals, PID namespaces, and killing all descendants.

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
    """Ask the operating system to kill this process when the thread that forked it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def fork_on_leash() -> int:
    """Fork a child that is killed when the thread that forked it ends. Return its id, or 0 in the child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(read)  # the other end stays open as long as this process lives
        return pid
    os.close(write)
    die_with_parent()
    # The parent may have died before the call above. A dying process closes its files before the kernel signals its
    # children: so either the signal comes, or the pipe is at its end.
    if select.select([read], [], [], 0)[0]:
        os._exit(128 + signal.SIGKILL)
    os.close(read)
    return 0


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that none leaves the process tree."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def enter() -> None:
    """Continue as PID 1 of a new PID namespace. If the machine does not allow one, continue as before.

    The calling process stays outside. It passes signals on, and exits with the exit code of the inner process. If it is
    killed, the inner process is killed too, and all processes of a namespace end with its PID 1.
    """
    if _libc.unshare(_NAMESPACES) != 0 and not (_works_in_child(_unshare_as_user) and _unshare_as_user()):
        return
    inner = fork_on_leash()
    if inner:
        _wait_outside(inner)
    # Let /proc show this namespace. If the machine forbids the mount, the old /proc stays. Its entries of other
    # processes are wrong then, but /proc/self is right in both.
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


def _works_in_child(step: Callable[[], bool]) -> bool:
    """Return True if `step` works in a child process.

    Some systems grant a user namespace but forbid its use, and a process that has entered one cannot go back.
    """
    child = os.fork()
    if child == 0:
        os._exit(0 if step() else 1)
    return os.waitpid(child, 0)[1] == 0


def _wait_outside(inner: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: os.kill(inner, received))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _, status = os.waitpid(inner, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def kill_descendants() -> None:
    """Kill all descendants of this process with SIGKILL, and repeat until there is none.

    For PID 1 these are all processes of the namespace. Otherwise they are the tree below this process, which
    `adopt_orphans` keeps whole.
    """
    if os.getpid() == 1:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(-1, signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:  # wait, because a dying process may still write
                os.waitpid(-1, 0)
    # Children of a killed process become children of this one, and are killed in the next round.
    while [pid for pid in _children(os.getpid()) if _kill(pid)]:
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it is gone, or runs as another user through sudo
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
