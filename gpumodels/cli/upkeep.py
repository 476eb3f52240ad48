"""The commands `reap`, `prune` and `doctor`, which clean up and check the machine."""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from gpumodels.presentation import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.cleanup import Prunable

_REAP_WITHIN = 15.0  # seconds to wait for model servers that are just ending


def reap() -> None:
    """Remove what crashed notebooks and programs left.

    This can be containers, processes, directories and shared memory. Every load removes them too.
    """
    from gpumodels.cleanup import reap as reap_now  # noqa: PLC0415

    found = reap_now(_REAP_WITHIN)
    for text in found.removed:
        typer.echo(f"removed {text}")
    for text in found.left:
        typer.echo(f"not removed yet: {text}")
    for text in found.troubles:
        sys.stderr.write(f"gpumodels: {text}\n")
    if not found.removed and not found.left:
        typer.echo("nothing was left over")
    raise typer.Exit(1 if found.left else 0)


class Kind(Enum):
    """A kind of thing that `prune` removes."""

    IMAGES = "images"
    ENVIRONMENTS = "environments"
    WEIGHTS = "weights"


def prune(
    kinds: Annotated[list[Kind] | None, typer.Argument(help="The kinds to look at.", show_default="all")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove images, environments and weights.

    Those of running models stay. A load builds or downloads again what it needs.
    """
    from gpumodels import cleanup  # noqa: PLC0415

    with cleanup.alone():
        found = cleanup.survey(kind.value for kind in kinds or Kind)
        _show(found.items)
        for text in found.troubles:
            sys.stderr.write(f"gpumodels: {text}\n")
        wanted = [item for item in found.items if not item.used_by]
        if not wanted:
            typer.echo("nothing to remove")
        elif not dry_run and (yes or _agreed(wanted)):
            _remove(wanted)


def _show(items: Sequence[Prunable]) -> None:
    from gpumodels.cli.tables import show  # noqa: PLC0415

    if items:
        show(
            ("kind", "name", "frees", ""),
            [
                (item.kind, item.name, size(item.size), f"stays: {item.used_by}" if item.used_by else "")
                for item in items
            ],
        )


def _agreed(wanted: Sequence[Prunable]) -> bool:
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "there is no terminal to ask for confirmation: give --yes, or --dry-run to see the list", param_hint="--yes"
        )
    return typer.confirm(f"Remove {len(wanted)} of these?")


def _remove(wanted: Sequence[Prunable]) -> None:
    from gpumodels import cleanup  # noqa: PLC0415

    done = cleanup.remove_unused(wanted)
    typer.echo(f"removed {done.removed}, {size(done.freed)} freed")
    for text in done.troubles:
        sys.stderr.write(f"gpumodels: {text}\n")
    if done.troubles:
        raise typer.Exit(1)


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False) -> None:
    """Check this machine, and show how to repair it.

    The exit status is 1 if a check fails. A warning means that models run, with restrictions.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from gpumodels.doctor import run_checks  # noqa: PLC0415

    findings = []
    for finding in run_checks():
        findings.append(finding)
        if not as_json:
            typer.echo(f"{finding.status:4}  {finding.check}: {finding.text}")
            if finding.mend:
                typer.echo(f"      {finding.mend}")
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    raise typer.Exit(1 if any(finding.status == "fail" for finding in findings) else 0)
