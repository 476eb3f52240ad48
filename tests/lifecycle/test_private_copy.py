"""A guard sweeps although its package was upgraded, or its environment deleted, after it started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gpumodels.cleanup import private_copy
from tests.leftovers import ROOT, until


def _distributions(name="gpumodels"):
    """Return the distributions that gpumodels requires, without those for displays."""
    waiting, found = [name], {}
    while waiting:
        each = waiting.pop()
        if each in found or each in {"jupyterlab", "ipywidgets", "anywidget", "jupyter-server", "uv"}:
            continue
        try:
            found[each] = metadata.distribution(each)
        except metadata.PackageNotFoundError:
            continue
        required = map(Requirement, found[each].requires or ())
        waiting += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    del found["gpumodels"]
    return found.values()


@pytest.fixture
def environment(tmp_path):
    """A virtual environment with gpumodels and its requirements. All files in it are copies or hard links."""
    place = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    for distribution in _distributions():
        for file in distribution.files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.is_file():
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                _link(source, packages / file)
    shutil.copytree(ROOT / "gpumodels", packages / "gpumodels", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "images" / "echo", packages / "gpumodels" / "images" / "echo")
    return place


def _link(source, target):
    try:
        os.link(source, target)
    except FileExistsError:  # the file is listed twice
        return
    except OSError:  # another file system
        shutil.copyfile(source, target)


@pytest.fixture
def kernel(environment, puppet, tmp_path):
    """A notebook in that environment, with a cache of its own."""
    settings = {"PYTHONPATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    made = puppet(python=environment / "bin" / "python", cwd="/", env=settings, start_new_session=True)
    made.do("import gpumodels")
    assert made.do("gpumodels.__file__").startswith(str(environment))
    return made


@pytest.mark.parametrize("engine", ["docker", "fake"])
@pytest.mark.parametrize("after", ["deleted", "upgraded", "without cache"])
def test_what_a_killed_kernel_held_is_removed(after, engine, environment, kernel, leftovers, tmp_path):
    kernel.do(f"model = gpumodels.load('echo', engine={engine!r}, gpu='none')")
    if after == "deleted":
        shutil.rmtree(environment)
    elif after == "without cache":
        shutil.rmtree(tmp_path / "cache")
    else:
        for module in environment.glob("lib/python*/site-packages/gpumodels/**/*.py"):
            module.write_text("raise ImportError('half of an upgrade')\n")
    kernel.kill()
    until(lambda: leftovers() + leftovers.containers() == [], within=15)


def test_a_copy_serves_until_the_package_or_what_is_installed_changes(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = private_copy.directory()
    assert (first / "gpumodels" / "cleanup" / "guard.py").read_bytes() == Path(private_copy.__file__).with_name(
        "guard.py"
    ).read_bytes()
    assert private_copy.directory() == first
    changed = tmp_path / "dist-packages"
    changed.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(changed)])
    assert private_copy.directory() != first


def test_without_room_in_the_cache_guards_run_from_the_package_itself(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no-such-place")
    assert private_copy.directory() == ROOT


def test_a_copy_that_nobody_has_used_for_long_makes_room_for_a_new_one(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old, used = (tmp_path / "gpumodels" / "guards" / name for name in ("0000000000000000", "1111111111111111"))
    for path in (old, used):
        path.mkdir(parents=True)
        os.utime(path, (0, 0))
    user = subprocess.Popen(["sleep", "60"], env={"PYTHONPATH": str(used)})
    try:
        made = private_copy.directory()
    finally:
        user.kill()
        user.wait()
    assert sorted(made.parent.iterdir()) == sorted([used, made])


def test_a_guard_takes_twenty_megabytes(kernel):
    kernel.do("model = gpumodels.load('echo', engine='fake', gpu='none')")
    kernel.do("from gpumodels.lease import guard")
    (first,) = kernel.do("[each.pid for each in guard._guards.values()]")
    guards = until(lambda: [pid for pid in _session(first) if pid != first] and _session(first))
    for pid in guards:  # the guard and its second process
        status = Path(f"/proc/{pid}/status").read_text()
        assert int(status.partition("VmRSS:")[2].split()[0]) < 22 << 10  # KiB


def _session(leader):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found
