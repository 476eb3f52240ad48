from __future__ import annotations

from gpumodels.server.contract import check_takes
from gpumodels.signature import TensorSpec


def test_compiled_code_without_a_signature_is_not_checked():
    check_takes(max, (TensorSpec("picture", "any"),))
