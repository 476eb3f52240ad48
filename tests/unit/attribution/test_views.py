"""A usage as text and as a picture: with all known facts, without guesses, and safe for names with any characters."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from gpumodels.attribution import DeviceUsage, Share, Usage, as_html, as_json, as_lines, as_text
from gpumodels.devices import Device, Snapshot
from tests.fakes.nvml import GB

WHOLE = Device("GPU-1b2c3d4e-aa", 0, "NVIDIA H100", 80 * GB)
SHARES = (
    Share("model", "ctpn", 40 * GB, "/me/demo.ipynb", "ctpn-1a2b", over_limit=True),
    Share("kernel", "train.ipynb", 10 * GB, "/me/train.ipynb", kernel_id="ab"),
    Share("process", "python (pid 7)", None, pids=(7,)),
    Share("others", "other users", 4 * GB),
    Share("unaccounted", "unaccounted", 2 * GB),
)


def usage(snapshot, *shares, **more):
    return as_json(Usage(0.0, (DeviceUsage(snapshot, shares, **more),)))


@pytest.fixture
def busy():
    return usage(Snapshot(WHOLE, 56 * GB, 24 * GB, (), 35, 54, 210.4, 700.0), *SHARES)


def test_a_usage_as_text_has_all_facts(busy):
    assert as_text(busy).splitlines() == [
        "GPU 0  NVIDIA H100  GPU-1b2c3d4e",
        "  56.0 GB / 80.0 GB · 35 % busy · 54 °C · 210 / 700 W",
        "  [" + 30 * "█" + 8 * "▓" + 2 * "░" + 2 * "-" + 18 * " " + "]",
        "  █  40.0 GB  ctpn · demo.ipynb · over its memory limit",
        "  ▓  10.0 GB  train.ipynb",
        "  ▒     ? GB  python (pid 7)",
        "  ░   4.0 GB  other users",
        "  -   2.0 GB  unaccounted",
    ]


def test_unknown_facts_are_left_out_of_the_text():
    seen = usage(Snapshot(Device("GPU-a", 0, "NVIDIA H100")))
    assert as_text(seen).splitlines() == ["GPU 0  NVIDIA H100  GPU-a", "  ? GB / ? GB"]


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (usage(Snapshot(WHOLE, trouble="it has fallen off the bus")), "  it has fallen off the bus"),
        (usage(Snapshot(WHOLE, 0), allowed=False), "  0.0 GB / 80.0 GB · not allowed by your administrator"),
        (
            usage(Snapshot(Device("GPU-a", 0, "A100", 40 * GB, sliced=True), 0)),
            "  0.0 GB / 40.0 GB · MIG mode: use a slice",
        ),
    ],
)
def test_the_reason_why_a_device_cannot_be_used_is_shown(seen, text):
    assert as_text(seen).splitlines()[1] == text
    assert text.strip() in as_html(seen)


def test_a_bar_is_never_longer_than_its_frame():
    seen = usage(Snapshot(WHOLE, 80 * GB), Share("model", "a", 79 * GB), Share("model", "b", 79 * GB))
    (bar,) = [line for line in as_text(seen).splitlines() if "[" in line]
    assert len(bar) == 64


def test_without_a_device_the_reason_is_shown():
    seen = as_json(Usage(0.0, (), "the NVIDIA driver sees no <GPU>"))
    assert as_text(seen) == "No GPU: the NVIDIA driver sees no <GPU>."
    assert as_html(seen) == "<div>No GPU: the NVIDIA driver sees no &lt;GPU&gt;.</div>"


class _Read(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.words, self.tags, self.attributes = "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data):
        self.words += data


def test_the_picture_has_all_facts_of_the_text_even_without_styles_and_for_screen_readers(busy):
    read = _Read(as_html(busy))
    (bar,) = [each for each in read.attributes if each.get("role") == "img"]
    for word in ("GPU 0", "35 % busy", "ctpn · demo.ipynb", "40.0 GB", "train.ipynb", "other users", "unaccounted"):
        assert word in read.words
        assert word in bar["aria-label"]
    widths = [each["style"] for each in read.attributes if "width: 50.00%" in each.get("style", "")]
    assert len(widths) == 1


def test_text_and_picture_have_the_colours_of_the_values(busy):
    colours = [share["colour"] for share in busy["devices"][0]["shares"]]
    legend = [piece.colour for line in as_lines(busy) for piece in line if piece.text in tuple("█▓▒░-")]
    assert legend == colours
    assert all(colour in as_html(busy) for colour in colours)


def test_names_cannot_send_control_characters_or_html():
    name = '\x1b[2J<script>"&'
    seen = usage(Snapshot(Device("GPU-a", 0, name, GB), GB), Share("process", name, GB, f"/{name}/x"))
    assert "\x1b" not in as_text(seen)
    assert "script" not in _Read(as_html(seen)).tags
    assert name in _Read(as_html(seen)).words
