"""Who asks: the kernel's id and its notebook's path, as far as they can be known from inside."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from gpumodels.lease.record import Owner


def current() -> Owner:
    """The owner that this process is."""
    return Owner(os.getpid(), _kernel_id(), _notebook())


def _shell() -> Any:
    ipython = sys.modules.get("IPython")  # whoever runs in a notebook has it imported
    return ipython.get_ipython() if ipython is not None else None


def _kernel_id() -> str:
    """From the name of the connection file, `kernel-ID.json`; "" outside Jupyter."""
    application = getattr(_shell(), "parent", None)
    name = Path(
        getattr(application, "connection_file", "")
        or getattr(getattr(application, "parent", None), "connection_file", "")
    ).name
    found = re.fullmatch(r"kernel-(.+)\.json", name)
    return found[1] if found else ""


def _notebook() -> str:
    """VS Code says it in a variable, the Jupyter server in the environment; else the working directory, or the
    program.
    """
    shell = _shell()
    if shell is None:
        return sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c", "-m") else ""
    return str(shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or _working_directory())


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""
