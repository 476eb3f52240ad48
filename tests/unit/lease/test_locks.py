"""The properties of file locks that leases rely on, and the functions of `locks`."""

from __future__ import annotations

import fcntl
import os

import pytest

from gpumodels.lease import locks

pytestmark = pytest.mark.usefixtures("runtime_path")

_HOLD = "import os; from gpumodels.lease import locks; fd = os.open({!r}, os.O_RDWR); locks.take_record_lock(fd)"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lease"
    path.write_bytes(b"")
    return path


@pytest.fixture
def opened(file):
    fd = os.open(file, os.O_RDWR)
    yield fd
    os.close(fd)


def test_closing_any_descriptor_of_a_file_loses_its_record_locks(file, puppet):
    holder, other = puppet(), puppet()
    holder.do(_HOLD.format(str(file)))
    look = f"import os; from gpumodels.lease import locks; seen = os.open({str(file)!r}, os.O_RDONLY)"
    other.do(look)
    assert other.do("locks.conflicting_lock(seen, locks.LEASE).kind") == fcntl.F_RDLCK
    holder.do(f"open({str(file)!r}).close()")
    assert other.do("locks.conflicting_lock(seen, locks.LEASE)") is None


def test_a_killed_process_holds_nothing(opened, file, puppet):
    holder = puppet()
    assert holder.do("1") == 1
    holder.do(_HOLD.format(str(file)))
    assert locks.conflicting_lock(opened, locks.LEASE).kind == fcntl.F_RDLCK
    holder.kill()
    assert locks.conflicting_lock(opened, locks.LEASE) is None


def test_a_lock_that_somebody_has_exclusively_is_refused_at_once(opened, file, puppet):
    waiter = puppet()
    waiter.do(f"import os; from gpumodels.lease import locks; fd = os.open({str(file)!r}, os.O_RDWR)")
    assert waiter.do("locks.try_description_lock(fd, locks.LEASE)") is True
    assert locks.take_record_lock(opened) is False
    assert locks.conflicting_lock(opened, locks.LEASE).kind == fcntl.F_WRLCK


def test_the_bytes_are_locked_independently(opened, file, puppet):
    other = puppet()
    other.do(f"import os; from gpumodels.lease import locks; fd = os.open({str(file)!r}, os.O_RDWR)")
    assert other.do("locks.try_description_lock(fd, locks.LEASH)") is True
    assert locks.take_record_lock(opened) is True


def test_a_waiting_leash_gives_nobody_a_false_deadlock(opened, file, tmp_path, puppet):
    # The kernel's deadlock detection sees processes, not threads. A process that waits for a record lock would count
    # as half of a deadlock.
    second = tmp_path / "second"
    second.write_bytes(b"")
    leash = puppet()
    leash.do(
        f"import os, fcntl, threading, time; from gpumodels.lease import locks\n"
        f"fd = os.open({str(file)!r}, os.O_RDWR); held = os.open({str(second)!r}, os.O_RDWR)\n"
        "fcntl.lockf(held, fcntl.LOCK_EX)"
    )
    assert locks.take_record_lock(opened)
    leash.do("threading.Thread(target=locks.wait_description_lock, args=(fd, locks.LEASE), daemon=True).start()")
    leash.tell("time.sleep(0.3); fcntl.lockf(held, fcntl.LOCK_UN)")
    with second.open("rb+") as mine:
        fcntl.lockf(mine, fcntl.LOCK_EX)  # raises EDEADLK if the waiter takes part in the detection


def test_a_cleaner_that_asks_for_the_directory_is_refused(tmp_path):
    held = locks.hold_directory(tmp_path)
    cleaner = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(held)
        fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(cleaner)


def test_holding_a_directory_waits_for_a_cleaner_at_work(tmp_path, puppet):
    cleaner = puppet()
    cleaner.do(f"import os, fcntl, time; fd = os.open({str(tmp_path)!r}, os.O_RDONLY); fcntl.flock(fd, fcntl.LOCK_EX)")
    cleaner.tell("time.sleep(0.2); os.close(fd)")
    os.close(locks.hold_directory(tmp_path))


def test_flocked_keeps_writers_alone_and_readers_together(tmp_path, puppet):
    file, other = tmp_path / "gate", puppet()
    other.do(f"from pathlib import Path; import fcntl, os; fd = os.open({str(file)!r}, os.O_RDWR | os.O_CREAT)")
    ask = "try:\n    fcntl.flock(fd, fcntl.{} | fcntl.LOCK_NB); got = True\nexcept BlockingIOError: got = False"
    for exclusive, wanted, granted in [(False, "LOCK_SH", True), (False, "LOCK_EX", False), (True, "LOCK_SH", False)]:
        with locks.flocked(file, exclusive=exclusive):
            other.do(ask.format(wanted))
            assert other.do("got") is granted
        other.do("fcntl.flock(fd, fcntl.LOCK_UN)")
