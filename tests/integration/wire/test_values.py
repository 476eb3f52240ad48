"""What goes out comes back: every kind of value through a real server."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from gpumodels.client import descriptors
from gpumodels.errors import CallError

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
]  # fmt: skip


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


def test_big_endian_and_strided_arrays_come_back_equal(client):
    value = np.arange(24, dtype=">i4").reshape(4, 6)[::2, ::-3]
    result = client.call((value,), {})
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, value)


def test_bfloat16_without_ml_dtypes_is_widened_exactly(serve, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)  # as if it were not installed
    served = serve(
        "import numpy as np\nclass Model:\n def load(self, device): pass\n def predict(self, x): return x\n",
        toml='inputs = [{name="x", dtype="bfloat16"}]\noutputs = [{name="y", dtype="bfloat16"}]\n',
    )
    result = served.client().call((np.array([1.0, -2.5, 1e30, np.inf, 1.00390625], np.float32),), {})
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result[[0, 1, 3, 4]], [1.0, -2.5, np.inf, 1.0])
    assert abs(result[2] / 1e30 - 1) < 2**-8


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("shm", [True, False])
def test_results_are_writable_owned_and_outlive_the_next_call_and_the_server(serve, size, shm):
    served = serve()
    client = served.client(shm=shm)
    first = client.call((np.full(size, 7.0),), {})
    client.call((np.full(size, 8.0),), {})
    client.close()
    served.process.kill()
    assert first.flags.writeable
    assert first.flags.owndata
    assert (first == 7.0).all()
    first += 1


def test_a_result_leaves_no_file_behind(client, echo):
    client.call((np.zeros(1_000_000),), {})
    assert echo.shared_files("out-") == []


def test_an_input_region_is_used_again_and_removed_at_the_end(echo):
    client = echo.client()
    client.call((np.zeros(100_000),), {})
    before = echo.shared_files("in-")
    client.call((np.zeros(90_000),), {})
    assert echo.shared_files("in-") == before
    client.close()
    assert echo.shared_files("in-") == []


@pytest.fixture
def no_room():
    """Files above 500 kB cannot be made, by this process and those that it starts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_an_input_falls_back_to_a_message(echo, no_room):
    client = echo.client()
    value = np.arange(100_000)
    np.testing.assert_array_equal(client.call((value,), {}), value)
    assert echo.shared_files() == []


def test_no_room_for_a_result_falls_back_to_a_message(serve, no_room):
    served = serve()
    client = served.client(shm=False)
    client._shm = client._replies._directory = descriptors.directory(served.shm)
    value = np.arange(100_000)
    np.testing.assert_array_equal(client.call((value,), {}), value)
    assert served.shared_files() == []


def test_a_server_without_shared_memory_is_called_by_messages(serve):
    served = serve(shm=False)
    value = np.arange(100_000)
    np.testing.assert_array_equal(served.client().call((value,), {}), value)
    assert served.shared_files() == []


def test_more_than_a_message_holds_without_shared_memory_is_a_clear_error(echo):
    client = echo.client(shm=False)
    with pytest.raises(CallError, match=r"the inputs of echo are 2\.0 GiB, /dev/shm has no room"):
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
    """This process, not those it starts later, may take 200 MB more than it has."""
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
