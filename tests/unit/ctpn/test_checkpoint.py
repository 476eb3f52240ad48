"""The checkpoint reader of images/ctpn. It reads torch's old file format without torch, and runs no code of a file."""

from __future__ import annotations

import os
import pickle
import struct

import numpy as np
import pytest

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def piece(value):
    """Return the pickle opcodes of a value, without the beginning and end of a pickle."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(key, length, shape, strides, offset=0, kind="torch\nFloatStorage"):
    storage = b"(" + piece("storage") + b"c" + kind.encode() + b"\n" + piece(key) + piece("cuda:0") + piece(length)
    storage += b"NtQ"  # no view; a tuple; a persistent id
    arguments = b"(" + storage + piece(offset) + piece(shape) + piece(strides) + b"\x89ccollections\nOrderedDict\n)Rt"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def file_of(entries, storages, machine=MACHINE):
    content = b"\x80\x02}(" + b"".join(piece(name) + value for name, value in entries.items()) + b"u."
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, machine))
    raw = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return head + content + pickle.dumps(list(storages), 2) + raw


def read(checkpoint, tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return checkpoint.read_checkpoint(path)


SIX = np.arange(6, dtype="<f4")


def test_tensors_come_back_with_shape_dtype_and_values(checkpoint, tmp_path):
    entries = {"a": tensor("1", 6, (2, 3), (3, 1)), "epoch": piece(30)}
    content = read(checkpoint, tmp_path, file_of(entries, {"1": SIX}))
    assert content["epoch"] == 30
    assert content["a"].dtype == np.float32
    assert content["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_tensors_may_share_a_storage_and_be_transposed(checkpoint, tmp_path):
    entries = {"tail": tensor("1", 6, (2,), (1,), offset=4), "turned": tensor("1", 6, (3, 2), (1, 3))}
    content = read(checkpoint, tmp_path, file_of(entries, {"1": SIX}))
    assert content["tail"].tolist() == [4, 5]
    assert content["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_tensors_of_several_dtypes_are_read(checkpoint, tmp_path):
    entries = {"a": tensor("1", 6, (6,), (1,)), "b": tensor("2", 2, (2,), (1,), kind="torch\nLongStorage")}
    content = read(checkpoint, tmp_path, file_of(entries, {"1": SIX, "2": np.array([7, 8], "<i8")}))
    assert content["b"].dtype == np.int64
    assert content["b"].tolist() == [7, 8]


def test_an_empty_tensor(checkpoint, tmp_path):
    content = read(checkpoint, tmp_path, file_of({"a": tensor("1", 0, (0, 3), (3, 1))}, {"1": SIX[:0]}))
    assert content["a"].shape == (0, 3)


class Malicious:
    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("call", [os.mkdir, os.system, eval, exec, __import__, getattr, open])
def test_a_pickle_that_calls_anything_else_does_not_run(checkpoint, tmp_path, call):
    target = tmp_path / "made"
    argument = str(target) if call is os.mkdir else f"__import__('os').mkdir({str(target)!r})"
    data = file_of({"a": piece(Malicious(call, argument))}, {})
    with pytest.raises(checkpoint.CheckpointError, match=r"weights\.pth .* asks for .*; fetch the file again"):
        read(checkpoint, tmp_path, data)
    assert not target.exists()


def test_a_malicious_first_pickle_does_not_run_either(checkpoint, tmp_path):
    target = tmp_path / "made"
    with pytest.raises(checkpoint.CheckpointError, match=r"posix\.mkdir"):
        read(checkpoint, tmp_path, pickle.dumps(Malicious(os.mkdir, str(target))))
    assert not target.exists()


def test_every_truncation_is_an_error_that_names_the_file(checkpoint, tmp_path):
    whole = file_of({"a": tensor("1", 6, (2, 3), (3, 1))}, {"1": SIX})
    for length in range(len(whole)):
        with pytest.raises(checkpoint.CheckpointError, match=r"weights\.pth cannot be read"):
            read(checkpoint, tmp_path, whole[:length])


def test_a_truncated_storage_says_how_much_is_missing(checkpoint, tmp_path):
    whole = file_of({"a": tensor("1", 6, (2, 3), (3, 1))}, {"1": SIX})
    with pytest.raises(checkpoint.CheckpointError, match="truncated: 5 bytes"):
        read(checkpoint, tmp_path, whole[:-5])


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((2, 4), (4, 1), 0), ((6,), (1,), 1), ((2,), (10**15,), 0), ((2,), (-1,), 1), ((-1,), (1,), 0), ((2, 3), (1,), 0)],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(checkpoint, tmp_path, shape, strides, offset):
    data = file_of({"a": tensor("1", 6, shape, strides, offset)}, {"1": SIX})
    with pytest.raises(checkpoint.CheckpointError, match="a tensor"):
        read(checkpoint, tmp_path, data)


def test_a_wrong_declared_size_is_refused(checkpoint, tmp_path):
    data = file_of({"a": tensor("1", 10**15, (10**15,), (1,))}, {"1": SIX})
    with pytest.raises(checkpoint.CheckpointError, match="not the size"):
        read(checkpoint, tmp_path, data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "another format"),
        (b"PK\x03\x04 a zip, as torch writes now", "another format"),
        (pickle.dumps({"a": 1}), "old file format"),
        (file_of({}, {}, MACHINE | {"little_endian": False}), "big-endian"),
        (file_of({"a": tensor("1", 6, (6,), (1,))}, {}), "damaged"),
        (file_of({}, {"1": SIX}), "damaged"),
        (file_of({"a": tensor("1", 6, (6,), (1,), kind="collections\nOrderedDict")}, {"1": SIX}), "whole storages"),
    ],
)  # fmt: skip
def test_other_files_are_refused_with_a_reason(checkpoint, tmp_path, data, reason):
    with pytest.raises(checkpoint.CheckpointError, match=reason):
        read(checkpoint, tmp_path, data)
