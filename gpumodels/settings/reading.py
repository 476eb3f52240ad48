"""Reads the settings: the environment wins over the user's file, that over the machine's, that over the default.

Nothing is kept but parsed files, which are parsed again when they change: a setting counts from the next load on.
"""

from __future__ import annotations

import difflib
import os
import stat
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from gpumodels.document import Document, shown
from gpumodels.errors import SettingsError
from gpumodels.settings.definitions import KEYS, Settings, read
from gpumodels.settings.xdg import settings_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_PREFIX = "GPUMODELS_"
#: How alike a variable must be to one of ours to count as a mistyped one: others may have their own of that prefix.
_MISTYPED = 0.7


def settings() -> Settings:
    """The settings as they are now; raises SettingsError for all that is wrong with any (file, line, key).

    Takes some 100 microseconds.
    """
    sources: list[_Source] = [_Environment(), *_files()]
    for source in sources:
        source.check()
    return Settings(**{key: _value(key, sources) for key in KEYS})


def runtime_dir() -> Path:
    """The runtime directory, also where other settings are wrong, or a file is that cannot be parsed.

    To see and to stop what runs is possible then; a load asks for all settings and says what is wrong. Raises
    SettingsError where this very setting is wrong.
    """
    sources: list[_Source] = [_Environment()]
    for path in settings_files():
        with suppress(SettingsError):
            sources += _opened(path)
    found: Path = _value("runtime_dir", sources)
    return found


def variable(key: str) -> str:
    """The environment variable of a setting."""
    return _PREFIX + key.upper()


def origin(key: str) -> str:
    """What sets it, to begin a message with: a variable, or file, line and key; "" for the default."""
    sources: list[_Source] = [_Environment(), *_files()]
    return next((source.where(key) for source in sources if source.get(key) is not None), "")


class _Source(Protocol):
    def get(self, key: str, /) -> Any: ...
    def where(self, key: str, /) -> str: ...
    def check(self) -> None: ...


class _Environment:
    def get(self, key: str) -> str | None:
        return os.environ.get(variable(key)) or None

    def where(self, key: str) -> str:
        return variable(key)

    def check(self) -> None:
        """Refuse what is one of ours but for a slip."""
        for name in os.environ:
            key = name.removeprefix(_PREFIX).lower()
            if name.startswith(_PREFIX) and key not in KEYS:
                near = difflib.get_close_matches(key, KEYS, 1, _MISTYPED)
                if near:
                    raise SettingsError(
                        f"The environment variable {name} is unknown; did you mean {variable(near[0])}?"
                    )


class _File(Document):
    def check(self) -> None:
        """Refuse keys that are none."""
        self.check_keys((), KEYS)


def _value(key: str, sources: Sequence[_Source]) -> Any:
    for source in sources:
        if (found := source.get(key)) is not None:
            try:
                return read(key, found)
            except ValueError as error:
                raise SettingsError(f"{source.where(key)} {error}") from None
    return getattr(Settings(), key)


def _files() -> Iterator[_File]:
    for path in settings_files():
        yield from _opened(path)


def _opened(path: Path) -> Iterator[_File]:
    """The file, if there is one."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise SettingsError(f"{shown(path)} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
        raise SettingsError(f"{shown(path)} is not a file")
    yield _parsed(path, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=8)
def _parsed(path: Path, *_version: int) -> _File:
    return _File(path, SettingsError)
