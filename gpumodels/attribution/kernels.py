"""Recognition of Jupyter kernels by their command lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The connection file on the command line of a kernel of any language: `-f .../kernel-ID.json`,
#: `--connection-file=.../kernel-ID.json` or the path alone. Jupyter servers put the kernel's id into its name.
_NAMED = re.compile(r"(?:^|[/=])kernel-([^/=]+)\.json$")
#: Programs that start one kernel (nbclient, papermill) may give the connection file any name.
_ANY_FILE = re.compile(r"\.json$")
_PYTHON = ("ipykernel_launcher", "ipykernel")


def kernel_id(command: Sequence[str]) -> str | None:
    """Return the id of the kernel that a command starts; "" if the id is not known, None if it starts no kernel."""
    for word in command[1:]:
        if found := _NAMED.search(word):
            return found[1]
    if any(word in _PYTHON for word in command) and any(_ANY_FILE.search(word) for word in command):
        return ""
    return None
