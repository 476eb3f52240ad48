"""Colours of holders: the same in all processes, and different for holders at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count, repeat

import pytest

from gpumodels.attribution import DeviceUsage, Share, Usage, as_json, colours
from gpumodels.devices import Device, Snapshot

MODELS = len(colours.PALETTE["model"])


def models(*instances):
    return [Share("model", "ctpn", 1, instance=instance) for instance in instances]


def usage(*devices):
    seen = [Snapshot(Device(f"GPU-{index}", index, "NVIDIA H100", 100)) for index in range(len(devices))]
    return as_json(Usage(0.0, tuple(map(DeviceUsage, seen, devices))))


def with_index(wanted):
    """Return an instance id that prefers the shade with this index."""
    return next(f"ctpn-{n}" for n in count() if colours.index(f"ctpn-{n}") == wanted)


def test_a_holder_has_one_colour_on_all_devices_in_any_order():
    one, other, kernel = *models("ctpn-1", "ctpn-2"), Share("kernel", "train.ipynb", 1, kernel_id="k")
    first = usage((one, kernel), (kernel, other))
    second = usage((other,), (kernel, one), (kernel,))
    assert _by_holder(first) == _by_holder(second)


def _by_holder(values):
    """Return the colour of each holder. Check that each holder has one colour."""
    shares = [share for device in values["devices"] for share in device["shares"]]
    found = {(share["instance"] or share["kernel_id"], share["colour"]) for share in shares}
    assert len(found) == len(dict(found))
    return dict(found)


def test_another_process_finds_the_same_colours():
    # Python's own hashes of text differ in each process.
    code = "from gpumodels.attribution import colours; print(*[colours.index(f'ctpn-{n}') for n in range(50)])"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    printed = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True, timeout=60)
    assert printed.split() == [str(colours.index(f"ctpn-{n}")) for n in range(50)]


@pytest.mark.parametrize("kind", colours.PALETTE)
def test_holders_have_different_colours_until_all_are_used_and_then_share_them_evenly(kind):
    palette = colours.PALETTE[kind]
    for several in range(1, 3 * len(palette) + 1):
        shares = [Share(kind, f"holder {n}", 1) for n in range(several)]
        given = list(colours.assign(shares).values())
        uses = [given.count(colour) for colour in palette]
        assert max(uses) - min(uses) <= 1


def test_a_holder_gets_its_preferred_colour_if_it_is_free():
    ids = [with_index(shade) for shade in range(MODELS)]
    given = colours.assign(models(*ids))
    assert [given["model", each] for each in ids] == list(colours.PALETTE["model"])


def test_of_two_holders_with_the_same_preference_the_later_key_gets_the_next_colour():
    first, second = sorted([with_index(0), with_index(0) + "-x"])
    while colours.index(second) != 0:
        second += "x"
    given = colours.assign(models(second, first))
    assert (given["model", first], given["model", second]) == colours.PALETTE["model"][:2]


def test_a_new_instance_has_the_colour_that_the_fewest_running_ones_have():
    running, candidates = [], (f"ctpn-{number}" for number in count())
    for _ in range(3 * MODELS):
        running.append(colours.distinct_id(candidates, running))
    assert [sum(colours.index(each) == shade for each in running) for shade in range(MODELS)] == [3] * MODELS


def test_an_id_is_returned_even_if_no_id_has_a_rare_colour():
    assert colours.distinct_id(repeat("ctpn-1"), ["ctpn-1"]) == "ctpn-1"
