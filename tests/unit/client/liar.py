"""A model server that misbehaves, on a real `lane.sock`."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import resource
import socket
import threading
from typing import TYPE_CHECKING

from gpumodels.protocol import frames, messages, region
from gpumodels.protocol.metadata import write_signature
from gpumodels.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS = Signature((TensorSpec("value", "any"),), (TensorSpec("value", "any"),))
STREAM = Signature(ARRAYS.inputs, ARRAYS.outputs, stream=True)


class Peer:
    """One connection that the server accepted. It reads requests as the protocol describes them."""

    def __init__(self, connected: socket.socket, number: int) -> None:
        self.socket, self.number = connected, number
        self.frames = frames.Frames(connected)
        self.regions: dict[str, region.Region] = {}
        self._first: frames.Frame | None = None

    def asks_for_metadata(self) -> bool:
        """Read the first frame. Return True if it asks for metadata; keep any other frame for `frame`."""
        frame = self.frame()
        if frame.kind != frames.METADATA:
            self._first = frame
        return self._first is None

    def frame(self) -> frames.Frame:
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        while (frame := self.frames.next()) is None:
            self.frames.fill()
        return frame

    def request(self):
        """Return the next ModelInferRequest. Map regions that come before it."""
        while (frame := self.frame()).kind != frames.INFER:
            if frame.kind == frames.REGION:
                message = messages.SystemSharedMemoryRegisterRequest.FromString(frame.body)
                self.regions[message.name] = region.adopt(frame.fd)
        return messages.ModelInferRequest.FromString(frame.body)

    def send(self, kind: int, body: bytes = b"", *fds: int, length: int | None = None, descriptors: int = -1) -> None:
        count = len(fds) if descriptors < 0 else descriptors
        data = frames.header(len(body) if length is None else length, kind, count) + body
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)
        if sent < len(data):
            self.socket.sendall(data[sent:])

    def answer(self, request, kind: int = frames.ANSWER, data: bytes = b"12345678", **point) -> None:
        """Send an INT64, in the message or in the region that `point` (shared_memory_...=) names."""
        self.send(kind, self.response(request, data, **point).SerializeToString())

    def response(self, request, data: bytes = b"12345678", **point):
        response = messages.ModelInferResponse(model_name="liar", id=request.id)
        output = response.outputs.add(name="value", datatype="INT64", shape=[1])
        if point:
            messages.set_parameters(output, **point)
        else:
            response.raw_output_contents.append(data)
        return response

    def hand_over(self, fd: int, name: str = "out") -> None:
        message = messages.SystemSharedMemoryRegisterRequest(name=name, byte_size=1 << 20)
        self.send(frames.REGION, message.SerializeToString(), fd)


class Liar:
    """A server that sends correct metadata and then runs `lie(peer)` on each connection."""

    def __init__(self, directory: Path, lie, signature: Signature) -> None:
        self.connections = 0
        self.talking = 0
        self.errors: list[BaseException] = []
        self._lie, self._signature = lie, signature
        self._peers: list[Peer] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / frames.SOCKET_NAME))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                self._peers.append(Peer(connected, self.connections))
                self._threads.append(threading.Thread(target=self._talk, args=(self._peers[-1],)))
                self._threads[-1].start()

    def _talk(self, peer: Peer) -> None:
        try:
            if peer.asks_for_metadata():
                metadata = messages.ModelMetadataResponse(name="liar")
                write_signature(metadata, self._signature)
                peer.send(frames.ANSWER, metadata.SerializeToString())
            peer.number = self.connections
            self.connections += 1
            self.talking += 1
            try:
                self._lie(peer)
            finally:
                peer.frames.close()
                self.talking -= 1
        except (EOFError, OSError):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            peer.frames.close()

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        assert self.errors == []


def peak() -> int:
    """Return the largest amount of memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def memfd(size: int, *, seals: int | None = None, whole: bool = True) -> int:
    """Make a memfd as `region.create` does, or with other seals, or sparse."""
    fd = os.memfd_create("lie", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    if whole:
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL if seals is None else seals)
    return fd
