"""Fixtures of all tests. Each test has a runtime directory of its own, which is swept afterwards."""

from __future__ import annotations

import os
import signal

import pytest

from gpumodels.devices import reservations
from gpumodels.instances import registry
from gpumodels.lease import guard, held
from gpumodels.lease.runtime import RuntimeDirectory
from tests import parts
from tests.fakes import nvml
from tests.leftovers import Leftovers, Puppet, until

_left_out = pytest.StashKey[list[str]]()


def pytest_configure(config):
    # A shell starts background jobs with SIGINT ignored. The processes that tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "root: needs root, to become another user or to mount")
    config.addinivalue_line("markers", "memory_cgroup: limits the memory of a process, which needs a writable cgroup")


def pytest_collection_modifyitems(config, items):
    items[:], left, config.stash[_left_out] = parts.split(items)
    config.hook.pytest_deselected(items=left)


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(_left_out, []):
        terminalreporter.write_line(f"{line}; `.ci/run` installs what a bare machine lacks")


@pytest.fixture(autouse=True)
def runtime_path(tmp_path):
    """The runtime directory of the test, which is not the user's. Environments and images are shared by all tests."""
    path = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:  # the test's own `monkeypatch` is undone too early
        patch.setenv("GPUMODELS_RUNTIME_DIR", str(path))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))  # the user's settings must not count
        patch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "config" / "machine"))
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        # The fake GPUs of two tests have the same UUIDs.
        patch.setattr(reservations, "PLACE", _shared_directory(tmp_path))
        yield path
        if path.is_dir():
            _clear(path)
        registry._models.clear()


def _shared_directory(tmp_path):
    directory = tmp_path / "shm"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


def _clear(path):
    """Release the leases of the test and sweep, because a test that fails must not leave models running."""
    from gpumodels.cleanup import sweep

    held.release_all()
    for key in [key for key in guard._guards if key[1] == path]:
        with guard._guards.pop(key) as process:
            os.killpg(process.pid, signal.SIGKILL)
    until(lambda: sweep(RuntimeDirectory(path)), within=30)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A function that makes this process see a machine with these GPUs: `build(gpu(...), ...)`."""
    nvml.preload()

    def make(*gpus):
        made = nvml.machine(tmp_path / "machine.json", *gpus)
        monkeypatch.setenv("FAKE_NVML_MACHINE", str(made.path))
        return made

    return make


@pytest.fixture
def runtime(runtime_path):
    return RuntimeDirectory(runtime_path)


@pytest.fixture
def leftovers(runtime_path):
    """The leftovers of the test, without containers."""
    return Leftovers(runtime_path)


@pytest.fixture
def puppet(runtime_path):
    """A function that starts other processes."""
    made = []

    def make(**options):
        made.append(Puppet(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()
