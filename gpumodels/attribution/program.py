"""Names of programs for display, which include the name of a Python script."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PYTHON = re.compile(r"(python|pypy)[\d.]*")
_WITH_A_VALUE = ("-W", "-X")


def program(command: Sequence[str]) -> str:
    """Return the name for a command line: "python train.py", "python -m torch.distributed.run", "ollama".

    Other words of the command line are left out, because they may be secret. The name for an empty line is "".
    """
    words = [word for word in command if word]
    if not words:
        return ""
    name = PurePath(words[0]).name or words[0]
    script = _script(words[1:]) if _PYTHON.fullmatch(name) else ""
    return f"{name} {script}" if script else name


def _script(words: Sequence[str]) -> str:
    before = ""
    for index, word in enumerate(words):
        if word == "-m":
            return " ".join(words[index : index + 2])
        if word == "-c":
            return ""
        if not word.startswith("-") and before not in _WITH_A_VALUE:
            return PurePath(word).name
        before = word
    return ""
