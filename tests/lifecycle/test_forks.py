"""Process pools and forks made after a call: they work, print nothing, and do not disturb the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.leftovers import ROOT, until

POOL = """
import concurrent.futures, multiprocessing, os, threading, time
import numpy as np
import gpumodels

model = gpumodels.load("echo", gpu="none", engine="fake")
kept = model.empty("value", (50_000,), "int64")

def work(number):
    value = np.full(50_000, number)
    assert (model(value) == value).all()
    return int(model(number)), os.getpid()

assert model(np.zeros(100_000)).shape == (100_000,)
{how}
assert {{number for number, _ in found}} == set(range(20)), found
assert os.getpid() not in {{pid for _, pid in found}}
assert model(1) == 1
"""

HOWS = {
    "pool": """
with multiprocessing.get_context("fork").Pool(4) as pool:
    found = pool.map(work, range(20))
""",
    "executor": """
context = multiprocessing.get_context("fork")
with concurrent.futures.ProcessPoolExecutor(4, mp_context=context) as pool:
    found = list(pool.map(work, range(20)))
""",
    "while threads call": """
over = threading.Event()
def calls():
    while not over.is_set():
        assert model(np.ones(50_000)).sum() == 50_000
threads = [threading.Thread(target=calls) for _ in range(3)]
for thread in threads: thread.start()
with multiprocessing.get_context("fork").Pool(4) as pool:
    found = pool.map(work, range(20))
over.set()
for thread in threads: thread.join()
""",
    "while calls are submitted": """
futures = [model.submit(1, sleep=0.05) for _ in range(8)]
with multiprocessing.get_context("fork").Pool(4) as pool:
    found = pool.map(work, range(20))
assert [future.result() for future in futures] == [1] * 8
""",
    "with gRPC in the process": """
from gpumodels.client import Client
other = Client(model.attachment.instance.connector(), "echo", lane=False)
other.wait_ready(time.monotonic() + 30, lambda: None)
other.call((1,), {})
with multiprocessing.get_context("fork").Pool(4) as pool:
    found = pool.map(work, range(20))
assert other.call((2,), {}) == 2
other.close()
""",
}


def run(source: str, *options: str) -> subprocess.CompletedProcess:
    arguments = [sys.executable, *options, "-c", textwrap.dedent(source)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(arguments, capture_output=True, text=True, env=env, timeout=120, check=False)


@pytest.mark.parametrize("how", HOWS)
def test_forked_workers_call_the_handle_and_print_nothing(how):
    done = run(POOL.format(how=HOWS[how]))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize("how", ["pool", "executor", "while threads call", "with gRPC in the process"])
def test_a_pool_in_a_notebook_leaves_the_cell_empty(kernel, how):
    assert kernel.run(POOL.format(how=HOWS[how])) == ""


def test_sending_a_model_to_a_spawned_pool_raises_a_clear_error():
    done = run("""
        import multiprocessing
        import gpumodels
        def main():
            with gpumodels.load("echo", gpu="none", engine="fake") as model:
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    try:
                        pool.map(model, [1])
                    except TypeError as error:
                        print(error)
        if __name__ == "__main__":
            main()
    """)
    assert done.stdout.startswith("the model echo cannot be sent to another process: ")
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_local_models_need_no_grpc():
    done = run("""
        import sys
        import gpumodels
        with gpumodels.load("echo", gpu="none", engine="process") as model:
            assert model(1) == 1
            list(model.map([1, 2]))
            print([name for name in sys.modules if name.split(".")[0] == "grpc"])
    """)
    assert (done.stdout, done.stderr) == ("[]\n", "")


ORPHAN = """
import os
%load_ext gpumodels
import gpumodels, time
model = gpumodels.load("echo", gpu="none", engine={engine!r})
model(1)
child = os.fork()
if child == 0:
    assert model(2) == 2
    open("called", "w").close()
    while os.getppid() != 1 and not os.path.exists("ended"):
        time.sleep(0.01)
    time.sleep({wait})
    try:
        model(3)
        outcome = "it answered"
    except gpumodels.ModelGone as error:
        outcome = str(error)
    with open("outcome.part", "w") as file:
        file.write(outcome)
    os.rename("outcome.part", "outcome")
    os._exit(0)
print(child)
"""


def test_calls_of_children_that_outlive_their_notebook_raise_model_gone(kernel, engine_name, leftovers):
    child = int(kernel.run(ORPHAN.format(engine=engine_name, wait=1.0)))
    try:
        until((kernel.cwd / "called").exists)
        os.kill(kernel.pid, signal.SIGKILL)
        (kernel.cwd / "ended").touch()
        leftovers.wait(10)
        until((kernel.cwd / "outcome").exists)
    finally:
        os.kill(child, signal.SIGKILL)
    outcome = (kernel.cwd / "outcome").read_text()
    assert outcome.startswith("The model server of echo is gone: it ended with the process that loaded it")


def test_a_child_that_ends_in_any_way_leaves_the_parents_calls_alone():
    done = run("""
        import os, signal, sys, threading
        import numpy as np
        import gpumodels
        with gpumodels.load("echo", gpu="none", engine="fake") as model:
            running = threading.Thread(target=lambda: model(np.zeros(100_000), sleep=1.0))
            running.start()
            for end in (lambda: os._exit(0), lambda: sys.exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL)):
                if (child := os.fork()) == 0:
                    model(np.ones(100_000))
                    end()
                os.waitpid(child, 0)
                assert model(np.ones(100_000)).sum() == 100_000
            running.join()
            print(model.alive)
    """)
    assert (done.stdout, done.stderr) == ("True\n", "")
