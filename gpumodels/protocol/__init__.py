"""The protocol between client and model server: messages, the tensor codec, and the names that both sides use.

This package runs in the notebook and in the instance, so it needs only numpy, grpcio and protobuf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.protocol import files, frames, messages, methods, region
    from gpumodels.protocol.arrays import as_array
    from gpumodels.protocol.bfloat16 import from_bits
    from gpumodels.protocol.casting import cast
    from gpumodels.protocol.connector import Connector, ServerSocket
    from gpumodels.protocol.contents import MESSAGE_LIMIT, add_header, from_message, point
    from gpumodels.protocol.files import Descriptor
    from gpumodels.protocol.headers import checked_size, unshapely
    from gpumodels.protocol.metadata import read_signature, write_signature
    from gpumodels.protocol.region import Region, RegionError
    from gpumodels.protocol.shapes import misfit
    from gpumodels.protocol.tensors import (
        CONTENT_TYPE,
        DATATYPES,
        DTYPES,
        Tensor,
        TensorError,
        any_dtype,
        blank,
        decode,
        encode,
        raw_bytes,
        storage,
        view,
    )

_HOMES = {
    "CONTENT_TYPE": "tensors",
    "Connector": "connector",
    "DATATYPES": "tensors",
    "DTYPES": "tensors",
    "Descriptor": "files",
    "MESSAGE_LIMIT": "contents",
    "Region": "region",
    "RegionError": "region",
    "ServerSocket": "connector",
    "Tensor": "tensors",
    "TensorError": "tensors",
    "add_header": "contents",
    "any_dtype": "tensors",
    "as_array": "arrays",
    "blank": "tensors",
    "cast": "casting",
    "checked_size": "headers",
    "decode": "tensors",
    "encode": "tensors",
    "from_bits": "bfloat16",
    "from_message": "contents",
    "misfit": "shapes",
    "point": "contents",
    "raw_bytes": "tensors",
    "read_signature": "metadata",
    "storage": "tensors",
    "unshapely": "headers",
    "view": "tensors",
    "write_signature": "metadata",
}

__all__ = [
    "CONTENT_TYPE",
    "DATATYPES",
    "DTYPES",
    "MESSAGE_LIMIT",
    "Connector",
    "Descriptor",
    "Region",
    "RegionError",
    "ServerSocket",
    "Tensor",
    "TensorError",
    "add_header",
    "any_dtype",
    "as_array",
    "blank",
    "cast",
    "checked_size",
    "decode",
    "encode",
    "files",
    "frames",
    "from_bits",
    "from_message",
    "messages",
    "methods",
    "misfit",
    "point",
    "raw_bytes",
    "read_signature",
    "region",
    "storage",
    "unshapely",
    "view",
    "write_signature",
]

__getattr__ = lazy.names(__name__, _HOMES)
