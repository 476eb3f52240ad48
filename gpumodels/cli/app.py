"""The list of commands, in the order of the help, and the exit status after an error.

Each command imports its modules when it runs, because `gpumodels --help` and completion must be quick.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gpumodels.cli import catalog, gpus, holding, instances, upkeep
from gpumodels.errors import GpumodelsError

_INTERRUPTED = 130  # the status that shells use: 128 + SIGINT


class Commands(TyperGroup):
    """The group of all commands. An error in a command is one line on stderr, without a traceback."""

    def invoke(self, ctx: Any) -> object:
        """Run the command. After an error of this package, print it and exit with status 1 (130 for an interrupt)."""
        try:
            return super().invoke(ctx)
        except GpumodelsError as error:
            sys.stderr.write(f"gpumodels: {error}\n")
            raise typer.Exit(_INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1) from None


app = typer.Typer(
    cls=Commands,
    help="GPU models in containers, for notebooks.",
    rich_markup_mode=None,  # plain help: quick, and the same in a pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)


def _version(*, wanted: bool) -> None:
    if wanted:
        from gpumodels import __version__  # noqa: PLC0415

        typer.echo(f"gpumodels {__version__}")
        raise typer.Exit


@app.callback()
def _begin(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001  (its callback prints the version)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


for _command in (
    instances.ps,
    instances.stop,
    instances.logs,
    holding.run,
    holding.call,
    catalog.models,
    gpus.gpus,
    catalog.new,
    catalog.base_image,
    upkeep.reap,
    upkeep.prune,
    upkeep.doctor,
):
    app.command()(_command)


def command() -> Any:
    """Return the whole command line as one command object."""
    return typer.main.get_command(app)
