"""Outputs out of a response, as values that belong to the caller."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from gpumodels.errors import CallError
from gpumodels.protocol import files, messages
from gpumodels.protocol.contents import from_message
from gpumodels.protocol.tensors import CONTENT_TYPE, TensorError, blank, decode, raw_bytes

if TYPE_CHECKING:
    from gpumodels.client.descriptors import Descriptor

_BLOCK = 512  # bytes; the unit of st_blocks, whatever the filesystem


class _ResultFile:
    """An open file of results, whose tensors lie one after another as `files.offsets` places them."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._end = 0

    def claim(self, offset: int, size: int) -> None:
        """Raise TensorError unless there really are such bytes, behind those that were claimed before.

        A file without blocks, or many tensors in one place, would take memory of ours that the server never had.
        """
        found = os.fstat(self.fd)
        if offset < self._end or offset + size > min(found.st_size, found.st_blocks * _BLOCK):
            raise TensorError("a result's file holds less than its tensors")
        self._end = offset + size


class ReplyReader:
    """Reads responses; results in files come from the shared memory directory."""

    def __init__(self, directory: Descriptor | None) -> None:
        self._directory = directory

    def read(self, response: Any, model: str) -> dict[str, Any]:
        """The outputs by name, each in memory of its own; raises CallError where the response is not sound."""
        opened: dict[str, _ResultFile] = {}
        raw: list[bytes | None] = list(response.raw_output_contents) or [None] * len(response.outputs)
        try:
            return {
                output.name: self._value(output, content, opened)
                for output, content in zip(response.outputs, raw, strict=True)
            }
        except (ValueError, OSError) as error:
            raise CallError(f"the answer of {model} cannot be read: {error}") from error
        except MemoryError:
            raise CallError(f"the answer of {model} does not fit into the memory of this process") from None
        finally:
            for file in opened.values():
                os.close(file.fd)

    def abandon(self, name: str) -> None:
        """Remove the result of a call that ended otherwise, should the server have written it."""
        if self._directory is not None:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._directory.fd)

    def _value(self, output: Any, content: bytes | None, opened: dict[str, _ResultFile]) -> Any:
        facts = messages.parameters(output)
        content_type = str(facts.get(CONTENT_TYPE, ""))
        if files.REGION not in facts:
            return decode(output.datatype, output.shape, content_type, from_message(output, content))
        name, size, offset = str(facts[files.REGION]), facts.get(files.BYTE_SIZE, 0), facts.get(files.OFFSET, 0)
        if name not in opened:
            opened[name] = self._open(name)
        if not isinstance(size, int) or not isinstance(offset, int) or size < 0 or offset < 0:
            raise TensorError(f"{size} bytes at {offset} are no place in a file")
        opened[name].claim(offset, size)
        array = blank(output.datatype, output.shape, size)
        files.read(opened[name].fd, raw_bytes(array), offset)
        return decode(output.datatype, output.shape, content_type, array)

    def _open(self, name: str) -> _ResultFile:
        """Open a result's file and unlink it at once: from here on it is ours alone."""
        if self._directory is None or not files.is_ours(name, "out"):
            raise TensorError(f"{name!r} is no result's file")
        fd = files.open_existing(self._directory.fd, name, os.O_RDONLY)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory.fd)
        return _ResultFile(fd)
