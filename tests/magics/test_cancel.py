"""The stop button during a load, in a real kernel: the load ends and leaves nothing."""

from __future__ import annotations

import threading

import pytest

from tests.magics.conftest import ECHO, left, started

SLOW = f"{ECHO} --env ECHO_LOAD=sleep:60"


def check(kernel, runtime, ran) -> None:
    assert (ran.status, ran.error) == ("error", "LoadCancelled"), ran
    assert ran.traceback == ["LoadCancelled: echo: cancelled, nothing left"]
    assert ran.shown == ["cancelled, nothing left"]
    assert left(runtime) == [], "gone at once, without a sweep"
    assert kernel.ok("'echo' in globals() or 'model' in globals()").result == "False"


@pytest.mark.parametrize(("text", "times"), [("starting", 1), ("loading", 1), ("loading", 4)])
def test_stopping_at_a_step_of_the_load(kernel, runtime, text, times):
    seen: list[str] = []

    def press(shown: str) -> None:
        if shown.startswith(text):
            seen.append(shown)
            if len(seen) == times:
                kernel.interrupt()

    check(kernel, runtime, kernel.run(SLOW, watch=press))


def test_stopping_at_any_moment_of_the_start(kernel, runtime):
    kernel.ok(
        f"{ECHO} --as warm;\nwarm.stop()"
    )  # this imports all modules, so the delays below end during the load itself
    for delay in (0.0, 0.01, 0.03, 0.05, 0.08, 0.12, 0.17, 0.25):
        timers: list[threading.Timer] = []

        def press(_: str, delay: float = delay, timers: list[threading.Timer] = timers) -> None:
            if not timers:
                timers.append(threading.Timer(delay, kernel.interrupt))
                timers[0].start()

        check(kernel, runtime, kernel.run(SLOW, watch=press))


def test_stopping_while_an_environment_is_made(tmp_path, runtime):
    # The test has its own empty cache, so that the environment must be made.
    with started(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")) as kernel:

        def press(text: str) -> None:
            if text.startswith("making"):
                kernel.interrupt()

        ran = kernel.run("%load_model echo --engine process --gpu none", watch=press)
        check(kernel, runtime, ran)
        environments = tmp_path / "cache" / "gpumodels" / "environments"
        assert [path for path in environments.iterdir() if path.is_dir()] == []


def test_the_model_can_be_loaded_after_a_stop(kernel, runtime):
    check(kernel, runtime, kernel.run(SLOW, watch=lambda shown: shown.startswith("starting") and kernel.interrupt()))
    assert kernel.ok(f"{ECHO};\necho(1)").result == "1"
