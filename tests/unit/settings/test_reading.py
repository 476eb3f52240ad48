"""Sources of settings, and their order if several set the same one."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from gpumodels.settings import KEYS, Settings, origin, runtime_dir, settings, variable

ALL = """
runtime_dir = "/srv/run"
engine = "process"
idle = "never"
timeout = 90
placement = "pack"
models = "~/zoo"
image_prefix = "registry.lab:5000/vision/own"
base_image = "debian:12"
index_url = "https://index.lab/simple"
ca_bundle = "/etc/lab.pem"
debian_mirror = "https://debian.lab"
gateway_calls = 1
gateway_waiting = 2
gateway_timeout = "5s"
gateway_body = "1.5 MiB"
gateway_fetch = "on"
"""


def test_without_settings_the_defaults_hold(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    assert settings() == Settings()
    # Kernel, Jupyter server and command line must use the same directory, even if their TMPDIR differs.
    assert settings().runtime_dir == runtime_dir() == Path(f"/tmp/gpumodels-{os.getuid()}")
    assert (settings().engine, settings().idle, settings().timeout) == ("auto", 3600, 600)


def test_a_file_sets_all_of_them(user, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    user(ALL)
    found = settings()
    assert all(getattr(found, key) != getattr(Settings(), key) for key in KEYS)
    assert (found.idle, found.timeout, found.models) == (math.inf, 90, tmp_path / "zoo")
    assert runtime_dir() == found.runtime_dir == Path("/srv/run")
    assert (found.gateway_calls, found.gateway_body) == (1, 3 << 19)


def test_the_environment_sets_all_of_them(monkeypatch):
    for line in ALL.strip().splitlines():
        key, _, value = line.partition(" = ")
        monkeypatch.setenv(variable(key), value.strip('"'))
    found = settings()
    assert all(getattr(found, key) != getattr(Settings(), key) for key in KEYS)
    assert (found.idle, found.timeout, found.runtime_dir) == (math.inf, 90, Path("/srv/run"))


def test_the_environment_wins_over_the_user_and_the_user_over_the_machine(user, machine, monkeypatch):
    machine('idle = "1m"\nengine = "docker"\nplacement = "pack"')
    user('idle = "2m"\nengine = "fake"')
    monkeypatch.setenv("GPUMODELS_IDLE", "3m")
    assert (settings().idle, settings().engine, settings().placement) == (180, "fake", "pack")


def test_the_first_of_the_machines_directories_counts(tmp_path, monkeypatch):
    for name, idle in (("first", "1m"), ("second", "2m")):
        place = tmp_path / name / "gpumodels"
        place.mkdir(parents=True)
        (place / "settings.toml").write_text(f'idle = "{idle}"')
    (tmp_path / "second" / "gpumodels" / "settings.toml").write_text('idle = "2m"\nengine = "process"')
    monkeypatch.setenv("XDG_CONFIG_DIRS", f"relative::{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert (settings().idle, settings().engine) == (60, "process")


def test_a_change_of_a_file_counts_at_once(user):
    for idle in (1, 22, 333):
        user(f'idle = "{idle}s"')
        assert settings().idle == idle
    user("").unlink()
    assert settings().idle == Settings().idle


def test_the_environment_is_read_at_each_call(monkeypatch):
    monkeypatch.setenv("GPUMODELS_ENGINE", "process")
    assert settings().engine == "process"
    monkeypatch.setenv("GPUMODELS_ENGINE", "docker")
    assert settings().engine == "docker"


def test_an_empty_variable_is_ignored_and_an_empty_text_is_the_default(user, machine, monkeypatch):
    # With an empty text a user can undo a setting of the machine.
    machine('index_url = "https://index.lab/simple"\nca_bundle = "/etc/lab.pem"\nidle = "1m"')
    monkeypatch.setenv("GPUMODELS_INDEX_URL", "")
    assert settings().index_url == "https://index.lab/simple"
    user('index_url = ""\nca_bundle = ""\nidle = ""')
    assert settings() == Settings()


def test_the_origin_of_a_setting_is_named(user, monkeypatch):
    path = user('\n\nidle = "1m"\nengine = "fake"')
    monkeypatch.setenv("GPUMODELS_ENGINE", "process")
    assert origin("idle") == f"{path}, line 3: idle"
    assert origin("engine") == "GPUMODELS_ENGINE"
    assert origin("timeout") == ""


def test_a_user_without_a_home_has_no_file(machine, monkeypatch):
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: {}["nobody"])
    machine('idle = "1m"')
    assert settings().idle == 60


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        settings().idle = 5
