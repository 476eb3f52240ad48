"""Print the files that take part in one load, and how often control moves between them.

    python benchmarks/load_trace.py [CHECKOUT]

The load is `gpumodels.load("echo", engine="process", gpu="none")`. A first load in the same process has done the lazy
imports; the second one is traced, on the calling thread alone. How it counts:

- A call is the start of a Python function of the package. Comprehensions, resumed generators and module code do not
  count: their frames differ between versions of Python.
- A move is a call into another file than the call before it, in order of time. Returns do not count.
- A call across files comes from a function of another file. Frames outside the package, such as those of `contextlib`,
  are skipped.
- Waiting does not count: of the attempts in `wait_ready`, each with its check that the server lives, only the last
  counts. So a load that waits longer has the same counts.
"""

from __future__ import annotations

import dis
import inspect
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import CodeType, FrameType

#: Functions that get a row: patterns of `module.function` below the package, one for each name that it has had.
COUNTED = {
    "settings read": ("settings.*.settings",),
    "runtime directories made": ("lease.*.RuntimeDirectory.__init__",),
    "running instances listed": ("instances.*.running", "manager.*.running"),
    "GPU requests parsed": ("devices.*.parse",),
}
WAITING = "wait_ready"
LEASE = "lease"  # the name of the file
PAIRS = 15

_COMPREHENSIONS = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")


@dataclass(frozen=True)
class Call:
    """A function that began: its file, its name, and the file of its caller ("" outside the package)."""

    file: str
    name: str
    caller: str

    @property
    def qualified(self) -> str:
        return f"{self.file.removesuffix('.py').replace('/', '.')}.{self.name}"


class Trace:
    """The calls of one thread in the package at `folder` while the trace is entered, and the lease files it opened."""

    def __init__(self, folder: Path) -> None:
        self._prefix = f"{folder}/"
        self._events: list[Call | None] = []  # None is an opened lease file
        self._waiting: FrameType | None = None
        self._attempt: CodeType | None = None
        self._mark = 0
        self._on = False
        sys.addaudithook(self._audit)

    def __enter__(self) -> Self:
        self._on = True
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        self._on = False

    @property
    def calls(self) -> list[Call]:
        return [event for event in self._events if event is not None]

    @property
    def opened(self) -> int:
        """The number of times that a lease file was opened."""
        return self._events.count(None)

    @property
    def moves(self) -> int:
        return sum(before.file != after.file for before, after in pairwise(self.calls))

    @property
    def across(self) -> Counter[tuple[str, str]]:
        """The number of calls from one file to another."""
        return Counter((call.caller, call.file) for call in self.calls if call.caller not in ("", call.file))

    def count(self, *patterns: str) -> int:
        """Return the number of calls of functions that match one of the patterns."""
        return sum(any(fnmatchcase(call.qualified, pattern) for pattern in patterns) for call in self.calls)

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame is self._waiting:
            self._waiting = None
        elif event == "call" and frame.f_code.co_filename.startswith(self._prefix) and _begins(frame):
            self._drop_attempt(frame)
            self._events.append(Call(self._file(frame), frame.f_code.co_qualname, self._caller(frame)))
            if frame.f_code.co_name == WAITING:
                self._waiting, self._attempt, self._mark = frame, None, len(self._events)

    def _drop_attempt(self, frame: FrameType) -> None:
        """Forget the last attempt when `wait_ready` begins the next one, which its first call shows."""
        if self._waiting is None or frame.f_back is not self._waiting:
            return
        if self._attempt is frame.f_code:
            del self._events[self._mark :]
        self._attempt = self._attempt or frame.f_code

    def _caller(self, frame: FrameType) -> str:
        found = frame.f_back
        while found is not None and not found.f_code.co_filename.startswith(self._prefix):
            found = found.f_back
        return self._file(found) if found is not None else ""

    def _file(self, frame: FrameType) -> str:
        return frame.f_code.co_filename.removeprefix(self._prefix)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._on and event == "open" and sys.getprofile() is not None and str(arguments[0]).endswith(f"/{LEASE}"):
            self._events.append(None)


def _begins(frame: FrameType) -> bool:
    code = frame.f_code
    if code.co_name == "<module>" or code.co_name in _COMPREHENSIONS:
        return False
    if not code.co_flags & inspect.CO_GENERATOR:
        return True
    # RESUME has the argument 0 at the start of a function alone (see `dis`); closing a generator runs no RESUME.
    opcode, argument = code.co_code[frame.f_lasti : frame.f_lasti + 2]
    return opcode == dis.opmap["RESUME"] and not argument & 3


def trace_load(checkout: Path) -> Trace:
    """Load the model twice and return the trace of the second load."""
    sys.path.insert(0, str(checkout))
    os.environ["PYTHONPATH"] = str(checkout)  # for the guard, which is another process
    import gpumodels  # noqa: PLC0415  of that checkout

    trace = Trace(Path(gpumodels.__file__).parent)
    gpumodels.load("echo", engine="process", gpu="none").stop()
    with trace:
        model = gpumodels.load("echo", engine="process", gpu="none")
    model.stop()
    return trace


def show(trace: Trace) -> None:
    """Print the counts, then the pairs of files with the most calls."""
    rows = {
        "files": len({call.file for call in trace.calls}),
        "moves": trace.moves,
        "calls": len(trace.calls),
        "calls across files": trace.across.total(),
        **{label: trace.count(*patterns) for label, patterns in COUNTED.items()},
        "lease files opened": trace.opened,
    }
    for label, count in rows.items():
        print(f"{label:28}{count:6}{'   no such function?' if not count and label in COUNTED else ''}")
    print(f"\n{'calls':>6}  from a file to a file (the {PAIRS} most of {len(trace.across)} pairs)")
    for (caller, file), count in trace.across.most_common(PAIRS):
        print(f"{count:6}  {caller} -> {file}")


def main() -> int:
    checkout = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="gpumodels-") as folder:
        os.environ["GPUMODELS_RUNTIME_DIR"] = f"{folder}/run"
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        os.environ["XDG_CONFIG_HOME"] = f"{folder}/config"
        show(trace_load(checkout))
    return 0


if __name__ == "__main__":
    sys.exit(main())
