"""`LoadRequest`: everything that one load is asked for. `LoadKey`: what makes two loads the same."""

from __future__ import annotations

import hashlib
import inspect
import math
import os
import textwrap
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpumodels.errors import LoadRefused
from gpumodels.load_line import load_line, model_word
from gpumodels.loading import options
from gpumodels.loading.options import MOST_REPLICAS, Option, option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.catalog import ModelSpec
    from gpumodels.devices import GpuChoice
    from gpumodels.lease import InstanceRecord
    from gpumodels.settings import Settings

_TIME = ["string", "number"]


@dataclass(frozen=True)
class LoadRequest:
    """The options of one load, checked and in one form: times in seconds, sizes in bytes.

    Kept by the handle, so that a model that slept can be loaded again.
    """

    #: A name of the catalog, or a path of a model folder: with a `/`, or beginning with `~` or `.`.
    model: str
    gpu: GpuChoice = option(
        read=options.read_gpu, default="auto", metavar="GPU", types="int, str or sequence",
        help="0, 0,1, the start of a UUID, auto, auto:2 or none (default: auto)",
        doc='An index, a UUID or the start of one, several ("0,1"), "auto" (the GPU with the most free memory, or the '
        'CPU if there is none), "auto:2", or "none" for the CPU.',
        schema={"type": ["string", "integer", "array"], "items": {"type": ["string", "integer"]}},
    )  # fmt: skip
    engine: str = option(
        read=options.read_engine, metavar="ENGINE", types="str", schema={"type": "string"},
        help="docker, process or auto (default: auto)",
        doc='"docker", "process" or "auto", which is docker if it can be used. The default is in the settings.',
    )  # fmt: skip
    timeout: float = option(
        read=options.read_timeout, kind="duration", metavar="TIME", types="float or str", schema={"type": _TIME},
        help="90s, 10m: for starting and loading (default: 10m)", examples=("10m", "30m", "never"),
        doc='Time for starting and loading, not for building: "10m", or seconds. The default is in the settings.',
    )  # fmt: skip
    env: Mapping[str, str] = option(
        read=options.read_env, kind="settings", metavar="NAME=VALUE", types="dict of str to str",
        schema={"type": "object", "additionalProperties": {"type": "string"}},
        help="set it for the model server; may be repeated",
        doc="Environment settings of the model server.",
    )  # fmt: skip
    #: No `schema`: by HTTP nobody would get the token, which `endpoint` of the handle has.
    serve: str = option(
        read=options.read_serve, metavar="HOST:PORT", types="str", examples=("127.0.0.1:8001", "127.0.0.1:0"),
        help="answer tritonclient there, such as 127.0.0.1:8001 (port 0: a free one)",
        doc='"HOST:PORT" of this machine, such as "127.0.0.1:8001", where the model answers tritonclient too (port 0: '
        "a free one). `model.endpoint` has the token.",
    )  # fmt: skip
    share: bool = option(
        read=options.read_switch, default=False, kind="switch", types="bool", schema={"type": "boolean"},
        help="use what another notebook has loaded, if it is the same",
        doc="Use a running instance of the same model on the same device, whichever notebook loaded it. It ends with "
        "the last notebook that uses it.",
    )  # fmt: skip
    keep: float | None = option(
        read=options.read_keep, kind="duration", metavar="TIME", types="float or str", schema={"type": _TIME},
        help="5m, 2h, forever: for how long it outlives its notebooks", examples=("5m", "2h", "forever"),
        doc='Time for which the model outlives its notebooks: "5m", "2h", "forever", or seconds. The next load of the '
        "same model takes it up.",
    )  # fmt: skip
    idle: float | None = option(
        read=options.read_idle, kind="duration", metavar="TIME", types="float or str", schema={"type": _TIME},
        help="10m, never: after how long without a call it sleeps (default: 1h)", examples=("10m", "1h", "never"),
        doc='Time without a call after which the model sleeps: "10m", "never", or seconds. Sleeping frees its '
        "memory until the next call. The default is in the settings; a model that is kept forever sleeps only if you "
        "set this.",
    )  # fmt: skip
    replicas: int = option(
        read=options.read_replicas, default=1, kind="count", metavar="N", types="int",
        schema={"type": "integer", "minimum": 1, "maximum": MOST_REPLICAS},
        help="so many copies, spread over the GPUs, behind one handle",
        doc="Number of instances behind the one handle, spread over the GPUs. A call goes to the one with the fewest "
        "calls in flight.",
    )  # fmt: skip
    evict: bool = option(
        read=options.read_switch, default=False, kind="switch", types="bool", schema={"type": "boolean"},
        help="where memory is lacking, put your own idle models to sleep",
        doc="If GPU memory is lacking, put your own idle models to sleep, the least recently called first.",
    )  # fmt: skip
    memory: int | None = option(
        read=options.read_memory, metavar="SIZE", types="int or str", schema={"type": ["string", "integer"]},
        help="4GiB: the most GPU memory that it may use",
        doc='Most GPU memory that each instance may use: bytes, or "4GiB".',
    )  # fmt: skip
    cache: bool = option(
        read=options.read_switch, default=True, kind="switch", types="bool", schema={"type": "boolean"},
        help="build the image or environment anew",
        doc="If False, the image or environment is built anew.",
    )  # fmt: skip
    #: The fingerprint that the model must have, if not everything it was loaded with is known; else "".
    fingerprint: str = ""
    #: The line that asks for the same in a notebook. Environment settings are left out: they may be secret.
    line: str = field(default="", compare=False)

    @classmethod
    def of(cls, model: str | Path, given: Mapping[str, Any], settings: Settings) -> LoadRequest:
        """Check the options that were given and fill in the settings.

        Raises LoadRefused, naming what was given and what is expected, DeviceError, SettingsError, and TypeError for an
        option that does not exist.
        """
        unknown = given.keys() - {each.name for each in OPTIONS}
        if unknown:
            raise TypeError(f"load() got an unexpected keyword argument {min(unknown)!r}")
        name = _model_text(model)
        values = {each.name: each.read(name, given.get(each.name, each.default), settings) for each in OPTIONS}
        _check_together(name, values)
        values["idle"] = _idle(given.get("idle"), values)
        return cls(model=name, line=_line(name, given), **values)

    @classmethod
    def attaching(cls, record: InstanceRecord, timeout: float) -> LoadRequest:
        """Return the request that loads an attached instance again, as far as its record tells."""
        from gpumodels.devices import GpuChoice  # noqa: PLC0415  see `options`

        known = {each.name: each.default for each in OPTIONS}
        uuids = tuple(device["uuid"] for device in record.devices)
        known |= {"gpu": GpuChoice(len(uuids), uuids), "engine": record.engine}
        known |= {"timeout": timeout, "env": {}, "serve": "", "share": True, "keep": record.keep, "idle": record.idle}
        model = record.asked or record.model
        known |= {"memory": record.limit}
        return cls(model=model, line=load_line(model), fingerprint=record.fingerprint, **known)


def _options() -> tuple[Option, ...]:
    described = [(each.name, each.metadata.get("option")) for each in fields(LoadRequest)]
    return tuple(Option(name, **facts) for name, facts in described if facts is not None)


#: Every option of a load, in the order of its help.
OPTIONS = _options()


def signature(function: Any) -> inspect.Signature:
    """Return the signature of a function that takes a model and `**options`, with the options by name."""
    found = inspect.signature(function)
    kinds = inspect.Parameter
    options = [kinds(each.name, kinds.KEYWORD_ONLY, default=each.default, annotation=each.types) for each in OPTIONS]
    model, *others = (each for each in found.parameters.values() if each.kind is not kinds.VAR_KEYWORD)
    return found.replace(parameters=[model, *options, *others])


def parameters_section() -> str:
    """Return the options as lines of a numpydoc section."""
    return "".join(f"    {each.name} : {each.types}, optional\n{_wrapped(each.doc)}\n" for each in OPTIONS)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 110, initial_indent=" " * 8, subsequent_indent=" " * 8)


def schema() -> dict[str, Any]:
    """Return the JSON schema of a load by HTTP."""
    offered = {
        each.name: {**each.schema, **_default(each), "description": each.doc}
        for each in OPTIONS
        if each.schema is not None
    }
    model = {"type": "string", "description": "A name of the catalog, or the path of a model folder.", "minLength": 1}
    return {
        "type": "object",
        "properties": {"model": model, **offered},
        "required": ["model"],
        "additionalProperties": False,
    }


def _default(described: Option) -> dict[str, Any]:
    return {} if described.default is None else {"default": described.default}


def _model_text(model: object) -> str:
    """Return the model as text that means the same: a Path is a path even if it has no slash."""
    if isinstance(model, str):
        return model_word(model)
    if isinstance(model, Path):
        return str(model) if model.is_absolute() else os.path.join(os.curdir, model)  # noqa: PTH118  Path drops the ./
    raise LoadRefused(f"A model is named by text or a path, not by {model!r}.")


def _check_together(model: str, values: Mapping[str, Any]) -> None:
    for name in ("serve", "share", "keep"):
        if values["replicas"] > 1 and values[name]:
            raise LoadRefused(
                f"{model}: replicas are this notebook's own, so they do not go with {name}: leave one of the two out."
            )


def _idle(given: object, values: Mapping[str, Any]) -> float | None:
    """Return the idle time; None for never. By default a kept model does not sleep, which would end it, before its
    time is over.
    """
    idle: float = values["idle"] if given is not None else max(values["idle"], values["keep"] or 0.0)
    return None if math.isinf(idle) else idle


def _line(model: str, given: Mapping[str, Any]) -> str:
    return load_line(model, [pair for each in OPTIONS if each.name in given for pair in each.words(given[each.name])])


@dataclass(frozen=True)
class LoadKey:
    """The identity of a load: a running model answers another load with an equal key."""

    spec: ModelSpec
    #: The hash of the folder's files: an edited model is another model.
    content: str
    gpu: GpuChoice
    engine: str
    env: tuple[tuple[str, str], ...]
    serve: str
    replicas: int
    memory: int | None

    @classmethod
    def of(cls, spec: ModelSpec, content: str, request: LoadRequest) -> LoadKey:
        """Return the key of a request for the model that `spec` describes."""
        env = tuple(sorted(request.env.items()))
        return cls(spec, content, request.gpu, request.engine, env, request.serve, request.replicas, request.memory)

    @property
    def fingerprint(self) -> str:
        """A hash that is equal for loads that may share an instance: everything but device and engine."""
        shared = repr((self.spec, self.content, self.env, self.serve, self.memory))
        return hashlib.sha256(shared.encode()).hexdigest()[:24]
