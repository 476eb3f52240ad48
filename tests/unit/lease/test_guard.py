"""The guard: it is detached from its kernel, sweeps when the kernel has died, and then ends."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import pytest

from gpumodels.lease import guard
from tests.leftovers import Puppet, until

_ENSURE = (
    "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from gpumodels.lease import guard; from pathlib import Path\n"
    "from gpumodels.instances import runtime_directory\n"
    "runtime = runtime_directory()\n"
    "guard.ensure('gpumodels.cleanup.guard', runtime)"
)


@pytest.fixture
def kernel(runtime_path):
    """A process in a session of its own that has a guard."""
    process = Puppet(start_new_session=True)
    process.do(_ENSURE)
    yield process
    process.close()


@pytest.fixture
def its_guard(kernel):
    return kernel.do("guard._guards[os.getpid(), runtime.path].pid")


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def _make_stale(kernel, instance_id="stale-0123456789"):
    kernel.do(
        "from dataclasses import replace; from gpumodels.lease.record import InstanceRecord, Owner\n"
        f"record = InstanceRecord({instance_id!r}, 'echo', 'process', Owner(0), 0.0)\n"
        "directory, lease = runtime.create(record)\n"
        f"directory.write(replace(record, shared_memory=runtime.make_shared_memory({instance_id!r})))"
    )


def test_the_guard_has_a_session_of_its_own(kernel, its_guard):
    # Killing the kernel's process group, or closing its terminal, must not end the guard.
    assert os.getsid(its_guard) == its_guard != os.getsid(kernel.pid)


def test_a_process_has_one_guard(kernel, its_guard):
    kernel.do(_ENSURE)
    assert kernel.do("guard._guards[os.getpid(), runtime.path].pid") == its_guard


def test_a_killed_guard_is_replaced(kernel, its_guard):
    os.kill(its_guard, signal.SIGKILL)
    until(lambda: not _alive(its_guard))
    kernel.do(_ENSURE)
    assert kernel.do("guard._guards[os.getpid(), runtime.path].pid") != its_guard


def test_a_forked_child_gets_a_guard_of_its_own(kernel, its_guard):
    kernel.do(
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    guard.ensure('gpumodels.cleanup.guard', runtime)\n"
        "    os.write(write, str(guard._guards[os.getpid(), runtime.path].pid).encode()); os._exit(0)\n"
        "os.wait()"
    )
    assert int(kernel.do("os.read(read, 20)")) != its_guard


def test_the_guard_sweeps_and_ends_when_its_process_is_killed(kernel, its_guard, leftovers):
    _make_stale(kernel)
    assert len(leftovers.directories()) == len(leftovers.shared_memory()) == 1
    kernel.kill()
    leftovers.wait()
    until(lambda: not _alive(its_guard))


def test_the_guard_sweeps_when_the_whole_process_group_is_killed(kernel, leftovers):
    _make_stale(kernel)
    os.killpg(kernel.pid, signal.SIGKILL)
    kernel.process.wait()
    leftovers.wait()


def test_the_guard_ignores_sigint_and_sighup(kernel, its_guard, leftovers):
    until(lambda: _ignores(its_guard, signal.SIGINT) and _ignores(its_guard, signal.SIGHUP))
    kernel.kill()
    leftovers.wait()


def _ignores(pid, number):
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")), 16)
    return bool(ignored & 1 << (number - 1))


def test_the_guard_does_nothing_while_its_process_lives(puppet):
    watched, watcher = puppet(), puppet()
    watcher.do(f"import os; from gpumodels.lease import guard; pidfd = os.pidfd_open({watched.pid}); swept = []")
    watcher.tell("guard.watch(pidfd, lambda: swept.append(1) or True)")
    assert select.select([watcher.process.stdout], [], [], 0.3)[0] == []
    watched.kill()
    watcher.answer()
    assert watcher.do("swept") == [1]


def test_the_guard_tries_again_until_all_is_swept(puppet):
    # This simulates a daemon that is down and then up again, with an unexpected error in between.
    watched = puppet()
    pidfd = os.pidfd_open(watched.pid)
    answers = iter([False, RuntimeError("mad"), False, True])

    def sweep():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watched.kill()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)]
    try:
        guard.watch(pidfd, sweep)
    finally:
        os.close(pidfd)
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGHUP, before[1])
    assert list(answers) == []


def test_the_guard_ends_when_the_runtime_directory_was_removed(kernel, its_guard):
    kernel.do("import shutil; shutil.rmtree(runtime.path)")
    path = Path(kernel.do("str(runtime.path)"))
    kernel.kill()
    until(lambda: not _alive(its_guard))
    assert not path.exists()
