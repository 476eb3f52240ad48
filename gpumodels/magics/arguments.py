"""The line behind a magic: its words and options, and what is wrong with them in one line.

IPython has expanded `{name}` and `$name` before a magic sees its line, also in `m = %load_model {name}`.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import keyword
import re
import shlex
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError

from gpumodels.loading import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.loading import Option

#: All of a line up to a comment: a `#` outside quotes that begins a word.
_BEFORE_COMMENT = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|(?<=\S)\#|[^"'\\\#])*""", re.DOTALL)


class HelpShown(Exception):
    """The line asked for help and got it."""


class Arguments(argparse.ArgumentParser):
    """The options of one magic; raises UsageError, exactly that, since IPython shows it without a traceback."""

    def __init__(self, magic: str, summary: str) -> None:
        super().__init__(prog=f"%{magic}", description=summary, add_help=False, allow_abbrev=False)
        self.add_argument("-h", "--help", action="help", help="show this")

    def read(self, line: str) -> argparse.Namespace:
        """The values on `line`, and `silent`, which a trailing `;` sets. Raises HelpShown after printing the help."""
        code = _without_comment(line).rstrip()
        try:
            words = shlex.split(code.rstrip("; \t"))
        except ValueError as error:
            self.error(f"{str(error).lower()} in: {code}")
        values, unknown = self.parse_known_args(words)
        if unknown:
            self._refuse(unknown)
        values.silent = code.endswith(";")
        return values

    def options(self) -> dict[str, str]:
        """Every option and what it is for."""
        return {option: action.help or "" for action in self._actions for option in action.option_strings}

    def _refuse(self, unknown: list[str]) -> NoReturn:
        option = next((word.partition("=")[0] for word in unknown if word.startswith("-")), None)
        if option is None:
            self.error(f"what is {unknown[0]!r}?")
        longer = [known for known in self.options() if known.startswith(option)]
        near = longer or difflib.get_close_matches(option, self.options(), 1)
        self.error(f"there is no option {option}" + (f"; did you mean {near[0]}?" if near else ""))

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}. `{self.prog} -h` shows how it is used.".replace("?.", "?"))

    def exit(self, *_: object) -> NoReturn:
        """Leave the magic, not the notebook, after the help was printed."""
        raise HelpShown


def _without_comment(line: str) -> str:
    found = _BEFORE_COMMENT.match(line)
    end = found.end() if found else 0
    # It also ends at a quote that is never closed, which is for shlex to complain of.
    return line[:end] if line[end : end + 1] == "#" else line


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be the name of a variable")
    return text


def _duration(text: str) -> str:
    """Check a duration and leave it as it was written, so that the load shows it so."""
    from gpumodels.settings import duration  # noqa: PLC0415  its library is only for loads

    try:
        duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _load() -> Arguments:
    parser = Arguments(
        "load_model", "Load a model and bind it to its name and to `model`. Your settings.toml may say other defaults."
    )
    parser.add_argument("model", metavar="NAME|PATH", help="a model of the catalog, or the path of a model folder")
    for option in OPTIONS:
        _add(parser, option)
        if option.name == "gpu":
            parser.add_argument("--as", dest="variable", metavar="VAR", type=_variable, help="bind this variable only")
    return parser


def _add(parser: Arguments, option: Option) -> None:
    """Add an option of a load. One that is not given is left out of the namespace."""
    add: Callable[..., object] = functools.partial(
        parser.add_argument, option.flag, dest=option.name, help=option.help, default=argparse.SUPPRESS
    )
    match option.kind:
        case "switch":
            add(action="store_const", const=not option.default)
        case "settings":
            add(action="append", type=_setting, metavar=option.metavar)
        case "count":
            add(type=int, metavar=option.metavar)
        case "duration":
            add(type=_duration, metavar=option.metavar)
        case _:
            add(metavar=option.metavar)


def options_of(values: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a load that were given, as `load` takes them."""
    given = {option.name: getattr(values, option.name) for option in OPTIONS if hasattr(values, option.name)}
    return {name: dict(value) if name == "env" else value for name, value in given.items()}


def _of_models(magic: str, summary: str) -> Arguments:
    parser = Arguments(magic, summary)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("model", metavar="NAME", nargs="?", help="a model's name or the variable that holds it")
    which.add_argument("--all", dest="everything", action="store_true", help="every model of this notebook")
    return parser


def _logs() -> Arguments:
    parser = Arguments("model_logs", "Show the last lines that a model of this notebook printed; alone, the only one.")
    parser.add_argument("model", metavar="NAME", nargs="?", help="a model's name or the variable that holds it")
    return parser


LOAD = _load()
MODELS = Arguments("models", "List your models that run, load or sleep, those of this notebook first.")
STOP = _of_models("stop_model", "Stop a model of this notebook and free its memory; alone, the only one.")
SLEEP = _of_models("sleep_model", "Free a model's memory until it is called again; alone, the only one.")
LOGS = _logs()
DASHBOARD = Arguments("gpu_dashboard", "Show GPUs and models, live, with buttons; it asks only while it is on screen.")
GPUS = Arguments("gpus", "Show the GPUs of this machine, and who holds their memory.")
