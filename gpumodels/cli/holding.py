"""The commands `run` and `call`, which hold a model while they run."""

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

_POLL = 0.2  # seconds between two looks at the model


def _names(incomplete: str) -> list[str]:
    """Return the names of the catalog that begin with `incomplete`, for completion in a shell."""
    from gpumodels import catalog  # noqa: PLC0415

    return [name for name, _ in catalog.names() if name.startswith(incomplete)]


_MODEL = typer.Argument(metavar="NAME|PATH", help="A model of the catalog, or a model folder.", autocompletion=_names)


def run(model: Annotated[str, _MODEL], **options: Any) -> None:
    """Load a model and hold it until Ctrl-C, or until it is stopped."""
    from gpumodels.cli.terminal import interruptible  # noqa: PLC0415

    with interruptible():
        loaded = _load(model, _given(options))
        try:
            typer.echo(_instructions(loaded))
            sys.stdout.flush()
            while loaded.alive:
                time.sleep(_POLL)
        except KeyboardInterrupt:
            _stop_unless_kept(loaded)
            typer.echo(_stop_message(loaded))
        else:
            _report_end(loaded)


def _parameter(option: Option, default: Any = None) -> inspect.Parameter:
    """Return the parameter from which typer makes an option of a load.

    A command receives None if the option is not given, or `default` if that is set.
    """
    clause = option.help if default is None else option.help.partition(" (default: ")[0]  # typer adds the default
    text = f"{clause[:1].upper()}{clause[1:]}."
    kinds: dict[str, Any] = {"switch": bool, "count": int | None, "settings": list[str] | None}
    named = (option.flag,) if option.kind in {"switch", "settings"} else ()
    described = typer.Option(*named, metavar=option.metavar or None, help=text)
    annotation = Annotated[kinds.get(option.kind, str | None), described]  # type: ignore[valid-type]
    default = False if option.kind == "switch" else default
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _with_options(command: Any, options: Iterable[Option], **defaults: Any) -> None:
    """Replace the `**options` of a command by these options of a load. `defaults` are the defaults of some of them."""
    found = inspect.signature(command, eval_str=True)
    kept = [each for each in found.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    added = [_parameter(each, defaults.get(each.name)) for each in options]
    command.__signature__ = found.replace(parameters=[*kept, *added])
    command.__annotations__ = {each.name: each.annotation for each in (*kept, *added)} | {"return": None}


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a command that were given or have a default, as keyword arguments of `load`."""
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


def _instructions(loaded: Model) -> str:
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


def _stop_unless_kept(loaded: Model) -> None:
    """Stop the model, unless `--keep` lets it outlive this command. A model that others use goes on running."""
    if loaded.record.keep is None:
        loaded.stop(by="the command line")


def _stop_message(loaded: Model) -> str:
    from gpumodels.instances import running  # noqa: PLC0415

    if any(record.id == loaded.record.id for record in running()):
        return f"{loaded.name} ({loaded.record.id}) is still running, because it is kept or another process uses it"
    return f"stopped {loaded.name} ({loaded.record.id})"


def _report_end(loaded: Model) -> None:
    """Print why the model ended: it fell asleep or was stopped. Raises ModelGone if it died."""
    from gpumodels.errors import ModelStopped  # noqa: PLC0415

    loaded.clean_up()
    if loaded.asleep:
        typer.echo(f"{loaded.name} is {loaded.freed}; this command ends")
        return
    try:
        loaded()  # a call of a model that has ended raises an error with the reason
    except ModelStopped as why:
        typer.echo(str(why).partition(". Load it again")[0] + ".")


def call(
    model: Annotated[
        str, typer.Argument(metavar="ID|NAME|PATH", help="A running model, or one to load for this call.")
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Text, a number, JSON, the path of a file; or NAME=INPUT."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Save the output picture.")
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the input picture with the results drawn on it.")
    ] = None,
    **options: Any,
) -> None:
    """Call a model once and print its outputs as JSON.

    If a model with that name runs, it is called. If none runs, it is loaded for this call and stopped afterwards.
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
            _stop_unless_kept(held)


_with_options(call, [each for each in OPTIONS if each.name in {"gpu", "engine", "timeout", "env"}])


def _running(wanted: str, timeout: str | None) -> Model | None:
    """Attach to the running model with the name or id `wanted` and return it. Return None if no such model runs."""
    from gpumodels.cli.lookup import one  # noqa: PLC0415
    from gpumodels.instances import match, running  # noqa: PLC0415
    from gpumodels.loading import attach  # noqa: PLC0415

    known = running()
    if not match(wanted, known):
        return None
    return attach(one(wanted, known).id, timeout=timeout)
