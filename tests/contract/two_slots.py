"""The fake engine with a model server that has two slots."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gpumodels import engines
from gpumodels.engines.fake import FakeEngine
from tests.slots import SERVER

if TYPE_CHECKING:
    from pathlib import Path


class TwoSlotsEngine(FakeEngine):
    """A fake engine with another interpreter, which runs the server of two slots for `-m gpumodels.server`.

    Its name is still "fake", because other processes do not know the engines of the tests. They list and end its
    instances as those of the fake engine.
    """

    interpreter: Path

    def prepare(self, spec, flavour, progress, *, fresh=False):
        return str(self.interpreter)


@contextmanager
def in_place_of_fake(place):
    """Let `engine="fake"` load with this engine, and yield that name. Make its interpreter in the directory `place`."""
    interpreter = place / "python-of-two-slots"
    interpreter.write_text(f"#!/bin/sh\n{_SWITCH}")
    interpreter.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:  # its patches stay when those of a test are undone
        patch.setattr(TwoSlotsEngine, "interpreter", interpreter, raising=False)
        patch.setitem(engines._BUILT_IN, "fake", f"{__name__}:TwoSlotsEngine")
        yield "fake"


_SWITCH = f"""
if [ "$1 $2" = "-m gpumodels.server" ]; then
    shift 2
    exec {shlex.quote(sys.executable)} {shlex.join(SERVER)} "$@"
fi
exec {shlex.quote(sys.executable)} "$@"
"""
