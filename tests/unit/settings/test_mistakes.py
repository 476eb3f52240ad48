"""Each mistake is one sentence: file, line, key and what is allowed, or the variable."""

from __future__ import annotations

import os
import re

import pytest

from gpumodels.errors import SettingsError
from gpumodels.settings import runtime_dir, settings


def message() -> str:
    with pytest.raises(SettingsError) as caught:
        settings()
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('\nengin = "docker"', 2, "engin: unknown field; did you mean `engine`?"),
        ('runtime-dir = "/srv"', 1, "runtime-dir: unknown field; did you mean `runtime_dir`?"),
        ('IDLE = "1m"', 1, "IDLE: unknown field; did you mean `idle`?"),
        ("[idle]\nafter = 5", 1, "idle must be a duration such as 90s, 10m, 2h or never, not {'after': 5}"),
        ("zzz = 1", 1, "zzz: unknown field; known are runtime_dir, engine, "),
        ('engine = "docker"\nidle = "soon"', 2, "idle must be a duration such as 90s, 10m, 2h or never, not 'soon'"),
        ("timeout = 0", 1, "timeout must be a duration such as 90s, 10m, 2h or never, not 0"),
        ("timeout = true", 1, "timeout must be a duration such as 90s, 10m, 2h or never, not True"),
        ("engine = 5", 1, 'engine must be the name of an engine, or "auto", not 5'),
        ('placement = "best"', 1, """placement must be "most-free", "first-fit" or "pack", not 'best'"""),
        ('runtime_dir = "run"', 1, "runtime_dir must be an absolute path, or one that starts with ~/, not 'run'"),
        ('models = "~nosuch/zoo"', 1, "models must be an absolute path, or one that starts with ~/, not '~nosuch/zoo'"),
        ('models = "/a\\u0000b"', 1, "models must be an absolute path, or one that starts with ~/, not '/a\\x00b'"),
        ('ca_bundle = ["/a"]', 1, "ca_bundle must be an absolute path, or one that starts with ~/, not ['/a']"),
        ('image_prefix = "Vision/"', 1, "image_prefix must be the beginning of an image's name, such as "),
        ('image_prefix = "a\\n"', 1, "image_prefix must be the beginning of an image's name, such as "),
        ("index_url = 1979-05-27", 1, "index_url must be text, not datetime.date(1979, 5, 27)"),
        ("idle = ", 1, "not valid TOML: Invalid value"),
        ("idle = " + "9" * 5000, 1, "not valid TOML: Exceeds the limit (4300 digits) for integer string conversion"),
        ("\nidle = " + "[" * 5000 + "]" * 5000, 2, "not valid TOML: nested too deeply"),
        ("timeout = nan", 1, "timeout must be a duration such as 90s, 10m, 2h or never, not nan"),
        ("gateway_calls = 0", 1, "gateway_calls must be a whole number from 1, not 0"),
        ("gateway_waiting = true", 1, "gateway_waiting must be a whole number from 1, not True"),
        ('gateway_body = "much"', 1, 'gateway_body must be a size such as "1.5 GiB" '),
        ("gateway_fetch = true", 1, 'gateway_fetch must be "on" or "off", not True'),
        ('idle = "1m"\nidle = "2m"', 2, "not valid TOML: Cannot overwrite a value"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file(user, text, line, words):
    path = user(text)
    assert message().startswith(f"{path}, line {line}: {words}")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("GPUMODELS_IDLE", "soon", "GPUMODELS_IDLE must be a duration such as 90s, 10m, 2h or never, not 'soon'"),
        ("GPUMODELS_RUNTIME_DIR", "run", "GPUMODELS_RUNTIME_DIR must be an absolute path, .*, not 'run'"),
        ("GPUMODELS_ENGIN", "docker", r"variable GPUMODELS_ENGIN is unknown; did you mean GPUMODELS_ENGINE\?"),
        ("GPUMODELS_MODEL", "x", r"variable GPUMODELS_MODEL is unknown; did you mean GPUMODELS_MODELS\?"),
        ("GPUMODELS_INDEX", "x", r"variable GPUMODELS_INDEX is unknown; did you mean GPUMODELS_INDEX_URL\?"),
    ],
)
def test_a_mistake_in_the_environment(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    assert re.search(words, message())


@pytest.mark.parametrize("name", ["INSTANCE", "TOKEN", "SHM", "SHM_PEERS", "WEIGHTS", "DEMO_PICTURE", "HOME"])
def test_variables_of_others_are_left_alone(monkeypatch, name):
    monkeypatch.setenv(f"GPUMODELS_{name}", "x")
    settings()


def test_a_directory_in_its_place(user):
    path = user("")
    path.unlink()
    path.mkdir()
    assert message() == f"{path} is not a file"


def test_a_pipe_in_its_place_is_not_waited_for(user):
    path = user("")
    path.unlink()
    os.mkfifo(path)
    assert message() == f"{path} is not a file"


def test_a_link_in_circles(user):
    path = user("")
    path.unlink()
    path.symlink_to(path)
    assert message() == f"{path} cannot be read: Too many levels of symbolic links"


def test_a_file_in_place_of_its_directory_is_no_settings_file(user):
    path = user("")
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()
    settings()


@pytest.mark.root
def test_a_file_that_may_not_be_read(user, puppet):
    path = user("")
    path.chmod(0)
    other = puppet()
    other.do("from gpumodels.errors import SettingsError; from gpumodels.settings import settings")
    other.do("import os; os.seteuid(65534)")
    other.do("try: settings(); message = 'none'\nexcept SettingsError as error: message = str(error)")
    assert other.do("message") == f"{path} cannot be read: Permission denied"


def test_a_file_that_is_not_utf_8(user):
    path = user("")
    path.write_bytes(b'idle = "1m"\nengine = "\xff"')
    assert message() == f"{path}, line 2: not UTF-8; save the file as UTF-8"


def test_a_mistake_in_the_machines_file_names_that_one(user, machine):
    user('idle = "1m"')
    path = machine('idle = "1m"\nplacement = 1')
    assert message().startswith(f"{path}, line 2: placement must be ")


def test_a_mistake_in_an_overridden_value_is_not_reported(user, machine):
    machine('idle = "soon"')
    user('idle = "1m"')
    assert settings().idle == 60


@pytest.mark.parametrize("wrong", ['idle = "soon"', 'engin = "docker"'])
def test_the_runtime_directory_is_known_although_another_setting_is_wrong(user, wrong):
    user(f'runtime_dir = "/srv/run"\n{wrong}')
    assert str(runtime_dir()) == "/srv/run"


def test_if_a_file_cannot_be_parsed_the_next_one_gives_the_runtime_directory(user, machine):
    machine('runtime_dir = "/srv/run"')
    user('runtime_dir = "/srv/other"\nidle = ')
    assert str(runtime_dir()) == "/srv/run"


def test_a_wrong_runtime_directory_is_an_error_of_runtime_dir(user):
    path = user('runtime_dir = "run"')
    with pytest.raises(SettingsError, match=f"^{re.escape(str(path))}, line 1: runtime_dir must be an absolute path"):
        runtime_dir()
