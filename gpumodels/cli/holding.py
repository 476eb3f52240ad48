"""`run` and `call`: a model that this very command holds."""

from __future__ import annotations

import sys
import time
from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gpumodels.model import Model

_LOOKED_EVERY = 0.2  # seconds


def _names(incomplete: str) -> list[str]:
    """What a shell may complete a model's name to."""
    from gpumodels import catalog  # noqa: PLC0415

    return [name for name, _ in catalog.names() if name.startswith(incomplete)]


_MODEL = typer.Argument(metavar="NAME|PATH", help="A model of the catalog, or a model folder.", autocompletion=_names)
_GPU = typer.Option(metavar="GPU", help="0, 0,1, the start of a UUID, auto, auto:2 or none.")
_ENGINE = typer.Option(metavar="ENGINE", help="docker, process or auto; by default as the settings say.")
_TIMEOUT = typer.Option(metavar="TIME", help="90s, 10m: for starting and loading; by default as the settings say.")
_ENV = typer.Option("--env", metavar="NAME=VALUE", help="Set it for the model server; may be repeated.")


def run(
    model: Annotated[str, _MODEL],
    gpu: Annotated[str, _GPU] = "auto",
    engine: Annotated[str | None, _ENGINE] = None,
    timeout: Annotated[str | None, _TIMEOUT] = None,
    env: Annotated[list[str] | None, _ENV] = None,
    serve: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Answer tritonclient there; port 0: a free one.")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="TIME", help="Let it outlive this command: 5m, 2h or forever.")
    ] = None,
    replicas: Annotated[int, typer.Option(metavar="N", help="So many copies, spread over the GPUs.")] = 1,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="4GiB: the most GPU memory it may use.")] = None,
    idle: Annotated[str, typer.Option(metavar="TIME", help="End it when nobody called it for so long: 10m.")] = "never",
    *,
    evict: Annotated[
        bool, typer.Option("--evict", help="Where memory is lacking, put your own idle models to sleep.")
    ] = False,
    share: Annotated[bool, typer.Option("--share", help="Use a running one of the same, if there is one.")] = False,
    fresh: Annotated[bool, typer.Option("--no-cache", help="Build the image or environment anew.")] = False,
) -> None:
    """Load a model and hold it until Ctrl-C, or until it is stopped."""
    from gpumodels.cli.terminal import interruptible  # noqa: PLC0415

    asked = {"gpu": gpu, "engine": engine, "timeout": timeout, "serve": serve, "keep": keep, "idle": idle}
    placed = {"replicas": replicas, "memory": memory, "evict": evict}
    with interruptible():
        loaded = _load(model, env=_settings(env), share=share, cache=not fresh, **asked, **placed)
        try:
            typer.echo(_how_to_use(loaded))
            sys.stdout.flush()
            while loaded.alive:
                time.sleep(_LOOKED_EVERY)
        except KeyboardInterrupt:
            _let_go(loaded)
            typer.echo(_what_is_left(loaded))
        else:
            _tell_the_end(loaded)


def _load(model: str, **asked: Any) -> Model:
    from gpumodels.cli.terminal import TerminalReport  # noqa: PLC0415
    from gpumodels.loading.api import load  # noqa: PLC0415

    with TerminalReport() as report:
        return load(model, report=report, **asked)


def _settings(given: list[str] | None) -> dict[str, str]:
    settings = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{each!r} is not of the form NAME=VALUE", param_hint="--env")
        settings[name] = value
    return settings


def _how_to_use(loaded: Model) -> str:
    needed = " ".join(f"<{spec.name}>" for spec in loaded.signature.inputs if not spec.optional)
    ids = [replica.record.id for replica in loaded.replicas]
    lines = [
        f"{loaded.name} ({', '.join(ids)}) is ready on {loaded.device}, {loaded.record.engine} engine.",
        f"  here      gpumodels call {ids[0] if len(ids) > 1 else loaded.name} {needed}".rstrip(),
        f'  Python    model = gpumodels.attach("{loaded.record.id}")',
    ]
    if loaded.endpoint is not None:
        lines.append(f"  network   {loaded.endpoint.address}, with the token {loaded.endpoint.token}")
    return "\n".join([*lines, "Ctrl-C ends it."])


def _let_go(loaded: Model) -> None:
    """Stop it, unless it is to outlive this command; what others use goes on anyway."""
    if loaded.record.keep is None:
        loaded.stop(by="the command line")


def _what_is_left(loaded: Model) -> str:
    from gpumodels.instances.registry import running  # noqa: PLC0415

    if any(record.id == loaded.record.id for record in running()):
        return f"{loaded.name} ({loaded.record.id}) runs on: it is kept, or somebody else uses it too"
    return f"stopped {loaded.name} ({loaded.record.id})"


def _tell_the_end(loaded: Model) -> None:
    """Asleep or stopped by somebody, which is well, or dead, which is an error."""
    from gpumodels.errors import ModelStopped  # noqa: PLC0415

    loaded.let_go()
    if loaded.asleep:
        typer.echo(f"{loaded.name} ended: nobody called it ({loaded.nap})")
        return
    try:
        loaded()  # a model that is gone says why
    except ModelStopped as why:
        typer.echo(str(why).partition(". Load it again")[0] + ".")


def call(
    model: Annotated[str, typer.Argument(metavar="ID|NAME|PATH", help="What runs, or what to load for this call.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Text, a number, JSON, the path of a file; or NAME=INPUT."),
    ] = None,
    gpu: Annotated[str, _GPU] = "auto",
    engine: Annotated[str | None, _ENGINE] = None,
    timeout: Annotated[str | None, _TIMEOUT] = None,
    env: Annotated[list[str] | None, _ENV] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Save the picture that comes out.")
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the picture that goes in, with what was found drawn.")
    ] = None,
) -> None:
    """Call a model once and print what comes out, as JSON.

    A model of that name that runs is called; where none does, one is loaded for this call.
    """
    from gpumodels.cli import calling  # noqa: PLC0415
    from gpumodels.cli.terminal import interruptible  # noqa: PLC0415

    for file in (output, draw):
        calling.check_target(file)
    settings = _settings(env)
    with interruptible():
        held = _running(model, timeout) or _load(model, gpu=gpu, engine=engine, timeout=timeout, env=settings)
        try:
            calling.answer(held, words or [], output, draw)
        finally:
            _let_go(held)


def _running(wanted: str, timeout: str | None) -> Model | None:
    """The model that runs and is meant, held by this process too; None where there is none."""
    from gpumodels.cli.finding import one  # noqa: PLC0415
    from gpumodels.instances.registry import meant, running  # noqa: PLC0415
    from gpumodels.loading.api import attach  # noqa: PLC0415

    known = running()
    if not meant(wanted, known):
        return None
    return attach(one(wanted, known).id, timeout=timeout)
