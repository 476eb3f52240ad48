"""The commands `new`, `models` and `base-image`, for models that need not run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def new(
    name: Annotated[str, typer.Argument(help="The name of the model.")],
    parent: Annotated[
        Path, typer.Option("--dir", help="The directory to make the folder in.", show_default="here")
    ] = Path(),
) -> None:
    """Make a model folder that can be loaded without a change."""
    from gpumodels import catalog  # noqa: PLC0415
    from gpumodels.document import shown  # noqa: PLC0415

    folder = shown(catalog.new(name, parent))
    path = folder if folder.startswith("/") else f"./{folder}"
    typer.echo(
        f"{path} is ready; its model.py is yours to edit. In a notebook:\n\n"
        f"    %load_ext gpumodels\n    %load_model {path}"
    )


def models() -> None:
    """List the models that can be loaded by name."""
    from gpumodels import catalog  # noqa: PLC0415
    from gpumodels.cli.tables import show  # noqa: PLC0415

    show(("name", "summary"), catalog.names())


def base_image() -> None:
    """Make the image that models are built on, without a registry."""
    from gpumodels.engines.docker import base_image as image  # noqa: PLC0415  (the other commands need no Docker)

    typer.echo(f"{image.make(_say)} is ready; models are built on it from now on.")


def _say(text: str, _fraction: float | None) -> None:
    sys.stderr.write(f"{text}\n")
