"""What `gpumodels.server` offers to a model's author."""

from __future__ import annotations

import asyncio

import pytest

from gpumodels.server import cancelled, weights_path
from gpumodels.server.calls import Call, CallFailed


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


@pytest.mark.parametrize(
    "raised", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, OwnError], ids=lambda e: e.__name__
)
def test_whatever_predict_raises_is_a_failed_call_and_not_the_end_of_the_server(raised):
    def predict():
        raise raised("bye")

    call = Call({}, lambda value: value, lambda: None)
    call.run(predict)
    assert isinstance(call.outcome, CallFailed)
    assert f"{raised.__name__}: bye" in str(call.outcome)
    assert 'raise raised("bye")' in call.outcome.remote_traceback


def test_a_reply_made_while_its_call_was_cancelled_is_discarded(capsys):
    discarded = []
    call = Call({}, lambda value: call.end() or value, lambda: discarded.append(1))
    call.run(lambda: 1)
    assert discarded == [1]
    assert "call cancelled by the client" in capsys.readouterr().err


def test_a_call_cancelled_before_it_began_does_not_run():
    call = Call({}, lambda value: value, lambda: None)
    call.end()
    call.run(lambda: pytest.fail("it ran"))
