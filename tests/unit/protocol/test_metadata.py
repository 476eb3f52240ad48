from __future__ import annotations

from gpumodels.protocol import messages
from gpumodels.protocol.metadata import read_signature, write_signature
from gpumodels.protocol.shapes import misfit
from gpumodels.signature import DTYPES, Signature, TensorSpec

FULL = Signature(
    (
        TensorSpec("image", "uint8", ("H", "W", 3), "image", optional=False, description="a photo"),
        TensorSpec("threshold", "float32", (), optional=True),
        *(TensorSpec(f"input_{dtype}", dtype) for dtype in DTYPES),
    ),
    (TensorSpec("boxes", "float32", ("N", 8), "boxes"), TensorSpec("text", "str", ("N",))),
)


def test_a_signature_comes_back_whole():
    response = messages.ModelMetadataResponse()
    write_signature(response, FULL)
    assert read_signature(messages.ModelMetadataResponse.FromString(response.SerializeToString())) == FULL


def test_a_foreign_servers_metadata_gets_names_for_free_sizes():
    response = messages.ModelMetadataResponse()
    response.inputs.add(name="serving_default:0", datatype="FP32", shape=[-1, 3, -1])
    response.inputs.add(name="text", datatype="BYTES", shape=[1])
    assert read_signature(response).inputs == (
        TensorSpec("serving_default:0", "float32", ("d0", 3, "d2")),
        TensorSpec("text", "bytes", (1,)),
    )


def test_named_sizes_must_agree():
    sizes: dict[str, int] = {}
    assert misfit(TensorSpec("a", "float32", ("N", 8)), (5, 8), sizes) == ""
    assert "its N is 6, elsewhere 5" in misfit(TensorSpec("b", "float32", ("N",)), (6,), sizes)
    assert "declared [N, 8], got an array of shape [5, 4]" in misfit(
        TensorSpec("a", "float32", ("N", 8)), (5, 4), sizes
    )
    assert misfit(TensorSpec("c", "float32"), (1, 2, 3), sizes) == ""
