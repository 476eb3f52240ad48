"""Other clients of the v2 protocol on our server, and our client on servers that answer wrongly."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from gpumodels.client import Client
from gpumodels.engines.local import LocalConnector
from gpumodels.errors import CallError, LoadFailed
from gpumodels.protocol import files, messages, methods
from tests.integration.wire.conftest import ROOT

ADD = """
import numpy as np
class Model:
    def load(self, device): pass
    def predict(self, a, b): return a + b
"""
ADD_TOML = """
inputs = [{name="a", dtype="float32", shape=["N"]}, {name="b", dtype="float32", shape=["N"]}]
outputs = [{name="sum", dtype="float32", shape=["N"]}]
"""


@pytest.fixture
def foreign(serve):
    """A plain v2 client of a server that adds, and the server: (stub, served)."""
    served = serve(ADD, toml=ADD_TOML)
    served.client()
    with grpc.insecure_channel(f"unix:{served.sockets}/grpc.sock", options=methods.CHANNEL_OPTIONS) as channel:
        yield methods.stub(channel), served


def adding(served, **contents) -> object:
    request = messages.ModelInferRequest(model_name=served.name, id="7")
    for name in ("a", "b"):
        request.inputs.add(name=name, datatype="FP32", shape=[2])
    return request


def test_typed_contents_are_read(foreign):
    stub, served = foreign
    request = adding(served)
    for tensor in request.inputs:
        tensor.contents.fp32_contents.extend([1.5, 2.5])
    response = stub.ModelInfer(request)
    assert response.id == "7"
    assert np.frombuffer(response.raw_output_contents[0], np.float32).tolist() == [3.0, 5.0]


def test_tritons_shared_memory_calls_and_output_regions(foreign):
    stub, served = foreign
    (served.shm / "mine").write_bytes(np.array([1, 2, 10, 20, 0, 0], np.float32).tobytes())
    stub.SystemSharedMemoryRegister(messages.SystemSharedMemoryRegisterRequest(name="r", key="/mine", byte_size=24))
    assert stub.SystemSharedMemoryStatus(messages.SystemSharedMemoryStatusRequest()).regions["r"].key == "/mine"
    request = adding(served)
    for index, tensor in enumerate(request.inputs):
        messages.set_parameters(
            tensor, shared_memory_region="r", shared_memory_byte_size=8, shared_memory_offset=8 * index
        )
    output = request.outputs.add(name="sum")
    messages.set_parameters(output, shared_memory_region="r", shared_memory_byte_size=8, shared_memory_offset=16)
    response = stub.ModelInfer(request)
    assert messages.parameters(response.outputs[0])["shared_memory_offset"] == 16
    assert np.frombuffer((served.shm / "mine").read_bytes(), np.float32)[4:].tolist() == [11.0, 22.0]
    stub.SystemSharedMemoryUnregister(messages.SystemSharedMemoryUnregisterRequest())
    assert not stub.SystemSharedMemoryStatus(messages.SystemSharedMemoryStatusRequest()).regions


def test_live_and_metadata(foreign):
    stub, served = foreign
    assert stub.ServerLive(messages.ServerLiveRequest()).live
    assert stub.ServerReady(messages.ServerReadyRequest()).ready
    assert "system_shared_memory" in stub.ServerMetadata(messages.ServerMetadataRequest()).extensions
    metadata = stub.ModelMetadata(messages.ModelMetadataRequest(name=served.name))
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs] == [
        ("a", "FP32", [-1]),
        ("b", "FP32", [-1]),
    ]


def _bad(change):
    def make(served):
        request = adding(served)
        request.raw_input_contents.extend([b"\0" * 8, b"\0" * 8])
        change(request)
        return request

    return make


BAD = {
    "too few bytes": (_bad(lambda r: r.raw_input_contents.__setitem__(0, b"\0" * 7)), "needs 8 bytes, 7 came"),
    "negative size": (_bad(lambda r: r.inputs[0].shape.__setitem__(0, -1)), "cannot have the shape"),
    "product overflows": (_bad(lambda r: r.inputs[0].shape.__setitem__(0, 1 << 62)), "bytes, 8 came"),
    "other datatype": (_bad(lambda r: setattr(r.inputs[0], "datatype", "FP64")), "FP32 on the wire, not FP64"),
    "unknown input": (_bad(lambda r: setattr(r.inputs[0], "name", "c")), "the inputs are a, b"),
    "input twice": (_bad(lambda r: setattr(r.inputs[1], "name", "a")), "came twice"),
    "missing input": (_bad(lambda r: r.inputs.__delitem__(1)), "missing: b"),
    "sizes disagree": (_bad(lambda r: r.inputs[1].shape.__setitem__(0, 3)), "its N is 3, elsewhere 2"),
    "other rank": (_bad(lambda r: r.inputs[1].shape.append(1)), r"declared \[N\]"),
    "unknown region": (
        _bad(lambda r: messages.set_parameters(r.inputs[0], shared_memory_region="x")),
        "no shared memory",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_request_that_lies_is_refused(foreign, case):
    stub, served = foreign
    make, match = BAD[case]
    with pytest.raises(grpc.RpcError, match=match) as caught:
        stub.ModelInfer(make(served))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("key", ["../log", "link", "fifo", "", "no such file", "short"])
def test_a_region_that_is_no_regular_file_of_the_directory_is_refused(foreign, key):
    stub, served = foreign
    (served.shm / "link").symlink_to("/etc/passwd")
    os.mkfifo(served.shm / "fifo")
    (served.shm / "short").write_bytes(b"123")
    with pytest.raises(grpc.RpcError) as caught:
        stub.SystemSharedMemoryRegister(messages.SystemSharedMemoryRegisterRequest(name="r", key=key, byte_size=4))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_reply_larger_than_its_region_is_refused(foreign):
    stub, served = foreign
    request = adding(served)
    request.raw_input_contents.extend([b"\0" * 8, b"\0" * 8])
    messages.set_parameters(request.outputs.add(name="sum"), shared_memory_region="r", shared_memory_byte_size=4)
    with pytest.raises(grpc.RpcError, match="is 8 bytes, its region was given 4"):
        stub.ModelInfer(request)


def test_an_error_with_a_long_traceback_fits_the_limits_of_other_clients(serve):
    served = serve(
        "class Model:\n"
        "    def load(self, device): pass\n"
        "    def predict(self, x: int = 100):\n"
        "        if x == 0: raise ValueError('ü' * 100_000)\n"
        "        self.other(x)\n"
        "    def other(self, x): self.predict(x - 1)\n"
    )
    served.client()
    with grpc.insecure_channel(f"unix:{served.sockets}/grpc.sock") as channel:
        with pytest.raises(grpc.RpcError, match="ValueError: üüü") as caught:
            methods.stub(channel).ModelInfer(messages.ModelInferRequest(model_name=served.name))
        assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_another_models_name_is_refused(foreign):
    stub, _ = foreign
    with pytest.raises(grpc.RpcError, match="not 'other'"):
        stub.ModelReady(messages.ModelReadyRequest(name="other"))


class Liar:
    """A server that sends the reply of the test, and accepts no shared memory."""

    def __init__(self) -> None:
        self.response = messages.ModelInferResponse()
        self.metadata = messages.ModelMetadataResponse()
        self.input = self.metadata.inputs.add(name="x", datatype="FP32", shape=[-1])

    def __getattr__(self, name: str) -> object:
        def unimplemented(_request, context):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, name)

        return unimplemented

    def ModelReady(self, _request, _context):  # noqa: N802
        return messages.ModelReadyResponse(ready=True)

    def ModelMetadata(self, _request, _context):  # noqa: N802
        return self.metadata

    def ModelInfer(self, _request, _context):  # noqa: N802
        return self.response


@pytest.fixture
def liar(tmp_path):
    """A client of a server that answers with `liar.response`, and the shared memory directory."""
    servicer = Liar()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((methods.handler(servicer),))
    server.add_insecure_port(f"unix:{tmp_path}/grpc.sock")
    server.start()
    servicer.shm = tmp_path / "regions"
    servicer.shm.mkdir()
    client = Client(LocalConnector(tmp_path, servicer.shm), "liar")
    yield servicer, client
    client.close()
    server.stop(None).wait()


def test_a_server_without_our_extensions_is_called_by_messages(liar):
    servicer, client = liar
    client.wait_ready(time.monotonic() + 10, lambda: None)
    servicer.response.outputs.add(name="y", datatype="INT64", shape=[2]).contents.int64_contents.extend([1, 2])
    assert client.signature().inputs[0].shape == ("d0",)
    assert client.call((np.zeros(100_000, np.float32),), {}).tolist() == [1, 2]
    assert list(servicer.shm.iterdir()) == []


@pytest.mark.parametrize(
    "lie",
    [
        {"dims": "7"},
        {"dims": "{"},
        {"dims": "[" * 100_000},
        {"dims": '[["N"]]'},
        {"dims": "[-1]"},
        {"dtype": "object"},
        {"dtype": 3},
        {"kind": "sound"},
        {"description": 3},
    ],
    ids=lambda lie: str(lie)[:20],
)
def test_a_server_that_lies_about_its_inputs_fails_to_load(liar, lie):
    servicer, client = liar
    messages.set_parameters(servicer.input, **lie)
    with pytest.raises(LoadFailed, match="the metadata of the model server of liar cannot be read"):
        client.wait_ready(time.monotonic() + 10, lambda: None)


LIES = {
    "shape without bytes": {"datatype": "FP32", "shape": [1 << 40], "raw": b"1234"},
    "negative shape": {"datatype": "FP32", "shape": [-1], "raw": b""},
    "no such datatype": {"datatype": "FP31", "shape": [1], "raw": b"1234"},
    "too many dimensions": {"datatype": "UINT8", "shape": [1] * 100, "raw": b"1"},
    "a shape numpy has not": {"datatype": "UINT8", "shape": [0, 1 << 62, 1 << 62], "raw": b""},
    "broken text": {"datatype": "BYTES", "shape": [], "raw": b"\1\0\0\0\xff", "content_type": "str"},
    "broken JSON": {"datatype": "BYTES", "shape": [1], "raw": b"\1\0\0\0{", "content_type": "json"},
    "BYTES that end early": {"datatype": "BYTES", "shape": [1], "raw": b"\xff\0\0\0a"},
    "many BYTES in few bytes": {"datatype": "BYTES", "shape": [1 << 50], "raw": b"\0\0\0\0"},
    "a region that nobody asked for": {"datatype": "UINT8", "shape": [4], "region": "../secret"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_reply_that_lies_is_a_call_error(liar, lie):
    servicer, client = liar
    client.wait_ready(time.monotonic() + 10, lambda: None)
    told = LIES[lie]
    output = servicer.response.outputs.add(name="y", datatype=told["datatype"], shape=told["shape"])
    if "content_type" in told:
        messages.set_parameters(output, content_type=told["content_type"])
    if "region" in told:
        messages.set_parameters(output, shared_memory_region=told["region"])
        messages.set_parameters(output, shared_memory_byte_size=told["shape"][0])
    servicer.response.raw_output_contents.append(told.get("raw", b""))
    with pytest.raises(CallError, match="the answer of liar cannot be read"):
        client.call((np.zeros(1, np.float32),), {})


def test_a_region_that_the_server_truncates_does_not_harm_the_notebook(serve):
    served = serve()
    client = served.client(lane=False)
    client.call((np.zeros(100_000),), {})
    (region,) = served.shared_files()
    stop = threading.Event()

    def truncate() -> None:
        while not stop.is_set():
            os.truncate(served.shm / region, 0)

    thread = threading.Thread(target=truncate)
    thread.start()
    try:
        with client._transport._regions.lend(800_000) as again:
            files.write(again.fd, memoryview(bytes(800_000)), 0)
    finally:
        stop.set()
        thread.join()


CLASH = """
import sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
def theirs():
    file = descriptor_pb2.FileDescriptorProto(name="grpc_service.proto", package="inference", syntax="proto3")
    file.message_type.add(name="ModelInferRequest").field.add(name="other", number=1, type=9, label=1)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelInferRequest"))
    assert kind(other="x").SerializeToString()
def ours():
    from gpumodels.protocol import messages
    assert messages.ModelInferRequest(model_name="x").SerializeToString()
for name in sys.argv[1:]:
    globals()[name]()
"""


@pytest.mark.parametrize("order", [("theirs", "ours"), ("ours", "theirs")])
def test_another_definition_of_the_same_messages_in_the_process_does_not_clash(order):
    subprocess.run([sys.executable, "-c", CLASH, *order], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
