"""The page on settings: it lists all settings with their defaults, and its example is valid."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gpumodels.errors import SettingsError
from gpumodels.settings import KEYS, Settings, data_dir, settings, variable

PAGE = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (?:`(.+?)` )?\| (\S.*) \|$", PAGE, re.MULTILINE)


def test_every_setting_is_listed_once_in_order_with_its_variable():
    assert [(key, name) for key, name, _, _ in ROWS] == [(key, variable(key)) for key in KEYS]


@pytest.mark.parametrize(("key", "default"), [(key, default) for key, _, default, _ in ROWS])
def test_the_listed_default_is_the_default(key, default, monkeypatch):
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv(variable(key), default.replace("UID", str(os.getuid())))
    expected = data_dir() / "models" if key == "models" else getattr(Settings(), key)
    assert getattr(settings(), key) == expected


def test_the_example_is_a_valid_file(user):
    user(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    assert (settings().engine, settings().idle) == ("docker", 1800)


def test_the_messages_for_mistakes_are_those_on_the_page(user, monkeypatch):
    shown = re.search(r"## Mistakes.*?```\n(.*?)```", PAGE, re.DOTALL)[1]
    shown = shown.replace("~/.config/gpumodels/settings.toml", "F")
    path = user('engin = "docker"')
    messages = [_message(path)]
    path = user('\nidle = "soon"')
    messages.append(_message(path))
    path.unlink()
    monkeypatch.setenv("GPUMODELS_PLACEMENT", "best")
    assert [*messages, _message(path)] == shown.splitlines()


def _message(path):
    with pytest.raises(SettingsError) as caught:
        settings()
    return str(caught.value).replace(str(path), "F")
