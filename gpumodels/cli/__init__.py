"""The command line, `gpumodels`: in a terminal what the magics are in a notebook."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer

_FAILED = 1
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    A user's mistake is one line on stderr and status 1, a command line that makes no sense status 2, Ctrl-C 130.
    """
    try:
        import typer  # noqa: PLC0415  (who imports this package may not want a command line)

        from gpumodels.cli.app import command  # noqa: PLC0415
    except KeyboardInterrupt:
        return _INTERRUPTED
    try:
        status = command().main(argv, prog_name="gpumodels", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as mistake:
        sys.stderr.write(f"gpumodels: {_one_line(mistake)}\n")
        return mistake.exit_code
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return status or 0


def _one_line(mistake: typer.TyperException) -> str:
    """What is wrong, and which command's help tells more."""
    context = getattr(mistake, "ctx", None)
    path = context.command_path if context else "gpumodels"
    text = " ".join(mistake.format_message().split()).rstrip(".")
    return f"{text[:1].lower()}{text[1:]}. `{path} --help` shows how it is used."
