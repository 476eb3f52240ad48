"""Eviction puts models to sleep to make room: the least recently called first, and no more than needed."""

from __future__ import annotations

import math

import pytest

from gpumodels.lease.record import InstanceRecord, Owner
from gpumodels.loading.eviction import Candidate, plan


def idle(name, seconds=60.0, held=5, gpu="GPU-1", keep=None):
    record = InstanceRecord(name, name, "docker", Owner(1), 0.0, devices=({"uuid": gpu, "label": "GPU"},), keep=keep)
    return Candidate(record, seconds, {gpu: held} if held else {})


def names(known, needed, free=()):
    """Return the models that should sleep if a load needs `needed` bytes on one GPU. `free` is free memory by UUID."""
    free = {"GPU-1": 0, "GPU-2": 0, **dict(free)}
    return [
        each.record.id
        for each in plan(known, lambda back: any(free[uuid] + back.get(uuid, 0) >= needed for uuid in free))
    ]


def test_the_least_recently_called_sleeps_first():
    assert names([idle("old"), idle("new")], 5) == ["old"]
    assert names([idle("old"), idle("new")], 8) == ["old", "new"]


def test_no_more_models_sleep_than_needed():
    known = [idle("small", held=1), idle("middle", held=3), idle("large", held=9)]
    assert names(known, 9) == ["large"]
    assert names(known, 10) == ["small", "large"]
    assert names(known, 12) == ["middle", "large"]


def test_only_models_on_the_gpu_that_then_has_room_sleep():
    known = [idle("there", gpu="GPU-2", held=2), idle("here"), idle("also here")]
    assert names(known, 10) == ["here", "also here"]
    assert names(known, 10, {"GPU-2": 8}) == ["there"]


def test_no_model_sleeps_if_all_together_free_too_little():
    assert names([idle("one"), idle("two")], 11) == []
    assert names([], 1) == []


@pytest.mark.parametrize(
    "spared",
    [
        idle("at work", seconds=0.0),
        idle("just called", seconds=3.0),
        idle("of a server that does not say", seconds=None),
        idle("kept for ever", keep=math.inf),
        idle("of unknown size", held=0),
    ],
)
def test_models_that_must_not_sleep_are_left_alone(spared):
    assert names([spared, idle("other")], 5) == ["other"]
    assert names([spared], 5) == []


def test_a_model_that_is_kept_for_a_limited_time_may_sleep():
    assert names([idle("kept", keep=7200.0)], 5) == ["kept"]
