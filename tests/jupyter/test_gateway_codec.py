"""Reading requests and writing answers of the Open Inference Protocol by HTTP, without I/O."""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tritonclient
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gpumodels.jupyter.gateway import json_text, oip
from gpumodels.jupyter.gateway.errors import Refused
from gpumodels.protocol.tensors import DATATYPES, DTYPES, storage
from gpumodels.signature import Signature, TensorSpec

ANY = Signature((TensorSpec("value", "any"),), (TensorSpec("value", "any"),))
NUMBERS = [dtype for dtype in DTYPES.values() if dtype != "bfloat16"]
HEAD = "Inference-Header-Content-Length"


def declared(dtype, **facts):
    spec = TensorSpec("value", dtype, **facts)
    return Signature((spec,), (spec,))


def request(*inputs, **more):
    return json.dumps({"inputs": inputs, **more}).encode()


def tensor(data, datatype="FP32", shape=(2,), **parameters):
    described = {"name": "value", "shape": list(shape), "datatype": datatype, "parameters": parameters}
    return described if data is None else {**described, "data": data}


def value(body, signature=ANY, header_length=None):
    return oip.read(body, header_length, signature).inputs["value"]


def answer(given, signature=ANY, **options):
    body, length = oip.write("m", oip.Request({}, **options), {"value": given}, signature)
    head = json.loads(body[:length])
    return head["outputs"][0], body[length:] if length else b""


@pytest.mark.parametrize("dtype", [*NUMBERS, "bfloat16"])
def test_numbers_of_every_dtype_are_read_and_written_as_json_and_as_bytes(dtype):
    signature = declared(dtype)
    given = [[True, False]] if dtype == "bool" else [[1, 0], [3, 2]]
    array = value(request(tensor(given, DATATYPES[dtype], np.shape(given))), signature)
    np.testing.assert_array_equal(np.asarray(array, np.float64), given)
    as_json, _ = answer(array, signature)
    assert (as_json["datatype"], as_json["shape"]) == (DATATYPES[dtype], list(np.shape(given)))
    assert as_json["data"] == [each for row in given for each in row]
    head, data = answer(array, signature, binary=True)
    assert head["parameters"]["binary_data_size"] == len(data) == np.size(given) * storage(DATATYPES[dtype]).itemsize
    body = request(tensor(None, DATATYPES[dtype], np.shape(given), binary_data_size=len(data)))
    again = value(body + data, signature, str(len(body)))
    np.testing.assert_array_equal(np.asarray(again, np.float64), given)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(NUMBERS).flatmap(
        lambda dtype: arrays.arrays(
            np.dtype(dtype), arrays.array_shapes(min_dims=0, max_dims=3, max_side=4, min_side=0),
            elements=arrays.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False),
        )
    )
)  # fmt: skip
def test_any_array_comes_back_unchanged(array):
    output, _ = answer(array)
    back = value(request(output))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(), max_size=4) | st.lists(st.binary(), max_size=4) | st.text() | st.binary())
def test_any_text_and_any_bytes_come_back_unchanged(given):
    sent = np.array(given, object if given else str) if isinstance(given, list) else given
    output, _ = answer(sent)
    back = value(request(output))
    assert (back.tolist() if isinstance(given, list) else back) == given


def test_json_values_are_sent_as_text():
    signature = declared("json")
    assert value(request(tensor(['{"a": [1, null]}'], "BYTES", [1])), signature) == {"a": [1, None]}
    output, _ = answer({"a": [1, None]}, signature)
    assert (output["data"], output["parameters"]) == (['{"a": [1, null]}'], {"content_type": "json"})


def test_nan_and_infinity_are_null_in_json_and_bytes_are_base64():
    assert answer(np.float32([np.nan, 0.1, -np.inf]))[0]["data"] == [None, 0.1, None]
    output, _ = answer(b"\xff\x00", declared("bytes"))
    assert (output["data"], output["parameters"]) == (["/wA="], {"content_type": "base64"})


def test_a_picture_is_read_as_file_content_and_never_as_a_path():
    signature = declared("uint8", shape=("H", "W", 3), kind="image")
    body = request(tensor(None, "BYTES", [1], binary_data_size=9))
    assert value(body + b"\x05\x00\x00\x00\x89PNG!", signature, str(len(body))) == b"\x89PNG!"
    assert value(request(tensor(["aGk="], "BYTES", [1], content_type="base64")), signature) == b"hi"
    assert value(request(tensor(["/etc/passwd"], "BYTES", [1])), signature) == b"/etc/passwd"


@pytest.mark.parametrize(
    ("body", "header_length", "message"),
    [
        (b"[1", None, "the body is not JSON"),
        (b"\xff", None, "the body is not JSON"),
        (b"[" * 100_000, None, "the body is not JSON"),
        (b"[]", None, "a JSON object with inputs"),
        (b'{"inputs": 3}', None, "inputs of a request must be a list of objects"),
        (b'{"inputs": [3]}', None, "inputs of a request must be a list of objects"),
        (request({"shape": [1]}), None, "each input and output must have a name of its own, not None"),
        (request(tensor([1, 2]), tensor([1, 2])), None, "must have a name of its own, not 'value'"),
        (request({"name": "value", "shape": [1], "data": [1]}), None, "'value': it has no datatype"),
        (request(tensor([1, 2], "FP33")), None, "no datatype 'FP33'"),
        (request(tensor([1, 2], shape=[-2])), None, "must be a list of sizes, not"),
        (request(tensor([1, 2], shape=[True, 2])), None, "must be a list of sizes, not"),
        (request(tensor([1, 2], shape=[3])), None, r"FP32\[3\] came with 2 values"),
        (request(tensor([1, 2], shape=[1 << 62, 1 << 62])), None, "came with 2 values"),
        (request(tensor([], shape=[0, 1 << 62])), None, "cannot have the shape"),
        (request(tensor([[1], [2, 3]])), None, "its rows differ in length"),
        (request(tensor(["a", "b"])), None, "text cannot be sent as numbers"),
        (request(tensor([1, 300], "UINT8")), None, "uint8 does not hold 300"),
        (request(tensor([1, 2], "BYTES")), None, "the data of a BYTES tensor must be a list of strings"),
        (request(tensor(["\ud800", "a"], "BYTES")), None, "not Unicode text"),
        (request(tensor(["?", "a"], "BYTES", content_type="base64")), None, "is not base64"),
        (request(tensor(None)), None, "needs either data or binary_data_size"),
        (request(tensor([1, 2], binary_data_size=8)), None, "needs either data or binary_data_size"),
        (request(tensor(None, binary_data_size=8)), None, "binary_data_size is 8, but 0 bytes are left"),
        (request(tensor(None, binary_data_size=-1)), None, "binary_data_size is -1"),
        (request(tensor(None, binary_data_size="8")), None, "binary_data_size is '8'"),
        (request({**tensor([1, 2]), "parameters": 3}), None, "the parameters of the input must be an object"),
        (request(tensor([1, 2], shared_memory_region="x")), None, "shared_memory_region is not supported here"),
        (request(tensor([1, 2]), outputs=[{"name": "value"}, {"name": "value"}]), None, "a name of its own"),
        (request(tensor([1, 2]), parameters={"timeout": 0}), None, "microseconds above 0, not 0"),
        (request(tensor([1, 2])), "999", "is '999', but the body has"),
        (request(tensor([1, 2])), "-1", "is '-1', but"),
        (request(tensor([1, 2])), "1e1", "is '1e1', but"),
        (request(tensor([1, 2])), "9" * 5000, "is '9"),
        (request(tensor([1, 2])), "0", "the body is not JSON"),
        (request(tensor([1, 2])) + b"xx", str(len(request(tensor([1, 2])))), "2 bytes of binary data belong to no"),
        (b" " * (json_text.LIMIT + 1), None, "of JSON are too many"),
    ],
)  # fmt: skip
def test_a_malformed_request_is_refused_in_one_sentence(body, header_length, message):
    with pytest.raises(Refused, match=message) as refused:
        oip.read(body, header_length, ANY)
    assert "\n" not in str(refused.value)
    assert refused.value.status in {400, 413}


def test_a_tensor_of_another_size_than_declared_is_refused():
    for size, shape in ((7, [2]), (9, [2]), (8, [1 << 61, 2])):
        body = request(tensor(None, "FP32", shape, binary_data_size=size))
        with pytest.raises(Refused, match=r"needs \d+ bytes"):
            value(body + bytes(size), header_length=str(len(body)))


def test_large_arrays_are_written_in_pieces_to_the_same_text():
    for shape in ((40_000,), (3, 20_000), (20_000, 3), (1, 1, 50_000), (2, 3, 4000, 2), (0, 5)):
        array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
        assert json.loads(json_text.array(array)) == array.tolist()


@pytest.fixture(scope="module")
def triton():
    """The modules of tritonclient that encode HTTP bodies, imported without the HTTP library that its package needs."""
    package = types.ModuleType("tritonclient.http")
    package.__path__ = [str(Path(tritonclient.__file__).parent / "http")]
    sys.modules["tritonclient.http"] = package
    yield types.SimpleNamespace(
        **{
            name: importlib.import_module(f"tritonclient.http.{name}")
            for name in ("_infer_input", "_infer_result", "_requested_output", "_utils")
        }
    )
    for name in [name for name in sys.modules if name.startswith("tritonclient.http")]:
        del sys.modules[name]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("dtype", [*(each for each in NUMBERS if each != "float16"), "object"])
def test_tritonclient_and_the_gateway_read_each_other(dtype, binary, triton):
    given = np.array([[b"a", b"bc"]], object) if dtype == "object" else np.array([[1, 0]], dtype)
    sent = triton._infer_input.InferInput("value", list(given.shape), DATATYPES.get(dtype, "BYTES"))
    sent.set_data_from_numpy(given, binary_data=binary)
    wanted = [triton._requested_output.InferRequestedOutput("value", binary_data=binary)]
    body, length = triton._utils._get_inference_request([sent], "7", wanted, 0, False, False, 0, 5_000_000, {})
    received = oip.read(body, None if length is None else str(length), ANY)
    assert (received.id, received.timeout, received.wanted) == ("7", 5.0, {"value": binary})
    answered, length = oip.write("m", received, received.inputs, ANY)
    result = triton._infer_result.InferResult.from_response_body(answered, header_length=length)
    assert result.get_response()["id"] == "7"
    back = result.as_numpy("value")
    assert back.tolist() == given.tolist() if binary or dtype != "object" else [["a", "bc"]]
