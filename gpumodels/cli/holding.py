"""`run` and `call`: a model that this very command holds."""

from __future__ import annotations

import inspect
import sys
import time
from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpumodels.loading import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpumodels.loading import Option
    from gpumodels.model import Model

_LOOKED_EVERY = 0.2  # seconds


def _names(incomplete: str) -> list[str]:
    """What a shell may complete a model's name to."""
    from gpumodels import catalog  # noqa: PLC0415

    return [name for name, _ in catalog.names() if name.startswith(incomplete)]


_MODEL = typer.Argument(metavar="NAME|PATH", help="A model of the catalog, or a model folder.", autocompletion=_names)


def run(model: Annotated[str, _MODEL], **options: Any) -> None:
    """Load a model and hold it until Ctrl-C, or until it is stopped."""
    from gpumodels.cli.terminal import interruptible  # noqa: PLC0415

    with interruptible():
        loaded = _load(model, _given(options))
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


def _parameter(option: Option, default: Any = None) -> inspect.Parameter:
    """Return the parameter from which typer makes an option of a load; None stands for not given."""
    clause = option.help if default is None else option.help.partition(" (default: ")[0]  # typer shows it
    text = f"{clause[:1].upper()}{clause[1:]}."
    kinds: dict[str, Any] = {"switch": bool, "count": int | None, "settings": list[str] | None}
    named = (option.flag,) if option.kind in {"switch", "settings"} else ()
    described = typer.Option(*named, metavar=option.metavar or None, help=text)
    annotation = Annotated[kinds.get(option.kind, str | None), described]  # type: ignore[valid-type]
    default = False if option.kind == "switch" else default
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _with_options(command: Any, options: Iterable[Option], **defaults: Any) -> None:
    """Give a command that takes `**options` these options of a load, in the place of `**options`."""
    found = inspect.signature(command, eval_str=True)
    kept = [each for each in found.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    added = [_parameter(each, defaults.get(each.name)) for each in options]
    command.__signature__ = found.replace(parameters=[*kept, *added])
    command.__annotations__ = {each.name: each.annotation for each in (*kept, *added)} | {"return": None}


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, as `load` takes them."""
    given: dict[str, Any] = {}
    for option in OPTIONS:
        value = options.get(option.name)
        if option.kind == "switch" and value:
            given[option.name] = not option.default
        elif option.kind == "settings" and value:
            given[option.name] = _settings(value)
        elif option.kind not in {"switch", "settings"} and value is not None:
            given[option.name] = value
    return given


_with_options(run, OPTIONS, idle="never")


def _load(model: str, options: dict[str, Any]) -> Model:
    from gpumodels.cli.terminal import TerminalReport  # noqa: PLC0415
    from gpumodels.loading import load  # noqa: PLC0415

    with TerminalReport() as report:
        return load(model, report=report, **options)


def _settings(given: list[str]) -> dict[str, str]:
    settings = {}
    for each in given:
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
    from gpumodels.instances import running  # noqa: PLC0415

    if any(record.id == loaded.record.id for record in running()):
        return f"{loaded.name} ({loaded.record.id}) runs on: it is kept, or somebody else uses it too"
    return f"stopped {loaded.name} ({loaded.record.id})"


def _tell_the_end(loaded: Model) -> None:
    """Asleep or stopped by somebody, which is well, or dead, which is an error."""
    from gpumodels.errors import ModelStopped  # noqa: PLC0415

    loaded.clean_up()
    if loaded.asleep:
        typer.echo(f"{loaded.name} ended: nobody called it ({loaded.freed})")
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
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Save the picture that comes out.")
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the picture that goes in, with what was found drawn.")
    ] = None,
    **options: Any,
) -> None:
    """Call a model once and print what comes out, as JSON.

    A model of that name that runs is called; where none does, one is loaded for this call.
    """
    from gpumodels.cli import calling  # noqa: PLC0415
    from gpumodels.cli.terminal import interruptible  # noqa: PLC0415

    for file in (output, draw):
        calling.check_target(file)
    given = _given(options)
    with interruptible():
        held = _running(model, given.get("timeout")) or _load(model, given)
        try:
            calling.answer(held, words or [], output, draw)
        finally:
            _let_go(held)


_with_options(call, [each for each in OPTIONS if each.name in {"gpu", "engine", "timeout", "env"}])


def _running(wanted: str, timeout: str | None) -> Model | None:
    """The model that runs and is meant, held by this process too; None where there is none."""
    from gpumodels.cli.finding import one  # noqa: PLC0415
    from gpumodels.instances import match, running  # noqa: PLC0415
    from gpumodels.loading import attach  # noqa: PLC0415

    known = running()
    if not match(wanted, known):
        return None
    return attach(one(wanted, known).id, timeout=timeout)
