"""The runtime directory: it is private, local and written atomically, and only stale instances are claimed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gpumodels.errors import RuntimeDirectoryError
from gpumodels.lease import held, private_files
from gpumodels.lease import runtime as runtime_module
from gpumodels.lease.directory import InstanceDirectory
from gpumodels.lease.record import VERSION, InstanceRecord, UnknownRecordError
from gpumodels.lease.runtime import RuntimeDirectory
from tests.leftovers import descriptors, until


def test_the_directory_is_made_private(runtime):
    assert stat.S_IMODE(runtime.path.stat().st_mode) == 0o700


def test_a_directory_open_to_others_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(RuntimeDirectoryError, match=r"open to other users. Close it with `chmod 700"):
        RuntimeDirectory(tmp_path / "open")


@pytest.mark.root
def test_a_directory_of_another_user_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 65534, 65534)
    with pytest.raises(RuntimeDirectoryError, match="not a directory that belongs to you"):
        RuntimeDirectory(tmp_path / "theirs")


def test_a_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(RuntimeDirectoryError, match="not a directory that belongs to you"):
        RuntimeDirectory(tmp_path / "link")


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch(mode=0o600)
    with pytest.raises(RuntimeDirectoryError, match="cannot be made: File exists"):
        RuntimeDirectory(tmp_path / "file")


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    with pytest.raises(RuntimeDirectoryError, match="Set GPUMODELS_RUNTIME_DIR"):
        RuntimeDirectory(tmp_path / "no" / "such" / "parent")


def test_a_network_filesystem_is_refused(tmp_path, monkeypatch):
    # There is no network filesystem here, so declare the local one to be one.
    own = private_files.filesystem(tmp_path)
    assert own
    monkeypatch.setattr(private_files, "_NETWORK_FILESYSTEMS", (own,))
    with pytest.raises(RuntimeDirectoryError, match=f"network filesystem \\({own}\\)"):
        RuntimeDirectory(tmp_path / "run")


def test_types_of_filesystems_are_recognised():
    assert private_files.filesystem(Path("/proc")) == "proc"
    assert private_files.filesystem(Path("/dev/shm")) == "tmpfs"


def test_all_processes_read_the_same_identity(runtime, puppet):
    others = [puppet() for _ in range(3)]
    for other in others:
        other.tell("__import__('gpumodels.instances', fromlist=['_']).runtime_directory().identity")
    assert {other.answer() for other in others} == {runtime.identity}


def test_threads_that_make_the_directory_together_get_one_identity(tmp_path):
    found, barrier = [], threading.Barrier(8)

    def come():
        barrier.wait()
        found.append(RuntimeDirectory(tmp_path / "new").identity)

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_an_instance_is_complete_and_held_from_its_first_moment(create, record):
    directory, lease = create()
    assert lease.held
    found = directory.record()
    assert found == record(directory.id, created=found.created)
    assert directory.lease_file.read_bytes() == b"proof"
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700


def test_a_failed_creation_leaves_nothing(runtime, record, monkeypatch):
    before = descriptors(str(runtime.path))
    monkeypatch.setattr(InstanceDirectory, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
    with pytest.raises(RuntimeDirectoryError, match="cannot take a new instance: No space"):
        runtime.create(record())
    assert runtime.instances() == []
    assert not descriptors(str(runtime.path)) - before


def test_an_interrupted_creation_leaves_nothing(runtime, record, monkeypatch):
    before = descriptors(str(runtime.path))
    monkeypatch.setattr(InstanceDirectory, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        runtime.create(record())
    assert runtime.instances() == []
    assert not descriptors(str(runtime.path)) - before


def test_an_instance_in_a_vanished_directory_is_refused(runtime, record, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError(2, "No such file")))
    with pytest.raises(RuntimeDirectoryError, match="cannot take a new instance"):
        runtime.create(record())


def test_a_reader_never_sees_half_a_record(create, record, puppet):
    directory, _ = create()
    reader = puppet()
    reader.do(
        "from gpumodels.lease.directory import InstanceDirectory; from pathlib import Path; import threading\n"
        f"directory = InstanceDirectory(Path({str(directory.path)!r})); sizes = set(); stop = threading.Event()\n"
        "def read():\n"
        "    while not stop.is_set(): sizes.add(len(directory.record().engine_ref['filler']))\n"
        "failed = []\n"
        "def run():\n"
        "    try: read()\n"
        "    except BaseException as error: failed.append(repr(error))\n"
    )
    directory.write(record(engine_ref={"filler": ""}))
    reader.do("thread = threading.Thread(target=run); thread.start()")
    for number in range(400):
        directory.write(record(engine_ref={"filler": "x" * (number % 20) * 5000}))
    reader.do("stop.set(); thread.join()")
    assert reader.do("failed") == []
    assert reader.do("len(sizes)") > 1
    assert [path.name for path in directory.path.glob(".*")] == []


def test_a_record_that_cannot_be_written_leaves_the_old_one(create, record, monkeypatch):
    directory, _ = create()
    before = directory.record()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
    with pytest.raises(RuntimeDirectoryError, match="No space"):
        directory.write(record(model="other"))
    assert directory.record() == before
    assert [path.name for path in directory.path.glob(".*")] == []


def test_records_come_back_as_they_were(create, record):
    wanted = record(
        devices=({"uuid": "GPU-1", "index": 0, "name": "A", "label": "GPU 0"},), engine_ref={"pid": 1}, memory=5
    )
    directory, _ = create()
    directory.write(wanted)
    assert directory.record() == wanted


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", '{"version": 99}', '{"version": 1}', "\xff"])
def test_a_broken_record_raises_unknown_record_error(create, text):
    directory, _ = create()
    (directory.path / "instance.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UnknownRecordError):
        directory.record()


def test_a_whole_record_of_another_version_is_not_read(create):
    directory, _ = create()
    fields = json.loads(directory.record().to_json())
    (directory.path / "instance.json").write_text(json.dumps({**fields, "version": VERSION + 1}))
    with pytest.raises(UnknownRecordError, match=f"version {VERSION + 1}"):
        directory.record()


def _newer(directory, record):
    fields = json.loads(record.to_json())
    directory.write(record)
    (directory.path / "instance.json").write_text(json.dumps({**fields, "version": VERSION + 1, "unheard": "of"}))


@pytest.mark.parametrize("stale", [False, True], ids=["live", "stale"])
def test_an_instance_of_another_version_is_left_alone(create, record, runtime, stale):
    directory, lease = create()
    _newer(directory, record())
    if stale:
        lease.release()
    assert runtime.claim_stale() == []
    assert directory.path.is_dir()


def test_an_instance_that_another_version_claimed_is_left_alone(create, record, runtime):
    _, lease = create()
    lease.release()
    claimed = runtime.claim_stale()[0]
    _newer(claimed, record())
    assert runtime.claim_stale() == []
    assert claimed.path.is_dir()


def test_only_instances_that_nobody_holds_are_claimed(create, runtime):
    first, lease = create("first-0123456789")
    second, _ = create("second-0123456789")
    lease.release()
    assert [directory.id for directory in runtime.claim_stale()] == [first.id]
    assert [directory.id for directory in runtime.instances()] == [second.id]
    assert [directory.id for directory in runtime.claim_stale()] == [first.id]  # until it is removed
    assert not first.path.exists()


def test_a_creation_that_died_half_way_is_claimed(runtime):
    (runtime.path / "empty-0123456789").mkdir()
    (runtime.path / "early-0123456789").mkdir()
    (runtime.path / "early-0123456789" / "lease").touch()
    assert {directory.id for directory in runtime.claim_stale()} == {"empty-0123456789", "early-0123456789"}


def test_directories_that_are_not_ours_are_never_touched(tmp_path):
    # A user may set GPUMODELS_RUNTIME_DIR to their home directory.
    home = tmp_path / "home"
    (home / "thesis").mkdir(parents=True)
    (home / "thesis" / "chapter.tex").write_text("long work")
    home.chmod(0o700)
    assert RuntimeDirectory(home).claim_stale() == []
    assert (home / "thesis" / "chapter.tex").exists()


def test_a_link_to_a_directory_is_no_instance(runtime, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (runtime.path / "link-0123456789").symlink_to(tmp_path / "elsewhere")
    assert runtime.instances() == []
    assert runtime.claim_stale() == []


def test_an_instance_that_was_half_removed_is_swept(create, runtime, monkeypatch):
    directory, lease = create()
    lease.release()
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda path, **_: (path / "lease").unlink())  # killed after the first file
        directory.remove()
    assert [each.id for each in runtime.claim_stale()] == [directory.id]


def test_shared_memory_without_an_instance_is_swept(create, runtime, tmp_path):
    create("kept-0123456789")
    mine = [Path(runtime.make_shared_memory(name)) for name in ("kept-0123456789", "gone-0123456789")]
    other = RuntimeDirectory(tmp_path / "other")
    theirs = Path(other.make_shared_memory("gone-0123456789"))
    try:
        (mine[1] / "region").write_bytes(b"x")
        runtime.sweep_shared_memory()
        assert [path.exists() for path in (*mine, theirs)] == [True, False, True]
    finally:
        other.sweep_shared_memory()
    assert not theirs.exists()


def test_shared_memory_of_a_claimed_instance_stays(create, runtime):
    _, lease = create("ending-0123456789")
    path = Path(runtime.make_shared_memory("ending-0123456789"))
    lease.release()
    runtime.claim_stale()
    runtime.sweep_shared_memory()
    assert path.exists()


def test_remove_shared_memory_removes_nothing_else(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    runtime_module.remove_shared_memory(str(tmp_path / "a" / "b"))
    runtime_module.remove_shared_memory("")
    assert (tmp_path / "a" / "b").exists()


def test_no_room_for_shared_memory_is_no_error(runtime, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime_module, "SHARED_MEMORY", tmp_path / "no" / "such")
    assert runtime.make_shared_memory("echo-0123456789") == ""


@pytest.mark.parametrize("name", ["../run", ".gate", "", "no-such", "a/b"])
def test_an_unknown_id_raises_key_error(runtime, name):
    with pytest.raises(KeyError):
        runtime.directory(name)


def test_the_first_record_of_a_stop_stays(create):
    directory, _ = create()
    assert directory.ended is None
    directory.mark_ended("the sidebar")
    directory.mark_ended("this notebook")
    assert str(directory.ended).startswith("stopped from the sidebar at ")


def test_creations_wait_for_a_sweep_and_not_for_each_other(runtime, record):
    with runtime.gate(exclusive=True):
        creating = threading.Thread(target=runtime.create, args=(record(),))
        creating.start()
        creating.join(0.1)
        assert runtime.instances() == []
    creating.join()
    with runtime.gate():
        runtime.create(record("other-0123456789"))
    assert len(runtime.instances()) == 2


_CREATE = """
import os, time
from gpumodels.lease.record import InstanceRecord, Owner
from gpumodels.instances import runtime_directory
runtime, lost = runtime_directory(), 0
for number in range({count}):
    record = InstanceRecord(f"p{{os.getpid()}}-{{number:010x}}", "echo", "process", Owner(0), 0.0)
    directory, lease = runtime.create(record)
    lost += not directory.lease_file.exists() or not (directory.path / "instance.json").exists()
    lease.release()
    directory.remove()
"""
_SWEEP = """
from gpumodels.instances import runtime_directory
runtime, found = runtime_directory(), 0
while not stop.is_set():
    for directory in runtime.claim_stale():
        found += 1
        directory.remove()
finished = True
"""


def test_no_creation_is_lost_to_a_sweep(puppet, runtime):
    # Several processes create while several sweep. Without the gate, one in some thousands is lost.
    makers, sweepers = [puppet() for _ in range(3)], [puppet() for _ in range(2)]
    for sweeper in sweepers:
        sweeper.do("import threading; stop = threading.Event()")
        sweeper.do(f"thread = threading.Thread(target=exec, args=({_SWEEP!r}, globals())); thread.start()")
    for maker in makers:
        maker.tell(_CREATE.format(count=300))
    for maker in makers:
        maker.answer()
    assert [maker.do("lost") for maker in makers] == [0, 0, 0]
    for sweeper in sweepers:
        sweeper.do("stop.set(); thread.join()")
        assert sweeper.do("finished")  # directories that were removed meanwhile raised no error
    assert runtime.instances() == []


def test_a_sweep_waits_for_a_creation_in_progress(runtime, record, monkeypatch, puppet):
    # Force the race of the previous test: the directory exists, and its lease does not exist yet.
    sweeper = puppet()
    sweeper.do("from gpumodels.instances import runtime_directory; runtime = runtime_directory()")
    create = held.create

    def slowly(*arguments):
        sweeper.tell("len(runtime.claim_stale())")
        until(lambda: _waits_for_lock(sweeper.pid))
        return create(*arguments)

    monkeypatch.setattr(held, "create", slowly)
    directory, _ = runtime.create(record())
    assert sweeper.answer() == 0
    assert directory.path.is_dir()


def _waits_for_lock(pid):
    return any(f" {pid} " in line and "->" in line for line in Path("/proc/locks").read_text().splitlines())


def test_a_cleaner_of_old_files_skips_everything_while_a_model_is_loaded(create, runtime):
    # systemd-tmpfiles asks for a lock on the directory, and skips the directory if another process has it.
    create()
    fd = os.open(runtime.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(fd)


def test_the_version_is_in_every_record(record):
    assert json.loads(record().to_json())["version"] == VERSION == InstanceRecord.version


@pytest.mark.parametrize(
    ("labels", "shown"),
    [([], "CPU"), (["GPU 0"], "GPU 0"), (["GPU 0", "GPU 2"], "GPU 0, 2"), (["GPU 0 slice 1"], "GPU 0 slice 1")],
)
def test_a_record_shows_the_labels_of_its_devices(record, labels, shown):
    assert (
        record(devices=tuple({"uuid": "", "index": 0, "name": "", "label": label} for label in labels)).device == shown
    )


def test_a_disk_that_is_full_at_first_use_raises_a_clear_error(tmp_path):
    # A limit on the size of files fails like a full disk: at the first byte.
    code = f"""
import resource
from pathlib import Path
from gpumodels.errors import RuntimeDirectoryError
from gpumodels.lease.runtime import RuntimeDirectory
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    RuntimeDirectory(Path({str(tmp_path / "full")!r}))
except RuntimeDirectoryError as error:
    print(error)
"""
    printed = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert f"{tmp_path / 'full'} cannot take a new instance: File too large. Free some space there, or set" in printed
