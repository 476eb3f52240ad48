"""The line that loads a model in a notebook, such as `%load_model ctpn --gpu 0`, quoted for IPython and the magic.

`labextension/src/line.ts` writes the same lines. `labextension/tests/lines.json` has the test cases of both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = "%load_model"

_PLAIN = re.compile(r"[\w@%+=:,./~-]+", re.ASCII)
#: Characters that end a line or cannot be sent to a kernel: control characters, line separators, lone surrogates.
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def load_line(model: str, options: Iterable[tuple[str, str | None]] = ()) -> str:
    """Return the `%load_model` line of a model and its options: pairs of flag and value, which is None for a switch."""
    words = [MAGIC, word(model_word(model))]
    for flag, value in options:
        if value is None:
            words.append(flag)
        elif value.startswith("-"):  # as a separate word it would be read as another option
            words.append(f"{flag}={word(value)}")
        else:
            words += [flag, word(value)]
    return " ".join(words)


def model_word(model: str) -> str:
    """Return the model as `%load_model` takes it. A path that begins with a dash gets "./" at its front.

    Without "./" the path would be read as an option. No name of a model begins with a dash.
    """
    return f"./{model}" if model.startswith("-") else model


def word(text: str) -> str:
    """Return the text as one word of a `%load_model` line.

    The text is quoted as in a shell. IPython expands `{x}` inside quotes too, so braces are doubled. IPython also
    expands `$x` unless an odd number of quotes follows, so the quotes end and begin again after a dollar sign. A line
    break is written as `{chr(10)}`, which IPython expands.
    """
    if _PLAIN.fullmatch(text):
        return text
    quoted = text.replace("'", "'\"'\"'").replace("$", "$''").replace("{", "{{").replace("}", "}}")
    return f"'{_UNWRITABLE.sub(_expression, quoted)}'"


def _expression(found: re.Match[str]) -> str:
    return f"{{chr({ord(found[0])})}}"
