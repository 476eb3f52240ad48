"""Keeping a process tree together: parent-death signals, PID namespaces, and killing what is left.

Sources: prctl(2), pid_namespaces(7), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
_MS_PRIVATE, _MS_REC, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1 << 18, 1 << 14, 2, 4, 8


def die_with_parent() -> None:
    """Be killed when the thread that forked this process ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that none leaves the tree."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def enter() -> None:
    """Go on as PID 1 of a new PID namespace, where the machine allows it; else go on as before.

    The calling process stays outside: it hands on signals, and exits as the inner one does. If it is killed,
    so is the inner one, and with a PID 1 ends all of its namespace.
    """
    uid, gid = os.getuid(), os.getgid()
    flags = _CLONE_NEWPID | _CLONE_NEWNS
    if _libc.unshare(flags) != 0:
        if _libc.unshare(flags | _CLONE_NEWUSER) != 0:
            return
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    inner = os.fork()
    if inner:
        _stand_outside(inner)
    die_with_parent()
    # /proc should show this namespace. Where the machine forbids the mount, the old one stays: only views of
    # other processes are then wrong, and /proc/self is right in both.
    _libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    _libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)


def _stand_outside(inner: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: os.kill(inner, received))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
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
        return
    while children := _children(os.getpid()):
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # its children become ours, and are met in the next round
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [
            int(word)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for word in (task / "children").read_text().split()
        ]
    return []
