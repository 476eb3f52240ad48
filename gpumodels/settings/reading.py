"""Reading the settings. Environment variables come first, then the user's file, the machine's files and the defaults.

The first of them that has a setting decides it. Parsed files are cached, and parsed again when they change. So a
changed setting takes effect at the next load.
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
from gpumodels.settings.definitions import KEYS, InvalidSetting, Settings, make
from gpumodels.settings.directories import settings_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_PREFIX = "GPUMODELS_"
#: An unknown variable GPUMODELS_* counts as a typing error if it is this similar to a known one (difflib, 0 to 1).
_MISTYPED = 0.7


def settings() -> Settings:
    """Return the present settings. Takes some 100 microseconds.

    Raises SettingsError if a file or an environment variable has a mistake. The message names it, with line and key.
    """
    sources: list[_Source] = [_Environment(), *_files()]
    for source in sources:
        source.check()
    return _read(KEYS, sources)


def runtime_dir() -> Path:
    """Return the setting `runtime_dir`, even if other settings are wrong or a file cannot be parsed.

    So running models can be listed and stopped in spite of such mistakes; a load reports them. Raises SettingsError if
    the value of `runtime_dir` is wrong.
    """
    sources: list[_Source] = [_Environment()]
    for path in settings_files():
        with suppress(SettingsError):
            sources += _opened(path)
    return _read(["runtime_dir"], sources).runtime_dir


def variable(key: str) -> str:
    """Return the name of a setting's environment variable."""
    return _PREFIX + key.upper()


def origin(key: str) -> str:
    """Return where a setting comes from, for messages: a variable, or file, line and key; "" for the default."""
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
        """Raise SettingsError if an environment variable looks like a mistyped GPUMODELS_* variable."""
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
        """Raise SettingsError if the file has an unknown key."""
        self.check_keys((), KEYS)


def _read(keys: Iterable[str], sources: Sequence[_Source]) -> Settings:
    """Return settings with each of `keys` from the first source that has it. All others have their defaults."""
    first = {key: source for key in keys for source in reversed(sources) if source.get(key) is not None}
    try:
        return make({key: source.get(key) for key, source in first.items()})
    except InvalidSetting as error:
        raise SettingsError(f"{first[error.key].where(error.key)} {error}") from None


def _files() -> Iterator[_File]:
    for path in settings_files():
        yield from _opened(path)


def _opened(path: Path) -> Iterator[_File]:
    """Yield the parsed file; nothing if it does not exist. Raises SettingsError if it cannot be read or parsed."""
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
