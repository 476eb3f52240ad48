"""The commands `ps`, `stop` and `logs`, for models that run."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gpumodels.lease import InstanceRecord

_BY = "the command line"


def _ids(incomplete: str) -> list[str]:
    """Return the ids and names of running instances that begin with `incomplete`, for completion in a shell."""
    from gpumodels.instances import running  # noqa: PLC0415

    words = {word for record in running() for word in (record.model, record.id)}
    return sorted(word for word in words if word.startswith(incomplete))


_WHICH = typer.Argument(
    metavar="ID|NAME", help="An instance's id, the beginning of one, or a model's name.", autocompletion=_ids
)


def ps(*, as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False) -> None:
    """List models that run, load or sleep, of all notebooks."""
    from gpumodels.cli.listing import HEADINGS, described, row  # noqa: PLC0415

    models = described()
    if as_json:
        typer.echo(json.dumps(models, indent=1))
    elif not models:
        typer.echo("No model is running.")
    else:
        from gpumodels.cli.tables import show  # noqa: PLC0415

        show(HEADINGS, map(row, models))


def stop(
    which: Annotated[list[str] | None, _WHICH] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every model of yours.")] = False,
) -> None:
    """Stop models and free their memory.

    Any notebook or program of yours may have loaded them. The next call of a stopped model raises an error
    with the reason.
    """
    if everything == bool(which):
        raise typer.BadParameter("give the id or name of a model, or --all", param_hint="ID|NAME")
    from gpumodels.cli.lookup import one  # noqa: PLC0415
    from gpumodels.instances import running  # noqa: PLC0415

    known = running()
    chosen = known if everything else list({(found := one(each, known)).id: found for each in which or ()}.values())
    if not chosen:
        typer.echo("nothing was running")
    failed = [record for record in chosen if not _stopped(record)]
    raise typer.Exit(1 if failed else 0)


def _stopped(record: InstanceRecord) -> bool:
    """Stop an instance and print the memory that it freed. Return False, and print why, if it cannot be stopped."""
    from gpumodels.errors import EngineError  # noqa: PLC0415
    from gpumodels.instances import stop_instance  # noqa: PLC0415
    from gpumodels.model import measure, memory_held  # noqa: PLC0415

    try:
        held = memory_held(record)
        stop_instance(record.id, by=_BY)
    except KeyError:
        typer.echo(f"{record.model} ({record.id}) had ended already")
    except EngineError as error:
        sys.stderr.write(f"gpumodels: {record.model} ({record.id}) was not stopped. {error}\n")
        return False
    else:
        freed = measure(record, held, time.time()).summary
        typer.echo(f"stopped {record.model} ({record.id}), {freed or record.device}")
    return True


def logs(
    which: Annotated[str, _WHICH],
    *,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Show new lines until the model ends, or until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=0, help="The number of earlier lines.")] = 40,
) -> None:
    """Show the output of a model server."""
    from gpumodels.cli.lookup import one  # noqa: PLC0415
    from gpumodels.instances import follow_log, instances_with_logs, last_lines  # noqa: PLC0415

    record = one(which, instances_with_logs())
    for line in follow_log(record, lines) if follow else last_lines(record, lines):
        typer.echo(line)
