"""Memory limits in the server: the framework gets its limit before the author's code can use it."""

from __future__ import annotations

import pytest

from tests.integration.wire.conftest import ROOT

ASKS = """
import torch
class Model:
    def load(self, device):
        self.waiting = len(torch.cuda.queued)
    def predict(self) -> int:
        return self.waiting
"""

TORCH = """
class cuda:
    queued = []
    _lazy_call = queued.append
"""


@pytest.mark.parametrize(("limit", "waiting"), [({"GPUMODELS_MEMORY_LIMIT": "1000"}, 1), ({}, 0)])
def test_torch_is_told_when_the_author_imports_it(serve, tmp_path, limit, waiting):
    (tmp_path / "torch.py").write_text(TORCH)
    served = serve(ASKS, PYTHONPATH=f"{ROOT}:{tmp_path}", **limit)
    assert served.client().call((), {}) == waiting
