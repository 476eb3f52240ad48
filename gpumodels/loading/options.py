"""The description of an option of a load, and a reader for the value of each option.

`LoadRequest` lists the options. The signature of `load`, `%load_model`, `gpumodels run`, `POST models` and the form of
the sidebar follow from these descriptions. Every notebook that loads the extension imports this module. So the readers
import other modules only when they are called.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from gpumodels.errors import DeviceError, LoadRefused

if TYPE_CHECKING:
    from gpumodels.devices import GpuChoice
    from gpumodels.settings import Settings

#: "text" takes a value; a "switch" takes none; "settings" takes NAME=VALUE and may be repeated.
Kind = Literal["text", "duration", "count", "switch", "settings"]

#: A reader: it takes the model, the given value and the settings, and returns the checked value. Raises LoadRefused.
Read = Callable[[str, Any, "Settings"], Any]

MOST_REPLICAS = 64
_LAST_PORT = 65535
#: The smallest memory limit in bytes. A smaller number is probably one without its unit.
_LEAST_MEMORY = 1 << 20
#: Words for endless times. An option takes only one of them: `keep` takes "forever", the others "never".
_ENDLESS = ("never", "forever")


@dataclass(frozen=True)
class Option:
    """One option of a load."""

    name: str
    read: Read
    #: A short text for `--help`, and whole sentences for the docstring of `load`.
    help: str
    doc: str
    #: The types of the value, for the docstring of `load`.
    types: str
    default: Any = None
    kind: Kind = "text"
    metavar: str = ""
    #: The JSON schema of the value in `POST models`; None if the option is not offered there.
    schema: Mapping[str, Any] | None = None
    #: Values that completion proposes.
    examples: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The name on a command line, such as "--gpu". A switch with the default True has "--no-" before its name."""
        return f"--no-{self.name}" if self.default is True else f"--{self.name}"

    def words(self, value: Any) -> list[tuple[str, str | None]]:
        """Return the flag and the text of a value, for `load_line`; [] for the default and for secret values."""
        if self.kind == "switch":
            return [] if bool(value) == self.default else [(self.flag, None)]
        if value == self.default or self.kind == "settings":  # settings may be secret
            return []
        return [(self.flag, self._text(value))]

    def _text(self, value: Any) -> str:
        if value is None:  # for the option `gpu`
            return "none"
        if isinstance(value, (list, tuple)):
            return ",".join(map(str, value))
        if isinstance(value, float):
            # `float`, because the repr of numpy's floats is not a number.
            return self._endless if math.isinf(value) else format(Decimal(repr(float(value))), "f")
        return str(value)

    @property
    def _endless(self) -> str:
        return "forever" if self.name == "keep" else "never"


def option(**described: Any) -> Any:
    """Return a dataclass field that describes an option. The field's name is the option's name."""
    return field(metadata={"option": described})


def read_gpu(model: str, given: Any, _: Settings) -> GpuChoice:
    from gpumodels import devices  # noqa: PLC0415

    try:
        return devices.parse(given)
    except DeviceError as error:
        raise DeviceError(f"{model} cannot be placed. {error}") from None


def read_engine(model: str, given: Any, settings: Settings) -> str:
    if given is None:
        from gpumodels import engines  # noqa: PLC0415

        return engines.check_configured(settings.engine)
    if not isinstance(given, str):
        raise LoadRefused(f"{model}: engine must be text such as 'docker', 'process' or 'auto', not {given!r}.")
    return given


def read_timeout(model: str, given: Any, settings: Settings) -> float:
    found = seconds(model, "timeout", given, "never") if isinstance(given, str) else given
    if found is None:
        return settings.timeout
    number = isinstance(found, (int, float)) and not isinstance(found, bool)
    if not number or math.isnan(found) or found <= 0:
        raise LoadRefused(f"{model}: timeout must be a number of seconds above 0, not {found!r}.")
    return found


def read_env(model: str, given: Any, _: Settings) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise LoadRefused(f"{model}: env must be a dict of text to text, not {given!r}.")
    from gpumodels.catalog import sets_itself  # noqa: PLC0415

    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
            raise LoadRefused(f"{model}: {name!r}: {value!r} is no environment setting; both must be text.")
        if sets_itself(name):
            raise LoadRefused(f"{model}: env: {name} is set by gpumodels itself.")
    return dict(given)


def read_serve(model: str, given: Any, _: Settings) -> str:
    """Return the address as HOST:PORT with a numeric host; "" for None."""
    if given is None:
        return ""
    host, _colon, port = given.rpartition(":") if isinstance(given, str) else ("", "", "")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise LoadRefused(f"{model}: serve must be HOST:PORT such as '127.0.0.1:8001', not {given!r}.")
    bare = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        found = None
    if found is None or not found.is_loopback:
        raise LoadRefused(
            f"{model}: it cannot be served at {host}: calls and token would cross the network unencrypted, so only "
            "this machine's own addresses (127.0.0.1, ::1, localhost) are taken. From elsewhere, use `ssh -L`."
        )
    return f"[{found}]:{int(port)}" if found.version == 6 else f"{found}:{int(port)}"  # noqa: PLR2004


def read_switch(_: str, given: Any, __: Settings) -> bool:
    return bool(given)


def read_keep(model: str, given: Any, _: Settings) -> float | None:
    return seconds(model, "keep", given, "forever")


def read_idle(model: str, given: Any, settings: Settings) -> float:
    found = seconds(model, "idle", given, "never")
    return settings.idle if found is None else found


def read_replicas(model: str, given: Any, _: Settings) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MOST_REPLICAS:
        raise LoadRefused(f"{model}: replicas must be a whole number from 1 to {MOST_REPLICAS}, not {given!r}.")
    return given


def read_memory(model: str, given: Any, _: Settings) -> int | None:
    if given is None:
        return None
    from gpumodels.settings import size  # noqa: PLC0415

    try:
        most = size(given)
    except ValueError:
        most = 0
    if most < _LEAST_MEMORY:
        raise LoadRefused(
            f"{model}: memory must be a size such as '4GiB' or '500MB', or a number of bytes, 1 MiB at least, "
            f"not {given!r:.80}."
        )
    return most


def seconds(model: str, name: str, given: Any, never: str) -> float | None:
    """Return a time in seconds; None if none was given, math.inf for the word `never`. Raises LoadRefused."""
    if given is None:
        return None
    from gpumodels.settings import duration  # noqa: PLC0415

    with suppress(ValueError):
        if given not in _ENDLESS or given == never:  # `keep="never"` would be read as forever
            return duration(given)
    raise LoadRefused(f"{model}: {name} must be a time such as '90s', '10m' or '2h', or '{never}', not {given!r}.")
