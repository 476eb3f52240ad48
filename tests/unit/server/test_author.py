"""The functions of `gpumodels.server` for authors, and the calls on an author's model."""

from __future__ import annotations

import asyncio

import pytest

from gpumodels.protocol import messages
from gpumodels.server import cancelled, weights_path
from gpumodels.server.calls import Call, ClientGone, Model
from gpumodels.server.scheduler import SerialScheduler, install
from gpumodels.signature import Signature, TensorSpec


def test_weights_are_found_by_name_and_the_error_for_a_missing_file_lists_the_others(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"")
    monkeypatch.setenv("GPUMODELS_WEIGHTS", str(tmp_path))
    assert weights_path("net.onnx") == tmp_path / "net.onnx"
    with pytest.raises(FileNotFoundError, match=r"no weights 'other' in .*, which holds net\.onnx"):
        weights_path("other")


def test_nothing_is_cancelled_outside_of_a_call():
    assert not cancelled()


class OwnError(BaseException):
    """An exception of the author, which `except Exception` does not catch."""


class RecordedCall(Call):
    """A call that records its answers. Its client leaves after `leaves_after` answers."""

    def __init__(self, leaves_after: int = 1000) -> None:
        super().__init__(messages.ModelInferRequest(model_name="mine"), None)
        self.answers, self.failure, self.ended = [], None, False
        self._leaves_after = leaves_after

    def gone(self):
        return len(self.answers) >= self._leaves_after

    def answer(self, tensors, *, last):
        if self.gone():
            raise ClientGone
        self.answers.append((bytes(tensors[0].data), last))

    def end(self):
        self.ended = True

    def failed(self, failure):
        self.failure = failure

    def drop(self):
        raise AssertionError("the client gets an answer or an error")


def run(call, predict, *, stream=False):
    scheduler = SerialScheduler(Model("mine", predict, Signature((), (TensorSpec("value", "int64", ()),), stream)))
    install(scheduler)
    assert scheduler.submit(call)
    statistics = messages.ModelStatisticsResponse().model_stats.add()
    scheduler.statistics.write(statistics)
    return statistics.inference_stats


@pytest.mark.parametrize(
    "raised", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, OwnError], ids=lambda e: e.__name__
)
def test_any_exception_of_predict_fails_the_call_and_does_not_end_the_server(raised):
    def predict():
        raise raised("bye")

    call = RecordedCall()
    assert run(call, predict).fail.count == 1
    assert f"{raised.__name__}: bye" in str(call.failure)
    assert 'raise raised("bye")' in call.failure.remote_traceback


def test_a_call_is_answered_and_counted():
    call = RecordedCall()
    assert run(call, lambda: 7).success.count == 1
    assert (call.answers, call.failure) == ([((7).to_bytes(8, "little"), True)], None)


def test_a_call_cancelled_before_it_began_does_not_run(capsys):
    assert run(RecordedCall(leaves_after=0), lambda: pytest.fail("it ran")).fail.count == 1
    assert capsys.readouterr().err.count("call cancelled by the client") == 1


def test_a_stream_ends_at_the_next_answer_after_its_client_has_left(capsys):
    events = []

    def predict():
        try:
            for number in range(10):
                events.append(number)
                yield number
        finally:
            events.append("closed")

    call = RecordedCall(leaves_after=2)
    run(call, predict, stream=True)
    assert events == [0, 1, 2, "closed"]
    assert not call.ended
    assert capsys.readouterr().err.count("call cancelled by the client") == 1


def test_a_stream_sends_its_answers_one_by_one_and_then_its_end():
    call = RecordedCall()
    run(call, lambda: (number for number in range(2)), stream=True)
    assert [last for _, last in call.answers] == [False, False]
    assert call.ended


def test_a_predict_that_returns_a_generator_fails_with_advice():
    call = RecordedCall()
    run(call, lambda: (number for number in range(2)))
    assert "predict returned a generator: to give several answers, let predict itself yield them" in str(call.failure)


def test_cancelled_returns_false_in_a_call_whose_client_waits():
    answers = []
    run(RecordedCall(), lambda: answers.append(cancelled()) or 1)
    assert answers == [False]
    assert not cancelled()
