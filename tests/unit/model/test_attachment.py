"""The states of an attachment, with stand-ins for the instance, its lease and its client."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gpumodels.errors import ModelGone
from gpumodels.lease import InstanceDirectory, InstanceRecord, Owner, notes
from gpumodels.model import Attachment, attachment


@pytest.fixture
def attached(tmp_path, monkeypatch):
    """An attachment that takes calls."""
    monkeypatch.setattr(attachment.ending, "end", lambda *_: None)
    record = InstanceRecord("echo-1a2b", "echo", "fake", Owner(1), 0.0)
    directory = InstanceDirectory(tmp_path / record.id)
    directory.path.mkdir()
    client = SimpleNamespace(signature=lambda: None, watch=lambda: None, finish=lambda: None, close=lambda: None)
    made = Attachment(
        record,
        directory,
        SimpleNamespace(others_use=True, leash_lives=True),
        SimpleNamespace(logs=lambda *_: "last line"),
    )
    made.connect(client, 0.1)
    return made


def _asleep(attached):
    return notes.standing(attached.directory.path.parent, notes.ASLEEP)


def test_an_instance_that_fell_asleep_while_it_was_joined_is_not_listed_as_sleeping(attached):
    attached.sleep()
    assert attached.asleep
    assert _asleep(attached)
    attached.abandon()
    assert not attached.asleep
    assert isinstance(attached.error, ModelGone)
    assert _asleep(attached) == []


def test_the_end_of_the_server_does_not_revive_an_attachment_that_was_stopped(attached):
    attached.stop("this notebook")
    attached.server_ended(asleep=False)
    assert (attached.open, attached.attached, attached.asleep) == (False, False, False)
