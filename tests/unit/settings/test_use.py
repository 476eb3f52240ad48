"""Effects of settings, and commands that work even if settings are wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import gpumodels
from gpumodels import catalog, instances
from gpumodels.engines.mirrors import Mirrors
from gpumodels.errors import BuildFailed, SettingsError
from gpumodels.lease.runtime import RuntimeDirectory
from tests.leftovers import until

BROKEN = {"not TOML": "idle = ", "a wrong key": 'engin = "docker"', "a wrong value": "idle = 0"}


@pytest.fixture
def runtime_dir(runtime_path, user, monkeypatch):
    """The runtime directory of the test, set by the user's file instead of the environment."""
    user(f'runtime_dir = "{runtime_path}"\nengine = "fake"\ntimeout = "50s"\nidle = "20m"')
    return runtime_path


def test_a_load_takes_options_that_are_not_given_from_the_file(runtime_dir):
    model = gpumodels.load("echo", gpu="none")
    assert (model.record.engine, model.record.idle) == ("fake", 1200)
    assert (runtime_dir / model.record.id).is_dir()
    model.stop()


def test_options_of_a_load_override_the_settings(runtime_dir):
    model = gpumodels.load("echo", gpu="none", engine="process", idle="never")
    assert (model.record.engine, model.record.idle) == ("process", None)
    model.stop()


def test_other_processes_of_the_user_find_the_model_by_the_same_file(runtime_dir):
    model = gpumodels.load("echo", gpu="none")
    code = "import gpumodels; print([record.id for record in gpumodels.running()])"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr([model.record.id])
    model.stop()


def test_an_unknown_engine_is_reported_with_its_line(user, runtime_path, monkeypatch):
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(runtime_path))
    path = user('\nengine = "dcker"')
    with pytest.raises(
        SettingsError, match=rf"^{re.escape(str(path))}, line 2: engine: There is no engine 'dcker'; did"
    ):
        gpumodels.load("echo", gpu="none")
    assert not runtime_path.exists()


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_load_with_wrong_settings_is_refused_before_it_begins(text, user, runtime_path, monkeypatch):
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(runtime_path))
    path = user(text)
    with pytest.raises(SettingsError, match=f"^{re.escape(str(path))}, line 1: "):
        gpumodels.load("echo", gpu="none", engine="fake", timeout=5, idle="never")
    assert not runtime_path.exists() or instances.running() == []


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_running_models_are_listed_called_and_stopped_while_settings_are_wrong(text, user, runtime_path, monkeypatch):
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(runtime_path))
    model = gpumodels.load("echo", gpu="none", engine="fake")
    user(text)
    assert [record.id for record in gpumodels.running()] == [model.record.id]
    assert model(5) == 5
    gpumodels.stop("echo")
    assert gpumodels.running() == []


def test_a_guard_sweeps_while_settings_are_wrong(user, runtime_path, puppet):
    # A guard gets its runtime directory in an environment variable, so it needs no settings file.
    user(f'runtime_dir = "{runtime_path}"')
    kernel = puppet()
    kernel.do("import gpumodels; model = gpumodels.load('echo', gpu='none', engine='fake')")
    user('runtime_dir = "elsewhere"\nidle = ')
    kernel.kill()
    until(lambda: RuntimeDirectory(runtime_path).instances() == [])


def test_importing_with_wrong_settings_works(user):
    user("idle = ")
    code = "import gpumodels, gpumodels.loading.api, gpumodels.magics, gpumodels.jupyter; gpumodels.load"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_users_model_folders_are_where_the_file_says(user, tmp_path):
    place = tmp_path / "zoo" / "fish"
    place.mkdir(parents=True)
    (place / "model.toml").write_text('name = "fish"')
    (place / "model.py").write_text("class Model:\n    def predict(self, value): return value\n")
    user(f'models = "{tmp_path / "zoo"}"')
    assert catalog.find("fish").folder == place


def test_index_and_certificates_of_the_file_win_over_other_tools_settings(user, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.lab/simple")
    monkeypatch.setenv("PIP_CERT", str(tmp_path))
    bundle = tmp_path / "lab.pem"
    bundle.touch()
    user(f'index_url = "https://index.lab/simple"\nca_bundle = "{bundle}"')
    assert (Mirrors.of_user().index, Mirrors.of_user().ca_bundle) == ("https://index.lab/simple", str(bundle))


def test_a_missing_ca_bundle_is_reported_with_its_line(user):
    path = user('\nca_bundle = "/no/bundle"')
    with pytest.raises(
        BuildFailed, match=rf"^{re.escape(str(path))}, line 2: ca_bundle names /no/bundle, which is not"
    ):
        Mirrors.of_user()


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_the_command_line_lists_running_models_while_settings_are_wrong(text, user, runtime_path, monkeypatch):
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(runtime_path))
    user(text)
    command = [sys.executable, "-m", "gpumodels.cli", "ps", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
