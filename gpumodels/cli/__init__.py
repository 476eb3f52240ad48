"""The command line, `gpumodels`. It does in a terminal what the magics do in a notebook."""

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
    """Run one command and return its exit status.

    The status is 1 after an error, 2 for a mistake in the command line, and 130 after Ctrl-C. An error is one line on
    stderr.
    """
    try:
        import typer  # noqa: PLC0415  (slow to import, and only commands need it)

        from gpumodels.cli.app import command  # noqa: PLC0415
    except KeyboardInterrupt:
        return _INTERRUPTED
    try:
        status = command().main(argv, prog_name="gpumodels", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as mistake:
        sys.stderr.write(f"gpumodels: {_one_line(mistake)}\n")
        return mistake.exit_code
    except BrokenPipeError:  # the reader of the pipe, `head` for example, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return status or 0


def _one_line(mistake: typer.TyperException) -> str:
    """Return one line with the mistake in a command line, and with the command that shows the help."""
    context = getattr(mistake, "ctx", None)
    path = context.command_path if context else "gpumodels"
    text = " ".join(mistake.format_message().split()).rstrip(".")
    return f"{text[:1].lower()}{text[1:]}. `{path} --help` shows how it is used."
