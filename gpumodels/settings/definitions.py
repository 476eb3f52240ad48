"""The settings: their names, types and defaults. `docs/settings.md` describes each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gpumodels.settings import units

if TYPE_CHECKING:
    from collections.abc import Mapping


class Seconds(float):
    """A duration in seconds. The user writes it as text such as "10m"."""


class Bytes(int):
    """A size in bytes. The user writes it as text such as "64 MiB"."""


class Count(int):
    """A whole number, at least 1."""


#: The rule by which "auto" chooses among several GPUs.
Policy = Literal["most-free", "first-fit", "pack"]

#: A part of an image's name, as Docker allows it.
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"

# Each description stands in the message about a wrong value, after "must be".
Text = Annotated[str, Meta(description="text")]
Location = Annotated[Path, Meta(description="an absolute path, or one that starts with ~/")]
Duration = Annotated[Seconds, Meta(description=units.DURATION_EXAMPLES)]
Engine = Annotated[str, Meta(description='the name of an engine, or "auto"')]
Prefix = Annotated[
    str,
    Meta(
        pattern=rf"\A(?:[a-z0-9.-]+(?::[0-9]+)?/)?{_PART}(?:/{_PART})*\Z",
        max_length=128,
        description='the beginning of an image\'s name, such as "gpumodels" or "registry.lab:5000/vision"',
    ),
]
Size = Annotated[Bytes, Meta(description=units.SIZE_EXAMPLES)]
Number = Annotated[Count, Meta(description="a whole number from 1")]
Switch = Annotated[Literal["on", "off"], Meta(description='"on" or "off"')]
Placement = Annotated[Policy, Meta(description='"most-free", "first-fit" or "pack"')]


def _runtime_dir() -> Path:
    # Not tempfile.gettempdir(): kernel, Jupyter server and command line must agree, even if their TMPDIR differs.
    return Path(f"/tmp/gpumodels-{os.getuid()}")  # noqa: S108


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of this user, for all loads. Options of a load override them.

    Durations are in seconds, sizes in bytes.
    """

    runtime_dir: Location = msgspec.field(default_factory=_runtime_dir)
    engine: Engine = "auto"
    idle: Duration = Seconds(3600)
    timeout: Duration = Seconds(600)
    placement: Placement = "most-free"
    #: The directory of the user's model folders; None for `models` in the user's data directory.
    models: Location | None = None
    image_prefix: Prefix = "gpumodels"
    #: In this and the next three settings, "" or None leaves the choice to gpumodels or to the settings of other tools.
    base_image: Text = ""
    index_url: Text = ""
    ca_bundle: Location | None = None
    debian_mirror: Text = ""
    #: Limits of the HTTP gateway of a Jupyter server: calls of one model that run, and that wait for their turn.
    gateway_calls: Number = Count(4)
    gateway_waiting: Number = Count(16)
    #: The longest time of a call through the gateway, including its wait.
    gateway_timeout: Duration = Seconds(600)
    #: The largest size of a request, and of a picture that the gateway fetches from an address.
    gateway_body: Size = Bytes(64 << 20)
    #: Whether the gateway fetches pictures from addresses in requests.
    gateway_fetch: Switch = "off"


KEYS: tuple[str, ...] = Settings.__struct_fields__
_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}


class InvalidSetting(ValueError):
    """A value of a setting that is not allowed. The text describes the allowed values; `key` names the setting."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def make(given: Mapping[str, object]) -> Settings:
    """Return settings with the values `given` in files and the environment, and the defaults of all others.

    An empty value stands for the default. Raises InvalidSetting if a value is not allowed.
    """
    values = {}
    for key, value in given.items():
        if value == "":
            continue
        kind = _FIELDS[key].type
        try:
            values[key] = msgspec.convert(value, kind, dec_hook=_convert)
        except msgspec.ValidationError:
            raise InvalidSetting(key, f"must be {_allowed(kind)}, not {value!r:.80}") from None
    return Settings(**values)


def _convert(kind: type, value: object) -> object:
    """Convert `value` to the type `kind`, which msgspec does not know. Raises ValueError if that fails."""
    if kind is Seconds:
        return Seconds(units.duration(value))
    if kind is Bytes:
        return Bytes(units.size(value))
    if kind is Count:
        return Count(_count(value))
    path = Path(os.path.expanduser(value) if isinstance(value, str) else "")  # noqa: PTH111 - leaves ~nobody as it is
    if not path.is_absolute() or "\0" in str(path):
        raise ValueError(value)
    return path


def _count(value: object) -> int:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value
    if type(number) is not int or not 1 <= number < 1 << 31:
        raise ValueError(value)
    return number


def _allowed(kind: Any) -> str:
    """Return the description of the values that the type `kind` allows, for a message.

    If it is a union, such as `Location | None`, return the first description among its members.
    """
    described: Any = next((each for each in getattr(kind, "__args__", ()) if hasattr(each, "__metadata__")), kind)
    return str(described.__metadata__[0].description)
