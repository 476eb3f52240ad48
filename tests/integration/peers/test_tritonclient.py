"""Calls of the published tritonclient on a served model."""

from __future__ import annotations

import asyncio
import queue
import threading

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.integration.peers.conftest import value

ARRAYS = [
    (np.arange(12, dtype=np.uint8).reshape(2, 2, 3), "UINT8"),
    (np.array([[1.5, -2.5]], np.float32), "FP32"),
    (np.array([1.5, np.inf], np.float64), "FP64"),
    (np.array([0.5, -0.25], np.float16), "FP16"),
    (np.array([True, False, True]), "BOOL"),
    (np.array([-1, 2**62], np.int64), "INT64"),
    (np.zeros((0, 3), np.int32), "INT32"),
    (np.array([b"a", b"\xff\x00b", b""], object), "BYTES"),
]


def test_a_served_model_is_live_and_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    assert client.is_model_ready("echo", "1")


def test_metadata_and_repository_index_describe_server_and_model(client):
    server = client.get_server_metadata(as_json=True)
    assert server["name"] == "gpumodels"
    assert server["version"]
    assert {"statistics", "system_shared_memory"} <= set(server["extensions"])
    model = client.get_model_metadata("echo", as_json=True)
    assert (model["name"], model["versions"]) == ("echo", ["1"])
    assert [each["name"] for each in model["inputs"]][:2] == ["value", "sleep"]
    index = client.get_model_repository_index(as_json=True)
    assert index["models"] == [{"name": "echo", "version": "1", "state": "READY"}]


def test_the_configuration_has_names_types_and_shapes(typed):
    with typed.client() as client:
        config = client.get_model_config("typed").config
    inputs = {each.name: each for each in config.input}
    assert (config.name, config.max_batch_size, config.model_transaction_policy.decoupled) == ("typed", 0, False)
    assert {name: triton.model_config_pb2.DataType.Name(each.data_type) for name, each in inputs.items()} == {
        "image": "TYPE_UINT8",
        "names": "TYPE_STRING",
        "half": "TYPE_FP16",
        "flags": "TYPE_BOOL",
        "scale": "TYPE_FP64",
    }
    assert list(inputs["image"].dims) == [-1, -1, 3]
    assert [each.name for each in config.input if each.optional] == ["scale"]
    assert [list(each.dims) for each in config.output] == [[], [-1], [2, 2], [-1]]


@pytest.mark.parametrize(("array", "datatype"), ARRAYS, ids=[datatype for _, datatype in ARRAYS])
def test_every_kind_of_array_comes_back(client, array, datatype):
    back = client.infer("echo", [value(array, datatype)], request_id="7")
    np.testing.assert_array_equal(back.as_numpy("value"), array)
    assert back.as_numpy("value").dtype == array.dtype
    response = back.get_response()
    assert (response.id, response.model_name, response.model_version) == ("7", "echo", "1")


def test_a_declared_signature_may_have_several_inputs_and_outputs(typed):
    inputs = [
        value(np.full((4, 5, 3), 2, np.uint8), "UINT8", "image"),
        value(np.array(["ä", "b"], object), "BYTES", "names"),
        value(np.full((2, 2), 1.5, np.float16), "FP16", "half"),
        value(np.array([True, False]), "BOOL", "flags"),
    ]
    with typed.client() as client:
        back = client.infer("typed", inputs)
        assert back.as_numpy("total") == 120
        assert [each.decode() for each in back.as_numpy("names")] == ["Ä", "B"]
        np.testing.assert_array_equal(back.as_numpy("half"), np.full((2, 2), 3, np.float16))
        assert back.as_numpy("flags").tolist() == [False, True]
        chosen = client.infer("typed", inputs, outputs=[triton.InferRequestedOutput("total")])
        assert [each.name for each in chosen.get_response().outputs] == ["total"]


def test_typed_contents_in_the_message_are_read(client, echo):
    request = service_pb2.ModelInferRequest(model_name="echo")
    tensor = request.inputs.add(name="value", datatype="FP32", shape=[3])
    tensor.contents.fp32_contents.extend([1, 2.5, -3])
    response = client._client_stub.ModelInfer(request, metadata=list(echo.endpoint.headers.items()))
    assert np.frombuffer(response.raw_output_contents[0], np.float32).tolist() == [1, 2.5, -3]


def test_calls_at_once_from_threads_and_callbacks_are_answered(client):
    answers: queue.SimpleQueue = queue.SimpleQueue()

    def send(number):
        array = np.full(1000, number, np.int32)
        client.async_infer("echo", [value(array, "INT32")], lambda result, error: answers.put((number, result, error)))

    threads = [threading.Thread(target=send, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in threads:
        number, result, error = answers.get(timeout=30)
        assert error is None
        assert (result.as_numpy("value") == number).all()


def test_calls_from_an_event_loop_are_answered(echo):
    async def calls():
        async with triton_aio.InferenceServerClient(echo.endpoint.address) as client:
            headers = echo.endpoint.headers
            assert await client.is_model_ready("echo", headers=headers)
            arrays = [np.full(5, number, np.int64) for number in range(8)]
            asked = [client.infer("echo", [value(each, "INT64")], headers=headers) for each in arrays]
            return [back.as_numpy("value")[0] for back in await asyncio.gather(*asked)]

    assert asyncio.run(calls()) == list(range(8))


def test_a_failed_call_does_not_end_its_stream(client):
    answers: queue.SimpleQueue = queue.SimpleQueue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    array = np.arange(3, dtype=np.int32)
    fails = triton.InferInput("fail", [], "BYTES")
    fails.set_data_from_numpy(np.array(b"on purpose", object))
    client.async_stream_infer("echo", [value(array, "INT32")], request_id="first")
    client.async_stream_infer("echo", [value(array, "INT32"), fails], request_id="second")
    client.async_stream_infer("other", [value(array, "INT32")], request_id="third")
    client.async_stream_infer("echo", [value(array + 1, "INT32")], request_id="fourth")
    first, second, third, fourth = (answers.get(timeout=30) for _ in range(4))
    client.stop_stream()
    assert first[0].get_response().id == "first"
    assert "on purpose" in str(second[1])
    assert "'other'" in str(third[1])
    assert fourth[0].as_numpy("value").tolist() == [1, 2, 3]
    assert client.is_model_ready("echo")


def test_leaving_a_stream_cancels_the_call_that_runs(echo):
    with echo.client() as client:
        client.start_stream(lambda result, error: None)
        sleeps = value(np.array(60.0), "FP64", "sleep")
        client.async_stream_infer("echo", [value(np.zeros(1), "FP64"), sleeps])
        client.stop_stream(cancel_requests=True)
        assert client.infer("echo", [value(np.ones(1), "FP64")], client_timeout=30).as_numpy("value").tolist() == [1]


def test_a_model_that_gives_several_answers_streams_them(counting):
    answers: queue.SimpleQueue = queue.SimpleQueue()
    upto = [value(np.array(number), "INT64", "upto") for number in (3, 5)]
    with counting.client() as client:
        assert client.get_model_config("counting").config.model_transaction_policy.decoupled
        with pytest.raises(InferenceServerException, match=r"UNIMPLEMENTED.*ModelStreamInfer"):
            client.infer("counting", [upto[0]])
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("counting", [upto[0]], request_id="a", enable_empty_final_response=True)
        given = [answers.get(timeout=30)[0].get_response() for _ in range(4)]
        client.async_stream_infer("counting", [upto[1]], request_id="b")
        failing = [answers.get(timeout=30) for _ in range(6)]
        client.stop_stream()
    assert [int(triton.InferResult(each).as_numpy("output").item()) for each in given[:3]] == [0, 1, 2]
    assert [each.parameters["triton_final_response"].bool_param for each in given] == [False, False, False, True]
    assert not given[3].outputs
    assert {each.id for each in given} == {"a"}
    assert [int(result.as_numpy("output").item()) for result, _ in failing[:5]] == [0, 1, 2, 3, 4]
    assert "too far" in str(failing[5][1])


def test_calls_are_counted(client):
    def statistics():
        (stats,) = client.get_inference_statistics("echo").model_stats
        return stats

    before = statistics()
    client.infer("echo", [value(np.ones(3), "FP64"), value(np.array(0.05), "FP64", "sleep")])
    with pytest.raises(InferenceServerException):
        client.infer("echo", [value(np.ones(3), "FP64"), value(np.array(b"on purpose", object), "BYTES", "fail")])
    after = statistics()
    assert after.version == "1"
    assert after.inference_count == before.inference_count + 1
    assert after.inference_stats.success.count == before.inference_stats.success.count + 1
    assert after.inference_stats.fail.count == before.inference_stats.fail.count + 1
    assert after.inference_stats.compute_infer.ns - before.inference_stats.compute_infer.ns > 50e6
    assert after.last_inference >= before.last_inference
    assert client.get_inference_statistics().model_stats[0].name == "echo"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic x"}])
def test_a_call_without_the_token_gets_no_information(echo, headers):
    array = value(np.ones(1), "FP64")
    calls = [
        lambda client: client.is_server_live(headers=headers),
        lambda client: client.get_model_metadata("echo", headers=headers),
        lambda client: client.get_model_metadata("other", headers=headers),
        lambda client: client.infer("echo", [array], headers=headers),
        lambda client: client.get_log_settings(headers=headers),  # our server does not implement this method
    ]
    with triton.InferenceServerClient(echo.endpoint.address) as client:
        for call in calls:
            with pytest.raises(InferenceServerException, match=r"UNAUTHENTICATED.*model.endpoint.headers"):
                call(client)
        answers: queue.SimpleQueue = queue.SimpleQueue()
        client.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
        assert "UNAUTHENTICATED" in str(answers.get(timeout=30)[1])
        client.stop_stream()


def test_another_models_name_and_another_version_are_not_found(client):
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*'echo', not 'other'"):
        client.infer("other", [value(np.ones(1), "FP64")])
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*no version '2', only 1"):
        client.infer("echo", [value(np.ones(1), "FP64")], model_version="2")
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        client.get_model_config("echo", "2")
    assert client.infer("echo", [value(np.ones(1), "FP64")], model_version="1")


def test_methods_that_are_not_supported_are_unimplemented(client):
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        client.load_model("echo")
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        client.get_cuda_shared_memory_status()


def test_the_error_of_a_wrong_input_names_it(client):
    with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT.*'nothing'"):
        client.infer("echo", [value(np.ones(1), "FP64", "nothing")])
    with pytest.raises(InferenceServerException, match=r"INTERNAL.*on purpose"):
        client.infer("echo", [value(np.ones(1), "FP64"), value(np.array(b"on purpose", object), "BYTES", "fail")])
