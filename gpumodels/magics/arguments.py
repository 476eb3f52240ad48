"""The line behind a magic: its words and options, and what is wrong with them in one line.

IPython has expanded `{name}` and `$name` before a magic sees its line, also in `m = %load_model {name}`.
"""

from __future__ import annotations

import argparse
import difflib
import keyword
import re
import shlex
from typing import TYPE_CHECKING, NoReturn

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

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


def _seconds(text: str) -> float:
    from gpumodels.settings import duration  # noqa: PLC0415  its library is for those who load

    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _load() -> Arguments:
    parser = Arguments(
        "load_model", "Load a model and bind it to its name and to `model`. Your settings.toml may say other defaults."
    )
    add: Callable[..., object] = parser.add_argument
    add("model", metavar="NAME|PATH", help="a model of the catalog, or the path of a model folder")
    add("--gpu", default="auto", help="0, 0,1, the start of a UUID, auto, auto:2 or none (default: auto)")
    add("--as", dest="variable", metavar="VAR", type=_variable, help="bind this variable only")
    add("--engine", help="docker, process or auto (default: auto)")
    add("--timeout", type=_seconds, metavar="TIME", help="90s, 10m: for starting and loading (default: 10m)")
    add("--env", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="set it for the model server")
    add("--serve", metavar="HOST:PORT", help="answer tritonclient there, such as 127.0.0.1:8001 (port 0: a free one)")
    add("--share", action="store_true", help="use what another notebook has loaded, if it is the same")
    add("--keep", metavar="TIME", help="5m, 2h, forever: for how long it outlives its notebooks")
    add("--idle", metavar="TIME", help="10m, never: after how long without a call it sleeps (default: 1h)")
    add("--replicas", type=int, default=1, metavar="N", help="so many copies, spread over the GPUs, behind one handle")
    add("--evict", action="store_true", help="where memory is lacking, put your own idle models to sleep")
    add("--memory", metavar="SIZE", help="4GiB: the most GPU memory that it may use")
    add("--no-cache", dest="cache", action="store_false", help="build the image or environment anew")
    return parser


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
