from __future__ import annotations

import fcntl
import os

import pytest

from gpumodels.protocol import region
from gpumodels.protocol.region import Own, RegionError
from tests.leftovers import descriptors
from tests.unit.client.liar import memfd

MB = 1 << 20


def test_both_sides_see_the_same_bytes_as_long_as_one_of_them_lives():
    before = descriptors("memfd:")
    mine = region.create("mine", 100_000)
    theirs = region.adopt(os.dup(mine.fd))
    assert len(theirs) == len(mine) >= 100_000
    region.part(mine, 70_000, 3)[:] = b"abc"
    del mine
    assert bytes(region.part(theirs, 69_999, 5)) == b"\0abc\0"
    del theirs
    assert not descriptors("memfd:") - before


def test_a_region_cannot_be_shrunk_or_unsealed():
    made = region.create("mine", MB)
    with pytest.raises(PermissionError):
        os.ftruncate(made.fd, 0)
    with pytest.raises(PermissionError):
        fcntl.fcntl(made.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


BAD = {
    "a directory": lambda: os.open("/", os.O_RDONLY),
    "a device": lambda: os.open("/dev/zero", os.O_RDWR),
    "a file": lambda: os.open(__file__, os.O_RDONLY),
    "unsealed": lambda: memfd(MB, seals=0),
    "sealed against growing only": lambda: memfd(MB, seals=fcntl.F_SEAL_GROW),
    "sparse": lambda: memfd(1 << 40, whole=False),
    "empty": lambda: memfd(0, whole=False),
    "read-only": lambda: memfd(MB, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE),
}


@pytest.mark.parametrize("what", BAD)
def test_an_unsafe_file_is_not_mapped_and_its_descriptor_is_closed(what):
    fd = BAD[what]()
    with pytest.raises(RegionError):
        region.adopt(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize(("offset", "size"), [(0, 1 << 17), (1 << 16, 1), (-1, 1), (0, -1), (1 << 62, 1 << 62)])
def test_bytes_outside_of_a_region_are_refused(offset, size):
    with pytest.raises(RegionError, match="lie outside of a region of 65536"):
        region.part(region.create("mine", 1), offset, size)


def test_a_region_is_kept_while_it_fits():
    own = Own("in")
    assert own.outgrown(100) == ""
    first = own.make(2 * MB)
    assert first.name == "in-1"
    assert own.outgrown(2 * MB) == ""
    assert own.region is first
    assert own.outgrown(2 * MB + 1) == "in-1"
    assert own.region is None
    assert own.make(3 * MB).name == "in-2"


def test_a_region_that_was_much_too_large_several_times_in_a_row_is_freed():
    own = Own("in")
    own.make(100 * MB)
    for _ in range(3):
        assert [own.outgrown(10) for _ in range(7)] == [""] * 7
        assert own.outgrown(50 * MB) == ""
    assert [own.outgrown(10) for _ in range(8)] == [""] * 7 + ["in-1"]


def test_a_small_region_is_never_too_large():
    own = Own("in")
    own.make(MB)
    assert {own.outgrown(0) for _ in range(100)} == {""}


def test_without_memory_there_is_no_region(monkeypatch):
    def none(*_):
        raise OSError(28, "No space left on device")

    before = descriptors("memfd:")
    own = Own("in")
    monkeypatch.setattr(os, "posix_fallocate", none)
    assert own.make(MB) is None
    assert own.region is None
    assert not descriptors("memfd:") - before
