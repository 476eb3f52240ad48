"""Options that make no sense are refused in one sentence, before a load begins."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

import gpumodels
from gpumodels.errors import LoadRefused
from gpumodels.instances import holders, this_process


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": "soon"}, "timeout must be a time such as '90s', '10m' or '2h', or 'never', not 'soon'"),
        ({"timeout": -1}, "timeout must be a number of seconds above 0, not -1"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": math.nan}, "timeout must be"),
        ({"timeout": True}, "timeout must be"),
        ({"env": {"A": 1}}, "'A': 1 is no environment setting"),
        ({"env": {"A=B": "1"}}, "'A=B': '1' is no environment setting"),
        ({"env": {"A": "\0"}}, "is no environment setting"),
        ({"env": {"": "1"}}, "is no environment setting"),
        ({"env": {"CUDA_VISIBLE_DEVICES": "1"}}, "env: CUDA_VISIBLE_DEVICES is set by gpumodels itself"),
        ({"env": {"GPUMODELS_SHM": ""}}, "env: GPUMODELS_SHM is set by gpumodels itself"),
        ({"env": ["A"]}, "env must be a dict of text to text"),
        ({"engine": 5}, "engine must be text"),
        ({"replicas": 0}, "replicas must be a whole number from 1 to 64, not 0"),
        ({"replicas": -2}, "replicas must be a whole number from 1 to 64, not -2"),
        ({"replicas": 1000}, "replicas must be a whole number from 1 to 64, not 1000"),
        ({"replicas": "2"}, "replicas must be"),
        ({"replicas": True}, "replicas must be"),
        ({"replicas": 2, "serve": "127.0.0.1:0"}, "they do not go with serve: leave one of the two out"),
        ({"replicas": 2, "share": True}, "they do not go with share"),
        ({"replicas": 2, "keep": "2h"}, "they do not go with keep"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words, runtime_path):
    with pytest.raises(LoadRefused, match=f"^echo: .*{words}"):
        gpumodels.load("echo", **options)
    assert not runtime_path.exists()


def test_a_model_is_named_by_text_or_a_path():
    with pytest.raises(LoadRefused, match=r"not by 5\.$"):
        gpumodels.load(5)


def test_an_owner_in_a_removed_directory_has_no_notebook(tmp_path, monkeypatch):
    place = tmp_path / "gone"
    place.mkdir()
    monkeypatch.chdir(place)
    place.rmdir()
    with pytest.raises(OSError):
        Path.cwd()
    monkeypatch.setattr(holders, "_shell", lambda: SimpleNamespace(user_ns={}))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert this_process().notebook == ""
