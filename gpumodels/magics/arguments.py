"""The arguments of each magic, and one-line errors for mistakes in them.

IPython expands `{name}` and `$name` before a magic gets its line, also in `m = %load_model {name}`.
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

#: The part of a line before a comment. A comment is a `#` outside quotes that begins a word.
_BEFORE_COMMENT = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|(?<=\S)\#|[^"'\\\#])*""", re.DOTALL)


class HelpShown(Exception):
    """The line of a magic had `-h` or `--help`, and the help was printed."""


class Arguments(argparse.ArgumentParser):
    """The arguments of one magic.

    Mistakes raise UsageError itself and no subclass, because IPython shows exactly this class without a traceback.
    """

    def __init__(self, magic: str, summary: str) -> None:
        super().__init__(prog=f"%{magic}", description=summary, add_help=False, allow_abbrev=False)
        self.add_argument("-h", "--help", action="help", help="show this help")

    def read(self, line: str) -> argparse.Namespace:
        """Return the values in `line`, the text after the magic's name. `silent` is True if the line ends with `;`.

        Raises HelpShown after printing the help, and UsageError for a mistake.
        """
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
        """Return the help of every option, by flag."""
        return {option: action.help or "" for action in self._actions for option in action.option_strings}

    def parameters_section(self) -> str:
        """Return the arguments as lines of a numpydoc section, indented for the docstring of a method."""
        lines = []
        for action in self._actions:
            if action.dest != "help":
                lines.append(f"{''.join(action.option_strings)} {action.metavar or ''}".strip())
                lines.append(f"    {action.help}")
        return "".join(f"{' ' * 8}{line}\n" for line in lines)

    def _refuse(self, unknown: list[str]) -> NoReturn:
        option = next((word.partition("=")[0] for word in unknown if word.startswith("-")), None)
        if option is None:
            self.error(f"{unknown[0]!r} is one word too many")
        longer = [known for known in self.options() if known.startswith(option)]
        near = longer or difflib.get_close_matches(option, self.options(), 1)
        self.error(f"there is no option {option}" + (f"; did you mean {near[0]}?" if near else ""))

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}. `{self.prog} -h` shows how it is used.".replace("?.", "?"))

    def exit(self, *_: object) -> NoReturn:
        """Raise HelpShown. argparse calls this after it has printed the help; its own method would end the kernel."""
        raise HelpShown


def _without_comment(line: str) -> str:
    found = _BEFORE_COMMENT.match(line)
    end = found.end() if found else 0
    # The match also ends at a quote that is never closed. shlex reports that mistake.
    return line[:end] if line[end : end + 1] == "#" else line


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be the name of a variable")
    return text


def _duration(text: str) -> str:
    """Check a duration and return it as it was written, so that the load shows it in the same form."""
    from gpumodels.settings import duration  # noqa: PLC0415  (the settings are only needed by loads)

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
        "load_model", "Load a model and bind it to its name and to `model`. Your settings.toml may set other defaults."
    )
    parser.add_argument("model", metavar="NAME|PATH", help="a model of the catalog, or the path of a model folder")
    for option in OPTIONS:
        _add(parser, option)
        if option.name == "gpu":
            parser.add_argument("--as", dest="variable", metavar="VAR", type=_variable, help="bind this variable only")
    return parser


def _add(parser: Arguments, option: Option) -> None:
    """Add an option of a load to `parser`. If a line does not have the option, its parsed values lack it too."""
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
    """Return the options that a `%load_model` line has, as keyword arguments of `gpumodels.load`."""
    given = {option.name: getattr(values, option.name) for option in OPTIONS if hasattr(values, option.name)}
    return {name: dict(value) if name == "env" else value for name, value in given.items()}


def _of_models(magic: str, summary: str) -> Arguments:
    parser = Arguments(magic, summary)
    which = parser.add_mutually_exclusive_group()
    named = "a model's name or the variable that holds it (default: the only model of this notebook)"
    which.add_argument("model", metavar="NAME", nargs="?", help=named)
    which.add_argument("--all", dest="everything", action="store_true", help="every model of this notebook")
    return parser


def _logs() -> Arguments:
    parser = Arguments("model_logs", "Print the last 40 lines of the output of a model of this notebook.")
    which = "a model's name or the variable that holds it (default: all models that run)"
    parser.add_argument("model", metavar="NAME", nargs="?", help=which)
    return parser


LOAD = _load()
MODELS = Arguments("models", "List your models that run, load or sleep, those of this notebook first.")
STOP = _of_models("stop_model", "Stop a model of this notebook and free its memory.")
SLEEP = _of_models("sleep_model", "Free a model's memory until it is called again.")
LOGS = _logs()
DASHBOARD = Arguments("gpu_dashboard", "Show GPUs and models, live, with buttons. It refreshes while it is on screen.")
GPUS = Arguments("gpus", "Show the GPUs, and the holders of their memory.")
