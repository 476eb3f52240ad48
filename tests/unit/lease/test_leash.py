"""The leash: it ends the server and all its processes when the lease is free, and when it is killed itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpumodels.engines import payload
from gpumodels.lease import held
from gpumodels.lease.held import Lease, LeaseState
from tests.leftovers import ROOT, until
from tests.unit.lease.conftest import children

_IGNORES_SIGTERM = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(60)"
_ENDS_ON_SIGTERM = (
    "import signal, sys, time\n"
    "def end(*_): print('goodbye'); sys.exit(5)\n"
    "signal.signal(15, end); print('up'); time.sleep(60)"
)
#: A server with a daemon: forked twice, in a session of its own, and ignoring signals.
_WITH_DAEMON = (
    "import os, signal, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"
    "        print('up'); time.sleep(60)\n"
    "    os._exit(0)\n"
    "os.wait(); time.sleep(60)"
)


@pytest.fixture(params=["namespace", "no namespace"])
def kind(request):
    """The options of the leash, with a PID namespace and without."""
    return ("--namespace",) if request.param == "namespace" else ()


def _marked(directory):
    from gpumodels.lease.processes import of_instance

    return of_instance(directory.id)


@pytest.fixture
def running(create, leash, kind):
    """A function that starts a server on a leash, and returns directory, lease and leash when it is up."""

    def start(code, *options):
        directory, lease = create()
        process = leash(directory.lease_file, code, *kind, *options, env={"GPUMODELS_INSTANCE": directory.id})
        assert process.line() == "up"
        return directory, lease, process

    return start


def test_the_server_ends_when_the_lease_is_released(running):
    directory, lease, process = running(_ENDS_ON_SIGTERM)
    lease.release()
    assert process.line().startswith("gpumodels leash: the lease is free (monotonic ")
    assert process.line() == "goodbye"
    assert process.wait() == 98
    assert _marked(directory) == []


def test_the_server_ends_when_its_holder_is_killed(puppet, runtime, leash, kind):
    kernel = puppet()
    kernel.do(
        "from gpumodels.instances import runtime_directory\n"
        "from gpumodels.lease.record import InstanceRecord, Owner\n"
        "runtime_directory().create(InstanceRecord('a-0123456789', 'echo', 'process', Owner(0), 0.0, nonce='proof'))"
    )
    process = leash(runtime.path / "a-0123456789" / "lease", _ENDS_ON_SIGTERM, *kind)
    assert process.line() == "up"
    kernel.kill()
    assert process.wait() == 98


def test_the_exit_code_is_the_server_s_own(running):
    assert running("print('up'); raise SystemExit(7)")[2].wait() == 7


def test_a_killed_server_has_the_exit_code_that_shells_use(running):
    assert running("import os; print('up'); os.kill(os.getpid(), 11)")[2].wait() == 128 + signal.SIGSEGV


def test_a_missing_command_exits_with_127(create, leash, kind):
    directory, _ = create()
    process = leash(directory.lease_file, "", *kind, "--", "/no/such/python")
    assert "cannot run /no/such/python" in process.line()
    assert process.wait() == 127


def test_a_server_that_ignores_sigterm_is_killed_after_its_grace(running):
    directory, lease, process = running(_IGNORES_SIGTERM, "--grace", "0.3")
    lease.release()
    assert process.wait() == 98
    assert _marked(directory) == []


def test_an_interrupt_gives_the_whole_grace(running):
    # `stop` sends SIGINT. A server with much to write gets the whole grace of its model.toml.
    slow = "import signal, sys, time\ndef end(*_): time.sleep(1.2); print('written'); sys.exit()\n"
    _, _, process = running(slow + "signal.signal(15, end); print('up'); time.sleep(60)", "--grace", "10")
    os.kill(process.pid, signal.SIGINT)
    assert process.line() == "written"
    assert process.wait() == 99


def test_sigterm_ends_a_server_that_ignores_it_within_a_second(running):
    # A Docker daemon that shuts down waits for its containers. The grace of the model does not count then.
    _, _, process = running(_IGNORES_SIGTERM, "--grace", "60")
    began = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(30) == 99
    assert time.monotonic() - began < 10  # instead of 60; 0.8 s on an idle machine


def test_sigterm_shortens_a_grace_that_has_begun(running):
    directory, lease, process = running(_IGNORES_SIGTERM, "--grace", "60")
    lease.release()
    until(lambda: directory.lease_state is LeaseState.ENDING)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(10) == 98


def test_sighup_ends_nothing(running):
    _, lease, process = running(_ENDS_ON_SIGTERM)
    os.kill(process.pid, signal.SIGHUP)
    time.sleep(0.1)
    assert process.process.poll() is None
    lease.release()
    assert process.wait() == 98


def test_a_daemon_of_the_server_ends_too(running):
    directory, lease, process = running(_WITH_DAEMON)
    assert len(_marked(directory)) >= 3
    lease.release()
    assert process.wait() == 98
    assert _marked(directory) == []


def test_everything_ends_when_the_leash_in_a_namespace_is_killed(create, leash):
    directory, _ = create()
    process = leash(directory.lease_file, _WITH_DAEMON, "--namespace", env={"GPUMODELS_INSTANCE": directory.id})
    assert process.line() == "up"
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: _marked(directory) == [])
    assert directory.look().leash_lives is False


def test_everything_ends_when_the_namespace_s_first_process_is_killed(create, leash):
    directory, _ = create()
    process = leash(directory.lease_file, _WITH_DAEMON, "--namespace", env={"GPUMODELS_INSTANCE": directory.id})
    assert process.line() == "up"
    os.kill(process.inner, signal.SIGKILL)
    assert process.wait() == 128 + signal.SIGKILL
    until(lambda: _marked(directory) == [])


def test_without_a_namespace_the_server_ends_when_the_leash_is_killed(create, leash):
    # The parent-death signal ends the server. Processes that it forked are left to the sweep.
    directory, _ = create()
    process = leash(directory.lease_file, _IGNORES_SIGTERM, env={"GPUMODELS_INSTANCE": directory.id})
    assert process.line() == "up"
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: _marked(directory) == [])


def test_orphans_are_reaped(running):
    # Of a hundred children of dead parents, none stays a zombie.
    orphans = (
        "import os, time\n"
        "for _ in range(100):\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0: time.sleep(0.2)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "print('up'); time.sleep(60)"
    )
    directory, _, process = running(orphans)

    def tree(pid):
        try:
            below = children(pid)
        except FileNotFoundError:  # it ended meanwhile
            return []
        return below + [deeper for each in below for deeper in tree(each)]

    until(lambda: len(tree(process.pid)) <= 2)
    assert process.process.poll() is None
    assert directory.look().leash_lives


def test_shared_memory_is_empty_when_the_leash_is_done(running, tmp_path):
    scratch = tmp_path / "scratch"
    (scratch / "folder").mkdir(parents=True)
    (scratch / "folder" / "file").write_bytes(b"x")
    (scratch / "region").write_bytes(b"x")
    (scratch / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_bytes(b"x")
    _, lease, process = running(_IGNORES_SIGTERM, "--grace", "0", "--scratch", str(scratch))
    lease.release()
    process.wait()
    assert list(scratch.iterdir()) == []
    assert (tmp_path / "elsewhere" / "precious").exists()


def test_missing_shared_memory_changes_nothing(running, tmp_path):
    (tmp_path / "scratch").mkdir()
    _, lease, process = running(_IGNORES_SIGTERM, "--grace", "0", "--scratch", str(tmp_path / "scratch"))
    (tmp_path / "scratch").rmdir()
    lease.release()
    assert process.wait() == 98


def test_a_server_that_writes_while_it_dies_leaves_nothing_in_shared_memory(running, tmp_path):
    busy = (
        "import os, signal\nsignal.signal(15, signal.SIG_IGN); print('up')\n"
        "for _ in range(4): os.fork()\n"
        f"n = 0\nwhile True: n += 1; open({str(tmp_path)!r} + f'/scratch/{{os.getpid()}}-{{n % 50}}', 'wb').write(b'x')"
    )
    (tmp_path / "scratch").mkdir()
    _, lease, process = running(busy, "--grace", "0", "--scratch", str(tmp_path / "scratch"))
    lease.release()
    process.wait()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_lease_file_of_another_instance_is_unseen(create, leash, kind):
    directory, _ = create()
    process = leash(directory.lease_file, "print('served')", *kind, nonce="another")
    assert "belongs to another instance" in process.line()
    assert process.wait() == 97


def test_a_lease_file_with_a_longer_nonce_is_unseen(create, leash):
    directory, _ = create()
    assert leash(directory.lease_file, "print('served')", nonce="proo").wait() == 97


def test_a_lease_that_nobody_holds_is_unseen(create, leash, kind):
    directory, lease = create()
    lease.release()
    process = leash(directory.lease_file, "print('served')", *kind)
    assert "nobody holds the lease" in process.line()
    assert process.wait() == 97


def test_a_missing_lease_file_is_unseen(leash, tmp_path, kind):
    process = leash(tmp_path / "lease", "print('served')", *kind)
    assert "cannot be opened" in process.line()
    assert process.wait() == 97


def test_a_second_leash_is_refused(create, leash):
    directory, _ = create()
    assert leash(directory.lease_file).line() == "up"
    assert "another leash" in leash(directory.lease_file).line()


@pytest.mark.root  # an ordinary user's leash first tries in a child, which this test would take for the inner one
def test_a_signal_in_the_first_moment_of_the_namespace_is_not_lost(create, leash):
    # PID 1 of a namespace never gets a signal that was neither blocked nor handled when it was sent. Try often.
    directory, _ = create()
    for _ in range(5):
        process = leash(directory.lease_file, _IGNORES_SIGTERM, "--namespace", "--grace", "0.1")
        os.kill(process.inner, signal.SIGTERM)
        assert process.wait() == 99


@pytest.mark.root
def test_where_a_user_namespace_is_granted_but_unusable_the_leash_does_without(public, leash):
    # Some systems let users make a user namespace but forbid its use. Here /proc cannot be written.
    prefix = (
        "unshare", "--mount", "sh", "-c",
        'mount -o remount,bind,ro /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"', "sh",
    )  # fmt: skip
    process = leash(public.lease.path, _IGNORES_SIGTERM, "--namespace", "--grace", "0", prefix=prefix, **public.options)
    assert process.line() == "up"
    public.lease.release()
    assert process.line().startswith("gpumodels leash: the lease is free")
    assert process.wait() == 98


def test_where_all_namespaces_are_forbidden_the_leash_does_without(create, leash):
    directory, lease = create()
    prefix = (
        "unshare", "--user", "--map-root-user", "sh", "-c",
        'echo 0 > /proc/sys/user/max_pid_namespaces && echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh",
    )  # fmt: skip
    mark = {"GPUMODELS_INSTANCE": directory.id}
    process = leash(directory.lease_file, _WITH_DAEMON, "--namespace", "--grace", "0", prefix=prefix, env=mark)
    assert process.line() == "up"
    lease.release()
    assert process.wait() == 98
    assert _marked(directory) == []


@pytest.mark.root
def test_an_ordinary_user_s_leash_makes_its_namespace_as_well(public, leash):
    # Root makes a PID namespace directly, another user inside a user namespace.
    where = "import os; print('up', os.getuid(), os.getpid()); import time; time.sleep(60)"
    process = leash(public.lease.path, where, "--namespace", user=65534, group=65534, extra_groups=[], **public.options)
    assert process.line() == "up 65534 2"
    public.lease.release()
    assert process.wait() == 98


@dataclass
class Public:
    """A lease for uid 65534, and an interpreter and a copy of the leash that this user can read."""

    path: Path
    lease: Lease

    @property
    def options(self):
        return {"python": "/usr/bin/python3", "env": {"PYTHONPATH": str(self.path / "payload")}, "cwd": "/"}


@pytest.fixture
def public():
    with tempfile.TemporaryDirectory(prefix="gpumodels-test-") as name:
        path = Path(name)
        path.chmod(0o711)
        payload.write_to(path / "payload" / "gpumodels")
        lease = held.create(path / "lease", "proof", owner=(65534, 65534))
        yield Public(path, lease)
        lease.release()


def test_the_lock_of_the_leash_shows_that_it_lives(running):
    directory, _, process = running(_ENDS_ON_SIGTERM)
    assert directory.look().leash_lives
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not directory.look().leash_lives)
    assert directory.look().state is LeaseState.HELD


def test_the_leash_needs_nothing_but_the_standard_library(puppet):
    plain = puppet(cwd="/")
    plain.do("import sys; before = set(sys.modules); import gpumodels.lease.leash")
    loaded = plain.do("sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)")
    assert loaded == ["gpumodels"]
    packages = "sorted(name for name in sys.modules if name.startswith('gpumodels.') and name.count('.') == 1)"
    assert plain.do(packages) == ["gpumodels.lazy", "gpumodels.lease"]
    assert Path(plain.do("gpumodels.__file__")).is_file()


def test_a_parent_that_dies_right_after_the_fork_is_noticed(puppet, tmp_path):
    # If the parent dies between the fork and prctl(2), no parent-death signal is sent.
    outer = puppet(cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    outer.do(
        "import os, signal, time; from gpumodels.lease import namespace\n"
        "ask = namespace.die_with_parent\n"
        "def late():\n"
        "    parent = os.getppid(); os.kill(parent, signal.SIGKILL)\n"
        "    while os.getppid() == parent: time.sleep(0.001)\n"
        "    ask()\n"
        "namespace.die_with_parent = late"
    )
    outer.tell("open('survived', 'w').close() if namespace.fork_on_leash() == 0 else time.sleep(60)")
    assert outer.process.stdout.read() == ""  # both parent and child have ended
    assert not (tmp_path / "survived").exists()


def test_a_lease_that_cannot_be_watched_ends_the_instance(create):
    # The wait may fail on some filesystem. The model must not outlive its notebook then.
    directory, _ = create()
    code = (
        "from gpumodels.lease import leash, locks\n"
        "def fail(*_): raise OSError('Input/output error')\n"
        "locks.wait_description_lock = fail\n"
        f"leash.main(['--lease', {str(directory.lease_file)!r}, '--nonce', 'proof', '--', 'sleep', '60'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env=environment, timeout=20, capture_output=True, check=False
        ).returncode
        == 98
    )


@pytest.fixture
def run_logged(create, leash, kind, tmp_path):
    """A function that runs a server with a log until it ends, and returns its exit code and the log."""

    def run(code, **more):
        process = leash(create()[0].lease_file, code, *kind, "--log", str(tmp_path / "log"), **more)
        return process.wait(60), tmp_path / "log"

    return run


def test_the_last_lines_before_a_crash_are_in_the_log(run_logged):
    code, log = run_logged("import os\nfor n in range(20000): print(n)\nos.kill(os.getpid(), 11)")
    assert code == 128 + signal.SIGSEGV
    assert log.read_text() == "".join(f"{n}\n" for n in range(20000))


def test_a_log_has_a_limited_size(run_logged):
    code, log = run_logged("for n in range(250): print('x' * 99_999)\nprint('the end')")
    older = log.with_name("log.1")
    assert code == 0
    assert log.read_text().endswith("x\nthe end\n")
    assert log.stat().st_size <= 10_000_000
    assert 9_000_000 < older.stat().st_size <= 10_000_000
    assert sorted(path.name for path in log.parent.glob("log*")) == ["log", "log.1"]


def test_a_full_disk_breaks_no_print(run_logged):
    # A limit on the size of files fails like a full disk.
    limited = ("prlimit", "--fsize=1000")
    code, log = run_logged("for n in range(1000): print('x' * 999)\nraise SystemExit(7)", prefix=limited)
    assert code == 7
    assert log.stat().st_size == 1000


def test_a_daemon_that_holds_the_log_does_not_delay_the_end(run_logged):
    code, log = run_logged(
        _WITH_DAEMON.replace("os.wait(); time.sleep(60)", "os.wait(); time.sleep(0.5); raise SystemExit(7)")
    )
    assert code == 7
    assert log.read_text() == "up\n"


def test_a_server_whose_output_is_logged_dies_with_its_leash(create, leash, kind, tmp_path):
    directory, _ = create()
    process = leash(
        directory.lease_file,
        _IGNORES_SIGTERM,
        *kind,
        "--log",
        str(tmp_path / "log"),
        env={"GPUMODELS_INSTANCE": directory.id},
    )
    until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text() == "up\n")
    process.process.kill()
    until(lambda: not _marked(directory))
