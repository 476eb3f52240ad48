"""What `gpumodels.server` offers to a model's author."""

from __future__ import annotations

import asyncio

import pytest

from gpumodels.protocol import messages
from gpumodels.server import cancelled, weights_path
from gpumodels.server.calls import Call, ClientGone, Model
from gpumodels.server.scheduler import SerialScheduler, install
from gpumodels.signature import Signature, TensorSpec


def test_weights_are_found_by_name_and_missing_ones_name_those_that_are_there(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"")
    monkeypatch.setenv("GPUMODELS_WEIGHTS", str(tmp_path))
    assert weights_path("net.onnx") == tmp_path / "net.onnx"
    with pytest.raises(FileNotFoundError, match=r"no weights 'other' in .*, which holds net\.onnx"):
        weights_path("other")


def test_nothing_is_cancelled_outside_of_a_call():
    assert not cancelled()


class OwnError(BaseException):
    """An author's own, which no `except Exception` hears."""


class Asked(Call):
    """A call whose client keeps what it is told, and leaves after so many answers."""

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


def run(call, predict, *, stream=False):
    scheduler = SerialScheduler(Model("mine", predict, Signature((), (TensorSpec("value", "int64", ()),), stream)))
    install(scheduler)
    assert scheduler.submit(call)
    told = messages.ModelStatisticsResponse().model_stats.add()
    scheduler.statistics.write(told)
    return told.inference_stats


@pytest.mark.parametrize(
    "raised", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, OwnError], ids=lambda e: e.__name__
)
def test_whatever_predict_raises_is_a_failed_call_and_not_the_end_of_the_server(raised):
    def predict():
        raise raised("bye")

    call = Asked()
    assert run(call, predict).fail.count == 1
    assert f"{raised.__name__}: bye" in str(call.failure)
    assert 'raise raised("bye")' in call.failure.remote_traceback


def test_a_call_is_answered_and_counted():
    call = Asked()
    assert run(call, lambda: 7).success.count == 1
    assert (call.answers, call.failure) == ([((7).to_bytes(8, "little"), True)], None)


def test_a_call_cancelled_before_it_began_does_not_run(capsys):
    assert run(Asked(leaves_after=0), lambda: pytest.fail("it ran")).fail.count == 1
    assert capsys.readouterr().err.count("call cancelled by the client") == 1


def test_a_client_that_leaves_during_a_stream_ends_it_at_the_next_answer(capsys):
    given = []

    def predict():
        try:
            for number in range(10):
                given.append(number)
                yield number
        finally:
            given.append("closed")

    call = Asked(leaves_after=2)
    run(call, predict, stream=True)
    assert given == [0, 1, 2, "closed"]
    assert not call.ended
    assert capsys.readouterr().err.count("call cancelled by the client") == 1


def test_answers_of_a_stream_come_one_by_one_and_then_its_end():
    call = Asked()
    run(call, lambda: (number for number in range(2)), stream=True)
    assert [last for _, last in call.answers] == [False, False]
    assert call.ended


def test_a_generator_that_nothing_announced_is_told_to_the_author():
    call = Asked()
    run(call, lambda: (number for number in range(2)))
    assert "predict returned a generator: to give several answers, let predict itself yield them" in str(call.failure)


def test_inside_a_call_the_author_may_ask_whether_it_was_cancelled():
    asked = []
    run(Asked(), lambda: asked.append(cancelled()) or 1)
    assert asked == [False]
    assert not cancelled()
