"""The leases of a process: they survive probes, reloads, forks and threads."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from pathlib import Path

import pytest

from gpumodels.lease import held, locks
from gpumodels.lease.held import LeaseRefusedError, LeaseState
from tests.leftovers import descriptors, until

_IMPORTS = "from gpumodels.lease import held; from pathlib import Path"


@pytest.fixture
def observed_state(puppet):
    """A function that returns the state of a lease as another process sees it."""
    other = puppet()
    other.do(_IMPORTS)
    return lambda directory: other.do(f"held.look(Path({str(directory.lease_file)!r})).state.name")


def test_a_new_lease_is_held_and_a_released_one_free(create, observed_state):
    directory, lease = create()
    assert observed_state(directory) == "HELD"
    assert lease.held
    lease.release()
    assert observed_state(directory) == "FREE"
    assert not lease.held


def test_looking_at_an_own_lease_does_not_drop_it(create, observed_state):
    directory, _ = create()
    assert directory.lease_state is LeaseState.HELD
    assert directory.leash_lives is False
    assert observed_state(directory) == "HELD"


def test_reloading_the_package_drops_no_lease(create, runtime, observed_state):
    first, _ = create("first-0123456789")
    second, _ = create("second-0123456789")
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "gpumodels"}
    try:
        from gpumodels.lease.runtime import RuntimeDirectory

        for directory in RuntimeDirectory(runtime.path).instances():
            assert directory.look().state.name == "HELD"  # the reloaded module knows the leases
        assert RuntimeDirectory(runtime.path).claim_stale() == []
    finally:
        sys.modules.update(kept)
    assert (observed_state(first), observed_state(second)) == ("HELD", "HELD")


def test_autoreload_drops_no_lease(runtime_path, puppet, tmp_path, observed_state, runtime):
    # The package is edited while a lease is held, and IPython's autoreload imports the new code.
    copy = tmp_path / "source"
    source = Path(held.__file__).parents[1]
    (copy / "gpumodels" / "lease").mkdir(parents=True)
    for path in [*source.glob("*.py"), *(source / "lease").glob("*.py")]:
        (copy / "gpumodels" / path.relative_to(source)).write_bytes(path.read_bytes())
    kernel = puppet(cwd=copy, env={"PYTHONPATH": str(copy), "IPYTHONDIR": str(tmp_path / "ipython")})
    kernel.do(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'autoreload'); shell.run_line_magic('autoreload', '2')\n"
        "shell.run_cell('''from gpumodels.lease import held; from gpumodels.lease.runtime import RuntimeDirectory\n"
        "from gpumodels.lease.record import InstanceRecord, Owner; import os, pathlib\n"
        "runtime = RuntimeDirectory(pathlib.Path(os.environ['GPUMODELS_RUNTIME_DIR']))\n"
        "_, lease = runtime.create(InstanceRecord('a-0123456789', 'echo', 'process', Owner(0), 0.0))\n''')"
    )
    for name in ("locks", "held", "record", "runtime"):
        path = copy / "gpumodels" / "lease" / f"{name}.py"
        path.write_text(path.read_text() + "\nNEW = True\n")
        os.utime(path, (4e9, 4e9))
    kernel.do("_ = shell.run_cell('found = runtime.instances()[0].look().state.name, held.NEW, lease.held')")
    assert kernel.do("shell.user_ns['found']") == ("HELD", True, True)
    assert observed_state(runtime.instances()[0]) == "HELD"


def test_probing_in_one_thread_does_not_drop_a_lease_that_another_creates(create, runtime, observed_state):
    # A probe opens and closes the file: a lock that is taken in between would be lost.
    stop = threading.Event()

    def probe():
        while not stop.is_set():
            for directory in runtime.instances():
                directory.lease_state  # noqa: B018

    threads = [threading.Thread(target=probe) for _ in range(3)]
    for thread in threads:
        thread.start()
    made = [create(f"echo-{number:010x}")[0] for number in range(60)]
    stop.set()
    for thread in threads:
        thread.join()
    assert {observed_state(directory) for directory in made} == {"HELD"}


def test_a_probe_waits_for_a_creation_in_another_thread(create, monkeypatch, runtime, observed_state):
    # Force the race of the previous test: the probe comes when the file exists and the table does not have it yet.
    take, reached = locks.take_record_lock, []

    def slowly(fd, *byte):
        taken = take(fd, *byte)
        prober = threading.Thread(target=lambda: reached.append(runtime.instances()[0].lease_state))
        prober.start()
        prober.join(0.2)
        return taken

    monkeypatch.setattr(locks, "take_record_lock", slowly)
    directory, _ = create()
    until(lambda: len(reached) == 2)
    assert set(reached) == {LeaseState.HELD}
    assert observed_state(directory) == "HELD"


def _exit_code_of_fork(action):
    """Run `action` in a forked child until it exits, and return the exit code."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_drops_no_lease(create, observed_state):
    directory, lease = create()

    def release_everything():
        assert not lease.held
        lease.release()
        held.release_all()
        assert directory.lease_state is LeaseState.HELD  # opens and closes the file, being another process
        os.closerange(3, 4096)

    assert _exit_code_of_fork(release_everything) == 0
    assert observed_state(directory) == "HELD"
    assert lease.held


def test_a_forked_child_keeps_nothing_alive(puppet, runtime, record, observed_state):
    kernel = puppet()
    kernel.do(
        "import os, time; from gpumodels.instances import runtime_directory\n"
        "from gpumodels.lease.record import InstanceRecord, Owner\n"
        "runtime_directory().create(InstanceRecord('a-0123456789', 'echo', 'process', Owner(0), 0.0))\n"
        "child = os.fork()\n"
        "if child == 0:\n    os.closerange(0, 3); time.sleep(60); os._exit(0)"
    )
    child = kernel.do("child")
    directory = runtime.instances()[0]
    assert observed_state(directory) == "HELD"
    kernel.kill()
    assert observed_state(directory) == "FREE"
    os.kill(child, 9)


def test_a_fork_while_another_thread_probes_does_not_hang_in_the_child(create):
    directory, _ = create()
    locked, done = threading.Event(), threading.Event()

    def hold_the_table():
        with held._TABLE_LOCK:
            locked.set()
            done.wait(0.2)

    thread = threading.Thread(target=hold_the_table)
    thread.start()
    locked.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if held._TABLE_LOCK.acquire(timeout=2) else 1)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert directory.lease_state is LeaseState.HELD


def test_an_instance_ends_with_its_last_lease_in_a_process(create, leash, observed_state):
    directory, first = create()
    leash(directory.lease_file).line()
    second = held.join(directory.lease_file)
    first.release()
    first.release()  # a second release must not release the other lease
    assert observed_state(directory) == "HELD"
    assert second.held
    assert not first.held
    second.release()
    until(lambda: observed_state(directory) == "FREE")


def test_an_instance_ends_with_its_last_holder(create, leash, puppet):
    directory, lease = create()
    process = leash(directory.lease_file)
    assert process.line() == "up"
    other = puppet()
    other.do(_IMPORTS)
    other.do(f"lease = held.join(Path({str(directory.lease_file)!r}))")
    lease.release()
    assert directory.lease_state is LeaseState.HELD
    assert process.process.poll() is None
    other.kill()
    assert process.wait() == 98


def test_an_instance_that_is_ending_cannot_be_joined(create, leash, puppet):
    # The refusal comes at once, although the leash holds the lock until the server has ended.
    directory, lease = create()
    ignores_sigterm = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(60)"
    process = leash(directory.lease_file, ignores_sigterm, "--grace", "30")
    assert process.line() == "up"
    lease.release()
    until(lambda: directory.lease_state is LeaseState.ENDING)
    with pytest.raises(LeaseRefusedError, match="is ending"):
        held.join(directory.lease_file)
    assert directory.lease_state is LeaseState.ENDING


def test_an_instance_without_a_leash_cannot_be_joined(create):
    directory, lease = create()
    lease.release()
    with pytest.raises(LeaseRefusedError, match="leash"):
        held.join(directory.lease_file)
    assert directory.lease_state is LeaseState.FREE


def test_an_instance_that_is_gone_cannot_be_joined(create):
    directory, lease = create()
    lease.release()
    directory.remove()
    with pytest.raises(LeaseRefusedError, match="is gone"):
        held.join(directory.lease_file)


def test_a_lease_file_that_was_replaced_meanwhile_cannot_be_joined(create, monkeypatch):
    directory, lease = create()
    lease.release()
    opening = os.open

    def replace_then_open(path, *more, **named):
        if path == directory.lease_file:
            directory.lease_file.rename(directory.path / "old")
            directory.lease_file.write_bytes(b"")
        return opening(path, *more, **named)

    monkeypatch.setattr(os, "open", replace_then_open)
    with pytest.raises(LeaseRefusedError, match="was replaced"):
        held.join(directory.lease_file)


def test_release_all_lets_go_of_everything(create, observed_state):
    first, _ = create("first-0123456789")
    second, _ = create("second-0123456789")
    before = descriptors()
    held.release_all()
    assert (observed_state(first), observed_state(second)) == ("FREE", "FREE")
    assert len(before - descriptors()) >= 4


def test_a_cleaner_leaves_the_runtime_directory_while_a_lease_is_held(create, runtime):
    _, lease = create()
    cleaner = os.open(runtime.path, os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lease.release()
        fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(cleaner)


def test_only_held_py_opens_lease_files(puppet, runtime_path):
    # A second model is loaded, called, listed, stopped and so on. None of these actions may lose the first one's lease.
    kernel = puppet()
    kernel.do(
        "import sys, gpumodels\n"
        "openers = set()\n"
        "def hook(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith('/lease'):\n"
        "        openers.add(sys._getframe(1).f_code.co_filename.rpartition('/')[2])\n"
        "sys.addaudithook(hook)\n"
        "a = gpumodels.load('echo', gpu='none', engine='fake'); b = gpumodels.load('echo', gpu='none', engine='fake')\n"
        "from gpumodels import cleanup\n"
        "a(1); cleanup.sweep(); gpumodels.running(); a.logs(); a.alive; a.stop()"
    )
    assert kernel.do("openers") == {"held.py"}
    assert kernel.do("b(2), b.alive") == (2, True)
