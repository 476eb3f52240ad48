"""Commands run as an ordinary user of this machine."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UID = GID = 47110


def as_user(
    command: Sequence[str], place: Path, *, groups: Sequence[int] = (), env: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Run `command` as a user without an account. The home directory is `place`/home.

    The command may read everything, because the interpreter and this checkout often lie in root's home. It may write,
    connect and signal only as that user.
    """
    home = place / "home"
    home.mkdir(exist_ok=True)
    os.chown(home, UID, GID)
    for parent in home.parents:  # pytest's directories are 0700
        if parent.stat().st_mode & 0o005 != 0o005 and parent.is_relative_to("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o055)
    own = {"HOME": str(home), "GPUMODELS_RUNTIME_DIR": str(home / "runtime"), "DOCKER_CONFIG": str(home)}
    return subprocess.run(
        [*switch(groups), *command],
        env={**env, **own},
        cwd=home,
        text=True,
        capture_output=True,
        check=True,
        timeout=120,
    )


def switch(groups: Sequence[int] = ()) -> list[str]:
    """Return the words to put before a command, so that it runs as that user; see `as_user` for its rights."""
    which = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
    may = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={UID}", f"--regid={GID}", *which, *may, "--"]
