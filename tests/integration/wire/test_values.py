"""Every kind of value through a real server: it comes back as it was sent."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ml_dtypes import bfloat16 as bf16
from PIL import Image

from gpumodels.errors import CallError, InputError
from gpumodels.protocol import bfloat16

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
]  # fmt: skip

TRANSPORTS = {"lane": {}, "gRPC": {"lane": False}, "gRPC without shared memory": {"lane": False, "shm": False}}


@pytest.fixture(params=TRANSPORTS)
def client(request, echo):
    """A client of the shared echo server, by the lane and by gRPC with and without shared memory."""
    client = echo.client(**TRANSPORTS[request.param])
    yield client
    client.close()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (7, 5), (300, 400)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_shape_comes_back(client, dtype, shape):
    value = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    result = client.call((value,), {})
    assert isinstance(result, np.ndarray)
    assert result.dtype == value.dtype
    assert result.shape == value.shape
    np.testing.assert_array_equal(result, value)


@pytest.mark.parametrize(
    "value",
    [
        0,
        1.5,
        True,
        None,
        [1, "a", None],
        {"a": {"b": [1.5]}},
        {},
        "",
        "text",
        "äöü \0 end",
        b"",
        b"bytes\0",
        "x" * 100_000,
        [[1, [2.5, ["deep", {"a": None}]]]] * 3,
        [float("inf"), 10**30],
    ],
    ids=lambda value: repr(value)[:20],
)
def test_json_text_and_bytes_come_back_as_they_were(client, value):
    result = client.call((value,), {})
    assert result == value
    assert type(result) is type(value)


def test_arrays_of_text_and_bytes_come_back(client):
    np.testing.assert_array_equal(client.call((np.array([["a", "bcd"], ["", "ü"]]),), {}), [["a", "bcd"], ["", "ü"]])
    blobs = np.array([b"a\0", b""], dtype=object)
    assert client.call((blobs,), {}).tolist() == [b"a\0", b""]


def test_json_comes_back_as_json_has_it(client):
    result = client.call(({1: (2, 3), None: np.float32(0.5), "array": np.arange(2), "nan": float("nan")},), {})
    assert np.isnan(result.pop("nan"))
    assert result == {"1": [2, 3], "null": 0.5, "array": [0, 1]}


@pytest.mark.parametrize("size", [6, 300])
@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        np.transpose,
        lambda array: array[::-1, ::-2],
        lambda array: array[1:, ::3],
        lambda array: np.broadcast_to(array[0], array.shape),
        lambda array: array.astype(">i4"),
        lambda array: array.astype(">f8")[::2],
        lambda array: array.astype("<M8[s]").view(">i8"),
        lambda array: array.view(type("Own", (np.ndarray,), {})),
    ],
    ids=["Fortran", "transposed", "backwards", "strided", "repeated", "big-endian", "both", "viewed", "subclass"],
)
def test_arrays_in_any_layout_come_back_equal(client, layout, size):
    value = layout(np.arange(size * size).reshape(size, size))
    value.flags.writeable = False
    result = client.call((value,), {})
    assert result.dtype == value.dtype.newbyteorder("=")
    np.testing.assert_array_equal(result, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float16(1.5), np.array(1.5, np.float16)),
        (np.array(["a", "bcd"], np.dtypes.StringDType()), np.array(["a", "bcd"])),
        (np.array(["a", "bcd"], object), np.array(["a", "bcd"])),
        (np.array([b"a", b"bcd"]), np.array([b"a", b"bcd"], object)),
        (pd.Series(["a", "b"]), np.array(["a", "b"])),
        (pd.Series([1, 2], dtype="Int64"), np.array([1, 2])),
        (pd.DataFrame({"a": [1.5], "b": [2]}), np.array([[1.5, 2]])),
        (Image.new("RGB", (3, 2), "red"), np.full((2, 3, 3), [255, 0, 0], np.uint8)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_numpy_reads_as_an_array_comes_back_as_one(client, value, expected):
    result = client.call((value,), {})
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.array([1, None], object), r"value: any was given an array of object\[2\]: its element \[1\] is None"),
        (np.ones(1, complex), "complex numbers cannot be sent"),
        (np.ma.masked_equal([1, 2], 2), "a masked array cannot be sent"),
        (np.array(["2020"], "M8[Y]"), "dates and times cannot be sent"),
        ({1: "a", "1": "b"}, "two keys of a dict become one text"),
    ],
    ids=["objects", "complex", "masked", "dates", "keys"],
)
def test_what_cannot_be_sent_is_refused_before_it_is(client, value, match):
    with pytest.raises(InputError, match=f"^echo: .*{match}"):
        client.call((value,), {})
    assert client.call((1,), {}) == 1


@pytest.mark.parametrize("size", [4, 100_000])
def test_bfloat16_comes_back_as_such(client, size):
    value = np.linspace(-1, 1, size).astype(bf16)
    result = client.call((value,), {})
    assert result.dtype == bf16
    np.testing.assert_array_equal(result.view(np.uint16), value.view(np.uint16))


def test_bfloat16_without_ml_dtypes_is_widened_exactly(serve, monkeypatch):
    monkeypatch.setattr(bfloat16, "_known_to_numpy", lambda: None)  # simulate that ml_dtypes is not installed
    served = serve(
        "import numpy as np\nclass Model:\n def load(self, device): pass\n def predict(self, x): return x\n",
        toml='inputs = [{name="x", dtype="bfloat16"}]\noutputs = [{name="y", dtype="bfloat16"}]\n',
    )
    result = served.client().call((np.array([1.0, -2.5, 1e30, np.inf, 1.00390625], np.float32),), {})
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result[[0, 1, 3, 4]], [1.0, -2.5, np.inf, 1.0])
    assert abs(result[2] / 1e30 - 1) < 2**-8


def test_a_tensor_on_a_gpu_that_predict_returns_is_sent(serve):
    served = serve(
        "import numpy as np\n"
        "class Tensor:\n"
        "    dtype, where = 'torch.float32', 'cuda:0'\n"
        "    def __array__(self, dtype=None, copy=None):\n"
        "        if self.where != 'cpu': raise TypeError('it is on a GPU')\n"
        "        return np.arange(3, dtype=np.float32)\n"
        "    def detach(self): return self\n"
        "    def cpu(self):\n"
        "        self.where = 'cpu'\n"
        "        return self\n"
        "class Model:\n"
        "    def load(self, device): pass\n"
        "    def predict(self, x: int): return Tensor()\n"
    )
    np.testing.assert_array_equal(served.client().call((1,), {}), np.arange(3, dtype=np.float32))


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("way", TRANSPORTS)
def test_results_are_writable_owned_and_outlive_the_next_call_and_the_server(serve, size, way):
    served = serve()
    client = served.client(**TRANSPORTS[way])
    first = client.call((np.full(size, 7.0),), {})
    client.call((np.full(size, 8.0),), {})
    client.close()
    served.process.kill()
    assert first.flags.writeable
    assert first.flags.owndata
    assert (first == 7.0).all()
    first += 1


def test_a_call_leaves_no_file_behind(client, echo):
    client.call((np.zeros(1_000_000),), {})
    client.close()
    assert echo.shared_files() == []


def test_an_input_region_in_a_file_is_used_again_and_removed_at_the_end(echo):
    client = echo.client(lane=False)
    client.call((np.zeros(100_000),), {})
    before = echo.shared_files()
    client.call((np.zeros(90_000),), {})
    assert len(before) == 1
    assert echo.shared_files() == before
    client.close()
    assert echo.shared_files() == []


@pytest.fixture
def no_room():
    """Forbid files above 500 kB for this process and the processes that it starts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_an_input_falls_back_to_a_message(client, echo, no_room):
    value = np.arange(100_000)
    np.testing.assert_array_equal(client.call((value,), {}), value)
    assert echo.shared_files() == []


@pytest.mark.parametrize("way", TRANSPORTS)
def test_no_room_for_a_result_falls_back_to_a_message(serve, no_room, way):
    value = np.arange(100_000)
    np.testing.assert_array_equal(serve().client(**TRANSPORTS[way]).call((value,), {}), value)


@pytest.mark.parametrize("lane", [True, False])
def test_a_server_without_a_shared_directory_is_called(serve, lane):
    served = serve(shm=False)
    value = np.arange(100_000)
    np.testing.assert_array_equal(served.client(lane=lane).call((value,), {}), value)
    assert served.shared_files() == []


@pytest.mark.parametrize("lane", [True, False])
def test_more_than_a_message_holds_without_shared_memory_is_a_clear_error(echo, no_room, lane):
    client = echo.client(lane=lane)
    with pytest.raises(CallError, match=r"the inputs of echo are 2\.0 GiB, .* and a message holds 2 GiB at most"):
        client.call((np.zeros(1 << 31, np.uint8),), {})


def test_two_gibibytes_work_with_no_setting(serve):
    served = serve(
        "import numpy as np\n"
        "class Model:\n"
        "    def load(self, device): pass\n"
        "    def predict(self, x: np.ndarray) -> np.ndarray:\n"
        "        x[-1] = 3\n"
        "        return x\n"
    )
    value = np.zeros((1 << 31) + 1, np.uint8)
    value[1 << 30] = 9
    result = served.client().call((value,), {})
    assert result.shape == value.shape
    assert (result[1 << 30], result[-1], value[-1]) == (9, 3, 0)


@pytest.fixture
def little_memory():
    """Limit the memory of this process to 200 MB more than it has now. Later child processes have no limit."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    yield lambda: resource.setrlimit(resource.RLIMIT_AS, (_address_space() + (200 << 20), before[1]))
    resource.setrlimit(resource.RLIMIT_AS, before)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def test_a_result_that_does_not_fit_into_memory_is_a_clear_error(serve, little_memory):
    served = serve(
        "import numpy as np\n"
        "class Model:\n"
        "    def load(self, device): pass\n"
        "    def predict(self, size: int) -> np.ndarray: return np.zeros(size, np.uint8)\n"
    )
    client = served.client()
    client.call((100_000,), {})
    little_memory()
    with pytest.raises(CallError, match="the answer of model0 does not fit into the memory of this process"):
        client.call((400 << 20,), {})
    assert served.shared_files() == []
    assert client.call((100_000,), {}).size == 100_000


def test_many_threads_share_one_client(client):
    from concurrent.futures import ThreadPoolExecutor

    def call(number: int) -> bool:
        value = np.full(50_000, number)
        return bool((client.call((value,), {}) == number).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(64)))


def test_a_model_toml_with_a_byte_order_mark_is_read(serve):
    served = serve(
        "class Model:\n    def load(self, device): pass\n    def predict(self, x): return x + 1\n",
        toml='\ufeffinputs = [{name="x", dtype="int64", shape=[]}]\r\n',
    )
    assert served.client().call((1,), {}) == 2
