"""The command line: `gpumodels new NAME`, `gpumodels models` and `gpumodels base-image`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels import catalog
from gpumodels.catalog.document import shown
from gpumodels.errors import GpumodelsError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. A user's mistake is one line on stderr and status 1."""
    arguments = _parser().parse_args(argv)
    try:
        sys.stdout.write(arguments.command(arguments))
    except GpumodelsError as error:
        sys.stderr.write(f"gpumodels: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpumodels", description="GPU models in containers, for notebooks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="make a model folder that runs as it is")
    new.add_argument("name", metavar="NAME", help="what the model is called")
    new.add_argument("--dir", type=Path, default=Path(), help="where to make the folder (default: here)")
    new.set_defaults(command=_new)
    models = commands.add_parser("models", help="list the models that can be loaded by name")
    models.set_defaults(command=_models)
    base = commands.add_parser("base-image", help="make the image that models are built on, without a registry")
    base.set_defaults(command=_base_image)
    return parser


def _new(arguments: argparse.Namespace) -> str:
    folder = shown(catalog.new(arguments.name, arguments.dir))
    path = folder if folder.startswith("/") else f"./{folder}"
    return (
        f"{path} is ready; its model.py is yours to edit. In a notebook:\n\n"
        f"    %load_ext gpumodels\n    %load_model {path}\n"
    )


def _models(_: argparse.Namespace) -> str:
    found = catalog.names()
    width = max((len(name) for name, _ in found), default=0)
    return "".join(f"{name:{width}}  {summary}".rstrip() + "\n" for name, summary in found)


def _base_image(_: argparse.Namespace) -> str:
    from gpumodels.engines.docker import base_image  # noqa: PLC0415  the other commands need no Docker

    return f"{base_image.make(_show)} is ready; models are built on it from now on.\n"


def _show(text: str, _fraction: float | None) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
