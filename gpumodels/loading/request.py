"""`LoadRequest`: the model and all options of one load. `LoadKey`: the facts that are equal for two equal loads."""

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
    """The model and the options of one load, checked: times are in seconds, sizes in bytes.

    The handle keeps the request, so that a model that sleeps can be loaded again.
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
        help="set a variable for the model server; may be repeated",
        doc="Environment variables of the model server.",
    )  # fmt: skip
    #: No `schema`: a load by HTTP returns no handle, and only `endpoint` of the handle has the token.
    serve: str = option(
        read=options.read_serve, metavar="HOST:PORT", types="str", examples=("127.0.0.1:8001", "127.0.0.1:0"),
        help="answer tritonclient at this address, such as 127.0.0.1:8001 (port 0: a free one)",
        doc='Address of this machine, "HOST:PORT", at which the model answers tritonclient too, such as '
        '"127.0.0.1:8001" (port 0: a free one). `model.endpoint` has the token.',
    )  # fmt: skip
    share: bool = option(
        read=options.read_switch, default=False, kind="switch", types="bool", schema={"type": "boolean"},
        help="use a running instance of the same model, also of another notebook",
        doc="Use a running instance of the same model on the same device, also if another notebook loaded it. The "
        "instance ends with the last notebook that uses it.",
    )  # fmt: skip
    keep: float | None = option(
        read=options.read_keep, kind="duration", metavar="TIME", types="float or str", schema={"type": _TIME},
        help="5m, 2h, forever: how long the model runs on without a notebook", examples=("5m", "2h", "forever"),
        doc='Time for which the model runs on after its last notebook has ended: "5m", "2h", "forever", or seconds. '
        "Meanwhile the next load of the same model uses it.",
    )  # fmt: skip
    idle: float | None = option(
        read=options.read_idle, kind="duration", metavar="TIME", types="float or str", schema={"type": _TIME},
        help="10m, never: time without a call after which the model sleeps (default: 1h)",
        examples=("10m", "1h", "never"),
        doc='Time without a call after which the model sleeps: "10m", "never", or seconds. Sleeping frees its '
        "memory until the next call. The default is in the settings; a model that is kept forever sleeps only if you "
        "set this.",
    )  # fmt: skip
    replicas: int = option(
        read=options.read_replicas, default=1, kind="count", metavar="N", types="int",
        schema={"type": "integer", "minimum": 1, "maximum": MOST_REPLICAS},
        help="number of copies behind one handle, spread over the GPUs",
        doc="Number of copies of the model behind one handle, spread over the GPUs. A call goes to the copy with the "
        "fewest calls in flight.",
    )  # fmt: skip
    evict: bool = option(
        read=options.read_switch, default=False, kind="switch", types="bool", schema={"type": "boolean"},
        help="if GPU memory is lacking, put your own idle models to sleep",
        doc="If GPU memory is lacking, put your own idle models to sleep, the least recently called first.",
    )  # fmt: skip
    memory: int | None = option(
        read=options.read_memory, metavar="SIZE", types="int or str", schema={"type": ["string", "integer"]},
        help="4GiB: the most GPU memory that the model may use",
        doc='The most GPU memory that each copy of the model may use: bytes, or "4GiB".',
    )  # fmt: skip
    cache: bool = option(
        read=options.read_switch, default=True, kind="switch", types="bool", schema={"type": "boolean"},
        help="build the image or environment again",
        doc="If False, the image or environment is built again.",
    )  # fmt: skip
    #: The fingerprint that the load must have; "" for any. `attach` sets it, because it does not know the `env`.
    fingerprint: str = ""
    #: The line for the same load in a notebook. Environment variables are left out, because they may be secret.
    line: str = field(default="", compare=False)

    @classmethod
    def of(cls, model: str | Path, given: Mapping[str, Any], settings: Settings) -> LoadRequest:
        """Check the given options, and return the request. Settings are the defaults of options that are not given.

        Raises LoadRefused, DeviceError or SettingsError if a value is not valid, and TypeError for an unknown option.
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
        """Return the request that loads an attached instance again, with the options that its record has."""
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


#: All options of a load, in their order in `--help`.
OPTIONS = _options()


def signature(function: Any) -> inspect.Signature:
    """Return the signature of a function that takes a model and `**options`. It has a parameter for each option."""
    found = inspect.signature(function)
    kinds = inspect.Parameter
    options = [kinds(each.name, kinds.KEYWORD_ONLY, default=each.default, annotation=each.types) for each in OPTIONS]
    model, *others = (each for each in found.parameters.values() if each.kind is not kinds.VAR_KEYWORD)
    return found.replace(parameters=[model, *options, *others])


def parameters_section() -> str:
    """Return the options as lines of the numpydoc section Parameters."""
    return "".join(f"    {each.name} : {each.types}, optional\n{_wrapped(each.doc)}\n" for each in OPTIONS)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 110, initial_indent=" " * 8, subsequent_indent=" " * 8)


def schema() -> dict[str, Any]:
    """Return the JSON schema of the body of `POST models`."""
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
    """Return the model as text. A Path gets a slash, because text without one is a name of the catalog."""
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
    """Return the idle time in seconds, or None for never. `given` is the value that the user gave, or None.

    Sleep ends a kept model that has no user. So the default idle time is not shorter than the keep time.
    """
    idle: float = values["idle"] if given is not None else max(values["idle"], values["keep"] or 0.0)
    return None if math.isinf(idle) else idle


def _line(model: str, given: Mapping[str, Any]) -> str:
    return load_line(model, [pair for each in OPTIONS if each.name in given for pair in each.words(given[each.name])])


@dataclass(frozen=True)
class LoadKey:
    """The identity of a load. If the model that a load would replace has an equal key, nothing is loaded."""

    spec: ModelSpec
    #: The hash of the folder's files. A model whose files were edited is another model.
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
        """A hash of the facts that are equal if two loads may share an instance. It leaves out device and engine."""
        shared = repr((self.spec, self.content, self.env, self.serve, self.memory))
        return hashlib.sha256(shared.encode()).hexdigest()[:24]
