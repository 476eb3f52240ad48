"""`Asked`: all that one load was asked for, kept so that a model which slept can be loaded again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpumodels.errors import LoadRefused

#: Both mean endless, each for what it is said of.
_ENDLESS = ("never", "forever")
#: What a line need not say.
_DEFAULTS = {"gpu": "auto", "replicas": 1}

Gpu = int | str | Sequence[int | str] | None

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """See `loading.load`; times are in seconds, None for never."""

    model: str | Path
    gpu: Gpu = "auto"
    engine: str = "auto"
    timeout: float = 600.0
    env: Mapping[str, str] = field(default_factory=dict)
    serve: str = ""
    share: bool = False
    keep: float | None = None
    idle: float | None = None
    fresh: bool = False
    #: How many instances stand behind the one handle.
    replicas: int = 1
    #: Whether idle models of this user are put to sleep where memory is lacking.
    evict: bool = False
    #: Bytes of GPU memory that each instance may use; None for no limit.
    memory: int | None = None
    #: The fingerprint that it must have, where not all that it was loaded with is known; "" where it is.
    mark: str = ""
    #: What asks for the same in a notebook; see `load_line`.
    line: str = ""


def load_line(model: object, given: Mapping[str, object]) -> str:
    """`%load_model ctpn --gpu 0`, by the arguments of `load` as they were given.

    Environment settings are left out: they may be secret.
    """
    words = ["%load_model", str(model)]
    for name, value in given.items():
        if value is True:
            words.append(f"--{name}")
        elif value not in (None, False, _DEFAULTS.get(name)):
            words += [f"--{name}", ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)]
    return shlex.join(words)


def seconds(model: object, option: str, given: object, never: str) -> float | None:
    """The seconds of an option; None where not given, math.inf for `never`. Raises LoadRefused."""
    if given is None:
        return None
    from gpumodels.settings import duration  # noqa: PLC0415

    with suppress(ValueError):
        if given not in _ENDLESS or given == never:  # to keep a model never is not to keep it for ever
            return duration(given)
    raise LoadRefused(f"{model}: {option} must be a time such as '90s', '10m' or '2h', or '{never}', not {given!r}.")
