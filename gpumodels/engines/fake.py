"""The fake engine, for users' own tests. It needs no Docker, no environment and no GPU.

It runs the model folder in a local process with the interpreter of the test. So a notebook or program that loads
models can be tested in a second. A folder may have a `fake.py` beside its `model.py`, with a class `Model` that has
the same methods and fixed answers. The fake engine then serves that class instead of the real one, and the packages
of the real one need not be installed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gpumodels.engines.process import ProcessEngine

if TYPE_CHECKING:
    from gpumodels.catalog import Flavour, ModelSpec, Progress


class FakeEngine(ProcessEngine):
    """The engine of `gpumodels.load("ctpn", engine="fake")`."""

    name = "fake"

    def prepare(self, spec: ModelSpec, flavour: Flavour, progress: Progress, *, fresh: bool = False) -> str:  # noqa: ARG002
        return sys.executable

    def entry(self, spec: ModelSpec) -> str:
        return "fake:Model" if self._is_canned(spec) else spec.entry

    def needs_weights(self, spec: ModelSpec) -> bool:
        return bool(spec.weights) and not self._is_canned(spec)

    @staticmethod
    def _is_canned(spec: ModelSpec) -> bool:
        return (spec.folder / "fake.py").is_file()
