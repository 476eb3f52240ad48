"""A child process that answers requests, one a line. It ends when its stdin ends, also if its parent is killed."""

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
    """A child process that runs a Python program with `obey`. It is ready after `__init__` and ends with the block."""

    def __init__(self, *program: str, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, *program],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches only the parent; the child ends with the parent
        )
        #: The argument `ready` of `obey` in the child.
        self.ready: str = self.ask()

    def ask(self, *words: object) -> Any:
        """Send a line of words to the child and return its answer. Raises SystemExit if the child has died."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        if words:
            stdin.write(f"{' '.join(map(str, words))}\n")
            stdin.flush()
        line = stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} died; its output is above")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def obey(answer: Callable[..., Any] | None = None, ready: str = "") -> None:
    """Run the child's side: send `ready`, then the answer to the words of each line, until stdin ends."""
    with contextlib.suppress(BrokenPipeError):  # the parent was killed
        _send(ready)
        for line in sys.stdin:
            assert answer is not None, line
            _send(answer(*line.split()))


def _send(value: object) -> None:
    os.write(1, f"{json.dumps(value)}\n".encode())
