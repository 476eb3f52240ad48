"""Memory of calls: both ends of the lane free it after calls, after a while, and when a client is killed."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from gpumodels.client import lane
from tests.integration.wire.conftest import ROOT, wait_until

MB = 1 << 20
BIG = np.zeros(100 * MB, np.uint8)


#: Inodes of the regions that this process had before the test. Those of earlier tests may not be collected yet.
_before: set[int] = set()


@pytest.fixture(autouse=True)
def _from_here_on():
    _before.clear()
    _before.update(_regions("self")[0])


def shared(pid: int | str = "self") -> int:
    """Return the bytes of the lane's memory that a process maps or has open.

    For this process, count only regions that it did not have when the test began.
    """
    opened, mapped = _regions(pid)
    known = _before if pid == "self" else set()
    return max(sum(size for inode, size in each.items() if inode not in known) for each in (opened, mapped))


def _regions(pid: int | str) -> tuple[dict[int, int], dict[int, int]]:
    """Return the sizes of regions by inode: those that are open or mapped, and those that are mapped."""
    opened: dict[int, int] = {}
    mapped: dict[int, int] = {}
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if "memfd:gpumodels" in line:
            first, last = line.split()[0].split("-")
            inode = int(line.split()[4])
            mapped[inode] = mapped.get(inode, 0) + int(last, 16) - int(first, 16)
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if "memfd:gpumodels" in str(link.readlink()):
                opened[link.stat().st_ino] = link.stat().st_size
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return {**mapped, **opened}, mapped


def test_after_a_large_call_a_few_small_ones_give_its_memory_back(serve):
    served = serve()
    client = served.client()
    np.testing.assert_array_equal(client.call((BIG,), {}), BIG)
    assert min(shared(), shared(served.process.pid)) >= 2 * len(BIG)
    for _ in range(10):
        assert client.call((1,), {}) == 1
    assert max(shared(), shared(served.process.pid)) < 2 * MB
    np.testing.assert_array_equal(client.call((BIG,), {}), BIG)


def test_a_large_call_now_and_then_keeps_its_memory(serve):
    served = serve()
    client = served.client()
    for _ in range(5):
        client.call((BIG,), {})
        client.call((1,), {})
    assert min(shared(), shared(served.process.pid)) >= 2 * len(BIG)


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(lane, "_GIVEN_BACK_AFTER", 0.3)


def test_after_a_while_without_calls_memory_is_given_back(serve, soon):
    served = serve()
    client = served.client()
    threads = threading.active_count()
    client.call((BIG,), {})
    wait_until(lambda: max(shared(), shared(served.process.pid)) == 0)
    wait_until(lambda: threading.active_count() == threads)
    np.testing.assert_array_equal(client.call((BIG,), {}), BIG)


def test_calls_on_one_connection_do_not_keep_the_memory_of_the_others(serve, soon):
    served = serve()
    client = served.client()
    callers = [threading.Thread(target=client.call, args=((BIG[: 10 * MB],), {"sleep": 0.05})) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert shared() >= 80 * MB
    wait_until(lambda: client.call((BIG[: 10 * MB],), {}) is not None and shared() <= 21 * MB)


def test_an_array_in_place_that_was_let_go_is_let_go_by_the_server_too(serve, soon):
    served = serve()
    client = served.client()
    array = client.empty("value", (100 * MB,), "uint8")
    client.call((array[:10],), {})
    assert shared(served.process.pid) >= 100 * MB
    del array
    assert shared() == 0
    wait_until(lambda: shared(served.process.pid) == 0)


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from gpumodels.client import Client
from gpumodels.engines.local import LocalConnector
client = Client(LocalConnector(Path(sys.argv[1]), Path(sys.argv[2])), "echo")
client.wait_ready(time.monotonic() + 30, lambda: None)
value = np.zeros(50 << 20, np.uint8)
kept = client.empty("value", (10 << 20,), "uint8")
client.call((value,), {})
print("calling", flush=True)
while True:
    client.call((value,), {})
    client.call((kept,), {})
"""


def test_a_client_that_is_killed_while_it_writes_leaves_nothing(serve):
    served = serve()
    other = served.client()
    files = len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for number in range(5):
        arguments = [sys.executable, "-c", KILLED, served.sockets, served.shm]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=env) as notebook:
            assert notebook.stdout.readline() == "calling\n"
            time.sleep(0.02 * number)
            notebook.send_signal(signal.SIGKILL)
    wait_until(lambda: shared(served.process.pid) == 0)
    wait_until(lambda: len(list(Path(f"/proc/{served.process.pid}/fd").iterdir())) <= files)
    assert other.call((1,), {}) == 1
    assert served.shared_files() == []


def _held(pid: int | str) -> tuple[int, int, int]:
    """Return the resident bytes without the lane's memory, the descriptors and the threads, after a collection."""
    gc.collect()
    facts = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    resident = (int(facts["VmRSS"].split()[0]) - int(facts["RssShmem"].split()[0])) << 10
    return resident, len(list(Path(f"/proc/{pid}/fd").iterdir())), int(facts["Threads"])


@pytest.mark.parametrize("stream", [False, True], ids=["calls", "streams"])
def test_twenty_thousand_calls_leave_no_growth(serve, stream):
    source = (
        "import numpy as np\nfrom collections.abc import Iterator\nclass Model:\n    def load(self, device): pass\n"
        "    def predict(self, x: np.ndarray, size: int) -> np.ndarray:\n"
    )
    gives = (
        "        for _ in range(4): yield np.ones(size, np.uint8)\n"
        if stream
        else "        return np.ones(size, np.uint8)\n"
    )
    served = serve(source.replace("-> np.ndarray", "-> Iterator[np.ndarray]" if stream else "-> np.ndarray") + gives)
    client = served.client()
    sizes = [8, 1000, 70_000, 8, 8, 300_000, 8, 1_500_000 if not stream else 8]
    inputs = [np.zeros(size, np.uint8) for size in (16, 100_000, 16, 16, 2_000_000, 16, 50_000)]

    def calls(count: int) -> None:
        for number in range(count):
            result = client.call((inputs[number % 7], sizes[number % 8]), {})
            assert len(result) == (4 if stream else sizes[number % 8])

    calls(2_000)
    before = _held("self"), _held(served.process.pid)
    calls(5_000 if stream else 18_000)
    after = _held("self"), _held(served.process.pid)
    for (resident, files, threads), (was, files_were, threads_were) in zip(after, before, strict=True):
        assert resident - was < 6 * MB
        assert files - files_were <= 2
        assert threads <= threads_were
    assert served.shared_files() == []
