"""Every way to call a model in a real kernel: results, the stop button, and tracebacks."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from tests.magics.conftest import ECHO, wait_until

TYPIST = f"%load_model {Path(__file__).parents[2] / 'notebooks/models/typist'} --engine fake --gpu none"


@pytest.fixture
def echo(kernel):
    kernel.ok(f"{ECHO};\nimport time, asyncio")
    return kernel


def interrupted(kernel, code: str, *, error: str = "KeyboardInterrupt") -> None:
    """Run the code and press the stop button after a second. Check that the cell and the call in the server end."""
    log = "print(echo.logs(1000))" if "echo" in code else "print(typist.logs(1000))"
    before = kernel.ok(log).stream.count("call cancelled by the client")
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.monotonic())
        kernel.interrupt()

    timer = threading.Timer(1.0, press)
    timer.start()
    ran = kernel.run(code)
    took = time.monotonic() - pressed[0]
    assert (ran.status, ran.error) == ("error", error), ran
    assert took < 5, "it takes less than a second on a machine that has nothing else to do"
    wait_until(
        lambda: kernel.ok(log).stream.count("call cancelled by the client") > before, lambda: kernel.ok(log).stream
    )


def test_map_gives_results_in_order_and_takes_only_the_items_it_needs(echo):
    ran = echo.ok(
        "taken = []\n"
        "def items():\n"
        "    for n in range(1000):\n"
        "        taken.append(n)\n"
        "        yield n\n"
        "results = echo.map(items(), concurrency=3)\n"
        "[next(results) for _ in range(5)], len(taken)"
    )
    assert ran.result == "([0, 1, 2, 3, 4], 7)"
    assert echo.ok("list(echo.map([1, 2], [0.0, 0.0]))").result == "[1, 2]"
    assert echo.ok("list(echo.map(range(100), sleep=0.001)) == list(range(100))").result == "True"


def test_map_raises_an_error_in_its_place_and_ends_the_calls_in_flight(echo):
    ran = echo.run(
        "for value in echo.map([1, 2, 3, 4], [0.0] * 4, [0.0] * 4, [0] * 4, ['', '', 'no', '']): print(value)"
    )
    assert (ran.status, ran.error, ran.stream) == ("error", "ModelCallError", "1\n2\n")


def test_a_long_map_shows_a_bar_and_a_short_one_none(echo):
    short = echo.ok("list(echo.map(range(50)))")
    assert short.shown == []
    assert short.stream == ""
    long = echo.ok("x = list(echo.map(range(60), sleep=0.05))")
    assert any("echo" in text or "60" in text for text in [*long.shown, *long.states, long.stream]), long


def test_submit_acall_amap_and_stream(echo):
    assert echo.ok("echo.submit(3).result()").result == "3"
    assert echo.ok("await echo.acall(4)").result == "4"
    assert echo.ok("[value async for value in echo.amap(range(5))]").result == "[0, 1, 2, 3, 4]"
    echo.ok("async def letters():\n    for letter in 'ab':\n        yield letter")
    assert echo.ok("[value async for value in echo.amap(letters())]").result == "['a', 'b']"
    echo.ok(f"{TYPIST};")
    ran = echo.ok("for word in typist.stream('one two three'): print(word)")
    assert ran.stream == "one\ntwo\nthree\n"
    assert echo.ok("typist('one two')").result == "['one', 'two']"
    assert echo.ok("list(echo.stream(5))").result == "[5]"


def test_an_array_in_shared_memory_is_called_with_in_place(echo):
    ran = echo.ok("a = echo.empty('value', (3, 100_000), 'float32'); a[1] = 7; echo(a[1]).sum(), a[0].sum()")
    assert ran.result == "(np.float32(700000.0), np.float32(0.0))"
    assert echo.run("echo.empty('valeu', (3,))").error == "InputError"
    assert (
        echo.run("echo.empty('value', (3,))").error == "InputError"
    )  # the input takes any dtype, so one must be given


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("echo(1, sleep=60.0)", "KeyboardInterrupt"),
        ("list(echo.map(range(9), sleep=60.0))", "KeyboardInterrupt"),
        ("echo.submit(1, sleep=60.0).result()", "KeyboardInterrupt"),
        ("await echo.acall(1, sleep=60.0)", "CancelledError"),
        ("async for value in echo.amap(range(9), sleep=60.0): pass", "CancelledError"),
        ("await asyncio.gather(echo.acall(1, sleep=60.0), echo.acall(2))", "CancelledError"),
    ],
    ids=["call", "map", "submit", "acall", "amap", "gather"],
)
def test_the_stop_button_ends_the_call_here_and_in_the_server(echo, code, error):
    interrupted(echo, code, error=error)
    assert echo.ok("echo('usable')").result == "'usable'"


def test_the_stop_button_ends_a_stream_here_and_in_the_server(kernel):
    kernel.ok(f"{TYPIST};")
    interrupted(kernel, "for word in typist.stream('word ' * 1000, pause=0.1): pass")
    assert kernel.ok("typist('usable')").result == "['usable']"


def test_a_future_can_be_cancelled_while_it_runs(echo):
    ran = echo.ok(
        "from concurrent.futures import wait\n"
        "future = echo.submit(1, sleep=60.0); time.sleep(0.3)\n"
        "future.cancel(), future.cancelled(), len(wait([future], timeout=5).done), echo(2)"
    )
    assert ran.result == "(True, True, 1, 2)"


def test_leaving_a_map_early_ends_the_calls_in_flight(echo):
    assert echo.ok("results = echo.map([0, 1, 2], [0.0, 60.0, 60.0]); next(results)").result == "0"
    began = time.monotonic()
    assert echo.ok("results.close(); echo('free')").result == "'free'"
    assert time.monotonic() - began < 30


def test_an_errors_traceback_ends_with_the_users_line_and_the_models_own(echo):
    for code in (
        "echo(1, fail='no luck')",
        "echo.submit(1, fail='no luck').result()",
        "await echo.acall(1, fail='no luck')",
    ):
        ran = echo.run(f"def mine():\n    pass\n{code}")
        text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(ran.traceback))
        assert code in text
        assert "ValueError: no luck" in text
        assert "images/echo/model.py" in text
        for inside in ("hide_frames.py", "client.py", "lane.py", "handle.py", "futures.py"):
            assert inside not in text, text


def test_a_model_cannot_be_pickled_and_says_what_to_do(echo):
    ran = echo.run("import pickle; pickle.dumps(echo)")
    assert ran.error == "TypeError"
    assert "cannot be sent to another process" in ran.traceback[-1]
