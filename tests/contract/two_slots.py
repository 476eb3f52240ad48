"""The fake engine with a model server of two slots in place of the usual one."""

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
    """Starts instances as the fake engine does, by an interpreter that runs another server for `-m gpumodels.server`.

    Its name stays "fake": other processes, which know no engine of the tests, look at and end its instances as such.
    """

    interpreter: Path

    def prepare(self, spec, flavour, progress, *, fresh=False):
        return str(self.interpreter)


@contextmanager
def in_place_of_fake(place):
    """Make `engine="fake"` mean this engine, with its interpreter in the directory `place`; gives that name."""
    interpreter = place / "python-of-two-slots"
    interpreter.write_text(f"#!/bin/sh\n{_SWITCH}")
    interpreter.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:  # one of its own, which outlasts what the test patches
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
