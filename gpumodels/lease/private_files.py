"""Directories and files that only this user may use, on filesystems with reliable locks."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from gpumodels.errors import RuntimeDirectoryError

#: On these filesystems, POSIX locks may be local to one machine, late, or absent.
_NETWORK_FILESYSTEMS = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
)


def write_atomically(path: Path, text: str) -> None:
    """Replace the file atomically: a reader never sees half of it. Only this user may read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}")
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        temporary.write_text(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_private(path: Path) -> None:
    """Make the directory, or check that it is private to this user. Raises RuntimeDirectoryError if it is not."""
    try:
        path.mkdir(mode=0o700, parents=False, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise RuntimeDirectoryError(
            f"The directory {path} cannot be made: {error.strerror}. Set GPUMODELS_RUNTIME_DIR to a directory of yours."
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise RuntimeDirectoryError(
            f"{path} is not a directory that belongs to you, so it is not used. Remove it or set GPUMODELS_RUNTIME_DIR."
        )
    if found.st_mode & 0o077:
        raise RuntimeDirectoryError(f"{path} is open to other users. Close it with `chmod 700 {path}`.")


def refuse_network_filesystem(path: Path) -> None:
    """Raise RuntimeDirectoryError if `path` is on a network filesystem: locks cannot be relied on there."""
    kind = filesystem(path)
    if kind in _NETWORK_FILESYSTEMS:
        raise RuntimeDirectoryError(
            f"{path} lies on a network filesystem ({kind}), where locks cannot be relied on. "
            "Set GPUMODELS_RUNTIME_DIR to a local directory."
        )


def filesystem(path: Path) -> str:
    """Return the type of the filesystem of `path`, from /proc/self/mountinfo (proc(5)); "" if it is not known."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError), Path("/proc/self/mountinfo").open() as mounts:
        for line in mounts:
            left, _, right = line.partition(" - ")
            if left.split()[2] == wanted:
                return right.split()[0]
    return ""
