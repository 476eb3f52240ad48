"""Real failures: each test breaks something and checks the error of the caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from gpumodels.client import Client, read_activity
from gpumodels.engines.local import LocalConnector
from gpumodels.errors import CallError, CallTimeout, InputError, LoadTimeout, ModelCallError, ModelGone
from tests import slots
from tests.integration.wire.conftest import ROOT, wait_until

BIG = np.zeros(1_000_000, np.uint8)


def gone(client: Client, told: dict[str, float]) -> None:
    with pytest.raises(ModelGone):
        client.call((1,), told)


def test_an_exception_in_predict_brings_the_authors_traceback(client):
    with pytest.raises(ModelCallError, match="echo: ValueError: no such luck") as caught:
        client.call((1,), {"fail": "no such luck"})
    assert 'images/echo/model.py", line' in caught.value.remote_traceback
    assert "raise ValueError(fail)" in caught.value.remote_traceback
    assert "gpumodels/server" not in caught.value.remote_traceback
    assert client.call((1,), {}) == 1


RAISES = """
import asyncio, time
class Model:
    def load(self, device): pass
    def predict(self, what: str) -> str:
        if what == "KeyboardInterrupt": raise KeyboardInterrupt("bye")
        if what == "CancelledError": asyncio.run(self.cancelled())
        return what
    async def cancelled(self):
        raise asyncio.CancelledError("bye")
"""


@pytest.mark.parametrize("what", ["KeyboardInterrupt", "CancelledError"])
def test_what_is_no_exception_in_predict_fails_its_call_at_once_and_the_model_lives(serve, what):
    client = serve(RAISES).client()
    with pytest.raises(ModelCallError, match=f"{what}: bye") as caught:
        client.call((what,), {}, 30)
    assert "in predict" in caught.value.remote_traceback
    assert client.call(("alive",), {}, 30) == "alive"


SURROGATES = """
class Model:
    def load(self, device): pass
    def predict(self, name: str) -> str:
        if name != "alive": raise OSError("no file " + name.encode("latin-1").decode(errors="surrogateescape"))
        return name
"""


@pytest.mark.parametrize("server", [("-m", "gpumodels.server"), slots.SERVER], ids=["serial", "two slots"])
@pytest.mark.parametrize("lane", [True, False], ids=["lane", "gRPC"])
def test_an_error_with_text_that_is_not_utf_8_arrives_and_the_next_calls_are_answered(serve, server, lane):
    served = serve(SURROGATES, server=server)
    client = served.client(lane=lane)
    with pytest.raises(ModelCallError, match=r"OSError: no file caf\\udce9") as caught:
        client.call(("café",), {}, 30)
    assert "in predict" in caught.value.remote_traceback
    assert [client.call(("alive",), {}, 30) for _ in range(3)] == ["alive"] * 3
    found = read_activity(LocalConnector(served.sockets, served.shm), served.name, 10)
    assert (found.running, found.waiting) == (0, 0)


def test_a_huge_error_message_still_arrives(client):
    with pytest.raises(ModelCallError, match="xxxx"):
        client.call((1,), {"fail": "ü" + "x" * 200_000 + "\nsecond line"})


@pytest.mark.parametrize("crash", ["exit", "segfault", "kill"])
def test_a_crash_in_predict_is_model_gone(serve, crash):
    served = serve()
    client = served.client()
    with pytest.raises(ModelGone, match="the model server of echo does not answer"):
        client.call((BIG,), {"crash": crash})
    with pytest.raises(ModelGone):
        client.call((BIG,), {})
    served.process.wait(10)
    if crash == "segfault":
        assert "Segmentation fault" in served.log


def test_a_failing_load_ends_the_wait_with_exit_code_3_and_says_why_last(serve):
    served = serve(ECHO_LOAD="fail")
    with pytest.raises(AssertionError, match="ended with 3"):
        served.client()
    assert "Traceback" in served.log
    assert served.log.splitlines()[-1] == "gpumodels: echo failed to load: RuntimeError: echo was told to fail in load"


def test_a_crash_in_load_ends_the_wait(serve):
    with pytest.raises(AssertionError, match="ended with 9"):
        serve(ECHO_LOAD="crash").client()


@pytest.mark.parametrize("load", ["sleep:60", "hold_gil:60"])
def test_a_load_that_takes_too_long_is_a_load_timeout(serve, load):
    served = serve(ECHO_LOAD=load)
    client = Client(LocalConnector(served.sockets, served.shm), served.name)
    wait_until(lambda: "echo: load" in served.log)
    with pytest.raises(LoadTimeout, match="echo was not ready in time"):
        client.wait_ready(time.monotonic() + 0.3, served.check_alive)
    client.close()


def test_the_server_answers_live_and_metadata_by_grpc_while_predict_is_busy(serve):
    served = serve()
    client = served.client()
    busy = threading.Thread(target=gone, args=(client, {"sleep": 60.0}))
    busy.start()
    other = Client(LocalConnector(served.sockets, served.shm), served.name, lane=False)
    other.wait_ready(time.monotonic() + 10, served.check_alive)
    assert [spec.name for spec in other.signature().outputs] == ["value"]
    other.close()
    served.process.kill()
    busy.join()


def test_a_timeout_ends_the_call_and_the_server_sees_it(serve):
    served = serve()
    client = served.client()
    with pytest.raises(CallTimeout, match=r"echo gave no answer within 0\.2 s"):
        client.call((BIG,), {"sleep": 60.0}, 0.2)
    served.wait_for_log("call cancelled by the client after 0.")
    served.wait_for_log("echo: cancelled while asleep")
    np.testing.assert_array_equal(client.call((BIG,), {}, 30), BIG)


def test_a_queued_call_that_was_cancelled_never_starts(serve):
    served = serve(
        "import time\n"
        "class Model:\n"
        "    def load(self, device): pass\n"
        "    def predict(self, seconds: float) -> float:\n"
        "        print('began', seconds); time.sleep(seconds); return seconds\n"
    )
    client = served.client()
    first = threading.Thread(target=client.call, args=((1.0,), {}))
    first.start()
    served.wait_for_log("began 1.0")
    with pytest.raises(CallTimeout):
        client.call((0.5,), {}, 0.2)
    first.join()
    assert client.call((0.0,), {}) == 0.0
    assert "began 0.5" not in served.log


STOP_BUTTON = """
import sys, threading, time
from pathlib import Path
import numpy as np
from gpumodels.client import Client
from gpumodels.engines.local import LocalConnector
client = Client(LocalConnector(Path(sys.argv[1]), Path(sys.argv[2])), "echo", lane=sys.argv[3] == "lane")
client.wait_ready(time.monotonic() + 30, lambda: None)
print("calling", flush=True)
try:
    client.call((np.zeros(100_000),), {"sleep": 60.0})
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(client.call(("usable",), {}), flush=True)
client.close()
"""


@pytest.mark.parametrize("way", ["lane", "grpc"])
def test_the_stop_button_ends_a_call_within_a_second_and_the_client_stays_usable(serve, way):
    served = serve()
    arguments = [sys.executable, "-c", STOP_BUTTON, served.sockets, served.shm, way]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=env) as notebook:
        assert notebook.stdout.readline() == "calling\n"
        time.sleep(0.3)
        notebook.send_signal(signal.SIGINT)
        sent = time.monotonic()
        assert notebook.stdout.readline() == "interrupted\n"
        took = time.monotonic() - sent
        assert notebook.stdout.readline() == "usable\n"
    assert took < 1.0
    assert notebook.returncode == 0
    served.wait_for_log("call cancelled by the client")
    served.wait_for_log("echo: cancelled while asleep")


def test_sigterm_ends_the_server_though_it_holds_the_gil(serve):
    served = serve()
    client = served.client()
    thread = threading.Thread(target=gone, args=(client, {"hold_gil": 60.0}))
    thread.start()
    time.sleep(0.3)
    served.process.terminate()
    assert served.process.wait(1) == -signal.SIGTERM
    thread.join()


def test_an_interrupt_ends_the_server_though_calls_wait(serve):
    served = serve()
    thread = threading.Thread(target=gone, args=(served.client(), {"sleep": 60.0}))
    thread.start()
    time.sleep(0.3)
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(5) == 128 + signal.SIGINT
    thread.join()


def test_closing_the_client_ends_its_running_calls(serve):
    client = serve().client()
    threading.Timer(0.3, client.close).start()
    with pytest.raises(ModelGone, match="connection to echo is closed"):
        client.call((BIG,), {"sleep": 60.0})
    with pytest.raises(ModelGone, match="closed: load it again"):
        client.call((1,), {})


def test_a_forked_child_calls_on_a_connection_of_its_own_and_leaves_everything_as_it_is(serve):
    client = serve().client()
    client.call((BIG,), {})
    buffer = client.empty("value", (1000,), "int32")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            np.testing.assert_array_equal(client.call((BIG + 1,), {}), BIG + 1)
            np.testing.assert_array_equal(client.call((buffer,), {}), buffer)
            client.close()
            client.__del__()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(client.call((BIG,), {}), BIG)


def test_a_forked_child_cannot_call_by_grpc_and_is_told_so(serve):
    served = serve()
    client = served.client(lane=False)
    client.call((BIG,), {})
    before = served.shared_files()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with pytest.raises(CallError, match="parent of this forked process"):
                client.call((1,), {})
            client.close()
            client.__del__()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert served.shared_files() == before
    np.testing.assert_array_equal(client.call((BIG,), {}), BIG)


@pytest.mark.parametrize("options", [[], ["-X", "dev"]], ids=["plain", "dev"])
def test_a_script_that_ends_without_stop_ends_silently(options, tmp_path):
    script = tmp_path / "script.py"
    script.write_text('import gpumodels\nm = gpumodels.load("echo", engine="fake", gpu="none")\nprint(m(3))\n')
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, *options, script]
    done = subprocess.run(arguments, capture_output=True, text=True, env=env, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("3\n", "")


FORKED = """
import os, sys, time, gc
from pathlib import Path
from gpumodels.client import Client
from gpumodels.engines.local import LocalConnector
client = Client(LocalConnector(Path(sys.argv[1]), Path(sys.argv[2])), "echo")
client.wait_ready(time.monotonic() + 30, lambda: None)
client.call((1,), {})
child = os.fork()
if child == 0:
    del client
    gc.collect()
    sys.exit(0)  # with the whole end of the interpreter
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(code, client.call((2,), {}))
"""


def test_a_forked_child_ends_normally(serve):
    served = serve()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", FORKED, served.sockets, served.shm]
    done = subprocess.run(arguments, capture_output=True, text=True, env=env, timeout=30, check=True)
    assert done.stdout == "0 2\n"


def test_regions_of_a_client_that_was_killed_are_freed_when_the_next_one_comes(serve):
    served = serve()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    text = STOP_BUTTON.replace(
        "client.close()", "client.call((np.zeros(100_000),), {}); import os; os.kill(os.getpid(), 9)"
    )
    text = text.replace('"sleep": 60.0', '"sleep": 0.0')
    with subprocess.Popen([sys.executable, "-c", text, served.sockets, served.shm, "grpc"], env=env) as notebook:
        assert notebook.wait(30) == -signal.SIGKILL
    (left,) = served.shared_files()
    served.client(lane=False).call((BIG,), {})
    assert left not in served.shared_files()


def test_a_shared_memory_directory_that_vanished_falls_back_to_messages(serve):
    served = serve()
    client = served.client(lane=False)
    served.shm.rename(served.shm.with_name(f"{served.shm.name}-moved"))
    served.shm.mkdir()
    result = client.call((BIG,), {})
    served.shm.rmdir()
    served.shm.with_name(f"{served.shm.name}-moved").rename(served.shm)
    np.testing.assert_array_equal(result, BIG)


@pytest.mark.parametrize("timeout", [0, -1, "5", float("nan"), True, np.float32("nan"), -(10**400), 1j])
def test_a_timeout_that_is_none_is_refused(client, timeout):
    with pytest.raises(InputError, match="timeout must be a number of seconds above 0"):
        client.call((1,), {}, timeout)


@pytest.mark.parametrize(
    "timeout", [float("inf"), 1e12, 10**400, 1e9, 3e7, np.float32(30), np.int64(30), Fraction(61, 2)]
)
def test_a_long_timeout_is_no_timeout(client, timeout):
    assert client.call((1,), {}, timeout) == 1


@pytest.mark.parametrize("lane", [True, False], ids=["lane", "grpc"])
def test_a_timeout_holds_also_while_the_server_takes_no_region(serve, lane):
    served = serve()
    client = served.client(lane=lane)
    busy = threading.Thread(target=gone, args=(client, {"hold_gil": 60.0}))
    busy.start()
    time.sleep(0.3)
    began = time.monotonic()
    with pytest.raises(CallTimeout, match=r"within 0\.2 s"):
        client.call((BIG,), {}, 0.2)
    took = time.monotonic() - began
    served.process.kill()
    busy.join()
    assert took < 5  # without a timeout of the call, the client would wait 10 s for such a request


def test_a_child_that_the_server_forks_does_not_keep_a_call_waiting(client):
    assert client.call((1,), {"fork": 2.0, "allocate": 1_000_000}) == 1


def test_wrong_inputs_name_what_is_declared(client):
    with pytest.raises(InputError, match=r"echo takes \(value: any, sleep: float64\[\]\?.*; missing: value"):
        client.call((), {})
    with pytest.raises(InputError, match="which has no 'slep'"):
        client.call((1,), {"slep": 1.0})
    with pytest.raises(InputError, match="'value' was given twice"):
        client.call((1,), {"value": 1})
    with pytest.raises(InputError, match="cannot be sent"):
        client.call((np.array([1j]),), {})
    with pytest.raises(InputError, match="array of object"):
        client.call((np.array([object()]),), {})


GOOD = """
class Model:
    def load(self, device): pass
    def predict(self, image, threshold=0.5): return image
"""


def toml(*inputs: str) -> str:
    return "".join(f'[[inputs]]\nname = "{name}"\ndtype = "any"\n' for name in inputs)


@pytest.mark.parametrize(
    ("source", "toml", "said"),
    [
        (GOOD.replace("Model", "Modle"), "", "model.py has no class Model; it has Modle"),
        ("import pathlib", "", "model.py has no class Model"),
        (GOOD.replace("load", "laod"), "", "the class Model has no method load; it has laod"),
        (GOOD.replace("predict", "run"), "", "the class Model has no method predict; it has load, run"),
        (
            GOOD,
            toml("picture", "threshold"),
            "model.toml declares the input 'picture', which predict(image, threshold=0.5) does not take",
        ),
        (
            GOOD,
            toml("threshold"),
            "predict(image, threshold=0.5) needs 'image', which model.toml does not declare: its inputs are threshold",
        ),
    ],
    ids=["class", "no-class", "load", "predict", "input-unknown", "input-undeclared"],
)
def test_what_cannot_be_served_is_told_in_one_sentence(serve, source, toml, said):
    served = serve(source, toml=toml)
    with pytest.raises(AssertionError, match="ended with 3"):
        served.client()
    assert served.log == f"gpumodels: model0 failed to load: {said}\n"


def test_declared_inputs_may_be_taken_by_name_or_all_at_once(serve):
    source = GOOD.replace("threshold=0.5", "**rest")
    assert serve(source, toml=toml("image", "scale")).client().call((1, 2), {}) == 1
