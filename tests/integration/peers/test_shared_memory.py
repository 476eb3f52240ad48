"""System shared memory that tritonclient makes in the machine's /dev/shm, which a served instance sees."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, shared_memory

SHM = Path("/dev/shm")
SIZE = 1 << 20


@pytest.fixture
def region():
    """A function that makes regions. Other users may open them, as root's containers run as another user."""
    made = []

    def make(size=SIZE, *, mode=0o666):
        key = f"gpumodels-test-{uuid.uuid4().hex}"
        made.append(shared_memory.create_shared_memory_region(key, key, size, create_only=True))
        (SHM / key).chmod(mode)
        return made[-1], key

    yield make
    for handle in made:
        shared_memory.destroy_shared_memory_region(handle)


@pytest.fixture
def client(client):
    yield client
    client.unregister_system_shared_memory()


def test_inputs_and_outputs_go_through_shared_memory(client, region):
    (given, given_key), (got, got_key) = region(), region()
    array = np.arange(SIZE // 4, dtype=np.float32).reshape(-1, 64)
    shared_memory.set_shared_memory_region(given, [array])
    client.register_system_shared_memory("given", given_key, SIZE)
    client.register_system_shared_memory("got", got_key, SIZE)
    status = client.get_system_shared_memory_status(as_json=True)["regions"]
    assert {name: (each["key"], int(each["byte_size"])) for name, each in status.items()} == {
        "given": (given_key, SIZE),
        "got": (got_key, SIZE),
    }
    value = triton.InferInput("value", array.shape, "FP32")
    value.set_shared_memory("given", SIZE)
    output = triton.InferRequestedOutput("value")
    output.set_shared_memory("got", SIZE)
    for factor in (1, 2):
        shared_memory.set_shared_memory_region(given, [array * factor])
        answer = client.infer("echo", [value], outputs=[output]).get_output("value")
        assert answer.parameters["shared_memory_region"].string_param == "got"
        back = shared_memory.get_contents_as_numpy(got, np.float32, list(answer.shape))
        np.testing.assert_array_equal(back, array * factor)
    client.unregister_system_shared_memory("given")
    assert list(client.get_system_shared_memory_status("got").regions) == ["got"]
    with pytest.raises(InferenceServerException, match="'given'"):
        client.infer("echo", [value])


def test_a_region_that_is_missing_or_too_short_is_refused(client, region):
    _, key = region()
    with pytest.raises(InferenceServerException, match="cannot open shared memory 'gpumodels-nothing'"):
        client.register_system_shared_memory("nothing", "gpumodels-nothing", 16)
    with pytest.raises(InferenceServerException, match=f"{2 * SIZE}"):
        client.register_system_shared_memory("short", key, 2 * SIZE)
    client.register_system_shared_memory("whole", key, SIZE)
    with pytest.raises(InferenceServerException, match="'whole'"):
        client.register_system_shared_memory("whole", key, SIZE)


@pytest.mark.parametrize("key", ["../etc/passwd", "/../etc/passwd", ".", "", "a/b"])
def test_no_key_leads_out_of_the_directory(client, key):
    with pytest.raises(InferenceServerException):
        client.register_system_shared_memory("outside", key, 1)


def test_a_link_in_the_shared_memory_directory_is_not_followed(client):
    link = SHM / f"gpumodels-test-{uuid.uuid4().hex}"
    link.symlink_to("/etc/passwd")
    try:
        with pytest.raises(InferenceServerException, match="cannot open shared memory"):
            client.register_system_shared_memory("linked", link.name, 1)
    finally:
        link.unlink()


@pytest.mark.root
def test_the_error_for_a_file_that_the_server_may_not_open_tells_what_to_do(client, echo, region):
    _, key = region(mode=0o600)
    if echo.engine == "docker":  # root's containers run as another user
        with pytest.raises(InferenceServerException, match=r"Permission denied .* uid 65532; .* `chmod o\+rw`"):
            client.register_system_shared_memory("closed", key, SIZE)
    else:
        client.register_system_shared_memory("closed", key, SIZE)
