"""What all tests share: a runtime directory of their own, which holds nothing afterwards."""

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
    # A shell starts background jobs deaf to Ctrl-C, and so would be what the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "root: becomes another user, which only root may")
    config.addinivalue_line("markers", "memory_cgroup: bounds the memory of a process, which takes a cgroup to write")


def pytest_collection_modifyitems(config, items):
    items[:], left, config.stash[_left_out] = parts.split(items)
    config.hook.pytest_deselected(items=left)


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(_left_out, []):
        terminalreporter.write_line(f"{line}; `.ci/run` installs what a bare machine lacks")


@pytest.fixture(autouse=True)
def runtime_path(tmp_path):
    """Where instances of the test lie: not among the user's own. Environments and images are shared by all tests."""
    path = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:  # one of its own, which outlasts what the test patches
        patch.setenv("GPUMODELS_RUNTIME_DIR", str(path))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))  # nor do the settings of this user count
        patch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "config" / "machine"))
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        patch.setattr(reservations, "PLACE", _shared_place(tmp_path))  # machines of two tests have GPUs of one name
        yield path
        if path.is_dir():
            _clear(path)
        registry._models.clear()


def _shared_place(tmp_path):
    place = tmp_path / "shm"
    place.mkdir()
    place.chmod(0o1777)
    return place


def _clear(path):
    """Let go of what the test loaded, and sweep: a test that fails must not leave models running."""
    from gpumodels.cleanup import sweep

    held.release_all()
    for key in [key for key in guard._guards if key[1] == path]:
        with guard._guards.pop(key) as process:
            os.killpg(process.pid, signal.SIGKILL)
    until(lambda: sweep(RuntimeDirectory(path)), within=30)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """`build(gpu(...), ...)` makes this process see such a machine until the test ends."""
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
    """What of the test is left, containers not counted."""
    return Leftovers(runtime_path)


@pytest.fixture
def puppet(runtime_path):
    """Makes other processes."""
    made = []

    def make(**options):
        made.append(Puppet(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()
