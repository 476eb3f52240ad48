"""TOML files with errors that name the place of a mistake: one sentence with file, line and field."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpumodels.errors import GpumodelsError

#: The keys and indexes that lead to a value: `("weights", 0, "sha256")` is `weights[0].sha256`.
Field = tuple[str | int, ...]

_MISSING = object()


class Document:
    """A parsed TOML file. Reading a field checks its type. All mistakes in the file raise the exception `mistake`."""

    def __init__(self, path: Path, mistake: type[GpumodelsError]) -> None:
        self.path = path
        self._mistake = mistake
        self._text = self._decode()
        try:
            self.data: Mapping[str, Any] = tomllib.loads(self._text)
        except ValueError as error:  # a TOMLDecodeError, or another ValueError for a number of 5,000 digits
            raise self._syntax_error(str(error)) from None
        except RecursionError:
            raise self._syntax_error("nested too deeply") from None

    def get(self, *field: str | int, default: Any = None) -> Any:
        """Return the value of a field without a change, or `default` if the file has no such field."""
        value = _dig(self.data, field)
        return default if value is _MISSING else value

    def text(self, *field: str | int, default: str | None = None) -> str:
        """Return the text in a field. Without `default` the field is required."""
        value = self.get(*field, default=default)
        if value is None:
            raise self.error(field, "missing")
        if not isinstance(value, str):
            raise self.error(field, f"must be text, not {value!r}")
        return value

    def texts(self, *field: str | int) -> tuple[str, ...]:
        """Return the texts of a list; () if the file has no such field."""
        value = self.get(*field, default=[])
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self.error(field, f"must be a list of texts, not {value!r}")
        return tuple(value)

    def table(self, *field: str | int) -> Mapping[str, Any]:
        """Return a table; {} if the file has no such field."""
        value = self.get(*field, default={})
        if not isinstance(value, dict):
            raise self.error(field, f"must be a table, not {value!r}")
        return value

    def tables(self, name: str, known: Iterable[str]) -> list[dict[str, Any]]:
        """Return an array of tables (`[[name]]`). Each of them may have only the `known` fields."""
        value = self.get(name, default=[])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self.error((name,), f"must be tables that start with [[{name}]], not {value!r}")
        for index in range(len(value)):
            self.check_keys((name, index), known)
        return value

    def check_keys(self, field: Field, known: Iterable[str]) -> None:
        """Raise the error if the table `field` has a key that is not in `known`. It names the nearest known key."""
        known = tuple(known)
        for key in self.table(*field):
            if key not in known:
                near = difflib.get_close_matches(key.lower(), known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}"
                raise self.error((*field, key), f"unknown field; {hint}")

    def error(self, field: Field, reason: str) -> GpumodelsError:
        """Return the error to raise about a field."""
        return self._mistake(f"{self.where(*field)}: {reason}")

    def where(self, *field: str | int) -> str:
        """Return file, line and name of a field, for the beginning of a message."""
        dotted = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in field).lstrip(".")
        return f"{shown(self.path)}, line {self._line(field)}: {dotted}"

    def _line(self, field: Field) -> int:
        """Return the line on which a field starts, or that of its nearest parent if the field is missing.

        The parser reports no positions. So parse ever longer prefixes of the file: the field starts after the last
        complete prefix without it. This is exact for all of TOML, and it costs time only after an error.
        """
        lines = self._text.split("\n")
        start = 1
        for end in range(1, len(lines) + 1):
            try:
                data = tomllib.loads("\n".join(lines[:end]))
            except ValueError:
                continue  # in the middle of a value that takes several lines
            if _dig(data, field) is not _MISSING:
                return start
            start = end + 1
        return self._line(field[:-1]) if field else 1

    def _decode(self) -> str:
        try:
            raw = self.path.read_bytes()
        except OSError as error:
            raise self._mistake(f"{shown(self.path)} cannot be read: {error.strerror}") from None
        try:
            return raw.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise self._error(raw.count(b"\n", 0, error.start) + 1, "not UTF-8; save the file as UTF-8") from None

    def _syntax_error(self, message: str) -> GpumodelsError:
        position = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
        line = int(position[1]) if position and position[1] else self._text.rstrip("\n").count("\n") + 1
        return self._error(line, f"not valid TOML: {message[: position.start()] if position else message}")

    def _error(self, line: int, reason: str) -> GpumodelsError:
        return self._mistake(f"{shown(self.path)}, line {line}: {reason}")


def shown(path: Path) -> str:
    """Return a path for messages: relative to the working directory for a path below it, else absolute."""
    try:
        here = Path.cwd()
    except OSError:
        return str(path) if path.is_absolute() else f"{path} (in a working directory that was deleted)"
    path = path.absolute()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _dig(data: Any, field: Field) -> Any:
    for key in field:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return _MISSING
    return data
