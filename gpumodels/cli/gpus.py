"""The command `gpus`, which shows the GPUs and the holders of their memory."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpumodels.presentation import clock

if TYPE_CHECKING:
    from rich.text import Text

    from gpumodels.attribution import Usage

_EVERY = 1.0  # seconds


def gpus(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every second, until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON, for programs; with --watch, one line a second.")
    ] = False,
) -> None:
    """Show the GPUs, and the holders of their memory."""
    from gpumodels.cli.terminal import interruptible  # noqa: PLC0415
    from gpumodels.instances import usage  # noqa: PLC0415

    if not watch:
        _print(usage(), as_json=as_json)
        return
    with interruptible():
        try:
            _watch(as_json=as_json)
        except KeyboardInterrupt:
            return


def _print(usage: Usage, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_plain(usage), indent=1))
    elif sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415

        Console(highlight=False).print(_coloured(usage))
    else:
        from gpumodels.attribution import as_text  # noqa: PLC0415

        typer.echo(as_text(_plain(usage)))


def _watch(*, as_json: bool) -> None:
    """Show the GPUs every second: in a terminal as one picture, which is redrawn, in a pipe as lines with the time."""
    from gpumodels.attribution import as_text  # noqa: PLC0415
    from gpumodels.instances import usage  # noqa: PLC0415

    if sys.stdout.isatty() and not as_json:
        from rich.live import Live  # noqa: PLC0415

        with Live(_coloured(usage()), auto_refresh=False) as live:
            while True:
                time.sleep(_EVERY)
                live.update(_coloured(usage()), refresh=True)
    while True:
        values = _plain(usage())
        moment = clock(values["moment"], seconds=True)
        typer.echo(json.dumps(values) if as_json else f"{moment}\n{as_text(values)}\n")
        sys.stdout.flush()
        time.sleep(_EVERY)


def _plain(usage: Usage) -> dict[str, Any]:
    from gpumodels.attribution import as_json  # noqa: PLC0415

    return as_json(usage)


def _coloured(usage: Usage) -> Text:
    from rich.text import Text  # noqa: PLC0415

    from gpumodels.attribution import as_lines  # noqa: PLC0415

    each = (Text.assemble(*line, no_wrap=True, overflow="ellipsis") for line in as_lines(_plain(usage)))
    return Text("\n", no_wrap=True, overflow="ellipsis").join(each)
