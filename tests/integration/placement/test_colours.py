"""Ids of new instances: models that run together get different colours, as long as there are enough."""

from __future__ import annotations

from contextlib import ExitStack

import gpumodels
from gpumodels.attribution import colours


def test_models_that_run_together_have_different_colours():
    several = len(colours.PALETTE["model"])
    with ExitStack() as stack:
        models = [stack.enter_context(gpumodels.load("echo", engine="fake", gpu="none")) for _ in range(several)]
        assert {colours.index(model.record.id) for model in models} == set(range(several))
