"""Writing of inputs: small ones into the request, larger ones into a shared memory region."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from gpumodels.errors import CallError
from gpumodels.protocol import MESSAGE_LIMIT, add_header, files, point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels.client.regions import Region, Regions
    from gpumodels.protocol import Tensor


@contextlib.contextmanager
def send_inputs(
    request: Any, inputs: list[Tensor], regions: Regions | None, model: str, timeout: float | None
) -> Iterator[None]:
    """Write the inputs into `request`, or into a shared memory region that the call has until the `with` block ends.

    `request` is a ModelInferRequest. Raises CallError if neither shared memory nor a message has room, and TimeoutError
    if the server does not register the region within `timeout` seconds.
    """
    for tensor in inputs:
        add_header(request.inputs, tensor)
    offsets, size = files.offsets(tensor.nbytes for tensor in inputs)
    wanted = size if regions is not None and size > files.INLINE_LIMIT else 0
    with regions.lend(wanted, timeout) if regions is not None and wanted else contextlib.nullcontext() as region:
        if region is not None:
            _write(request, inputs, region, offsets)
        elif size > MESSAGE_LIMIT:
            raise CallError(
                f"the inputs of {model} are {size / 2**30:.1f} GiB, /dev/shm has no room for them and a message holds "
                "2 GiB at most: make room in /dev/shm, or send less at once"
            )
        else:
            request.raw_input_contents.extend(bytes(tensor.data) for tensor in inputs)
        yield


def _write(request: Any, inputs: list[Tensor], region: Region, offsets: list[int]) -> None:
    for header, tensor, offset in zip(request.inputs, inputs, offsets, strict=True):
        files.write(region.fd, tensor.data, offset)
        point(header, region.name, tensor.nbytes, offset)
