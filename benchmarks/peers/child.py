"""A child process that does what single lines tell it, and ends when its input does: also when its parent is killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class Child:
    """Runs a Python program that calls `obey`; ready when this is made, gone when the block ends."""

    def __init__(self, *program: str, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, *program],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, whose end is its own
        )
        #: What it said when it was ready.
        self.ready: str = self.ask()

    def ask(self, *words: object) -> Any:
        """Its answer to one line of words; raises SystemExit if it died."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        if words:
            stdin.write(f"{' '.join(map(str, words))}\n")
            stdin.flush()
        line = stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} died; what it said is above")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def obey(answer: Callable[..., Any] | None = None, ready: str = "") -> None:
    """Be the child: say that it is `ready`, then answer each line's words until the input ends."""
    with contextlib.suppress(BrokenPipeError):  # who asked was killed
        _say(ready)
        for line in sys.stdin:
            assert answer is not None, line
            _say(answer(*line.split()))


def _say(value: object) -> None:
    os.write(1, f"{json.dumps(value)}\n".encode())
