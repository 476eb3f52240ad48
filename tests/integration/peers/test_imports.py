"""Packages that define messages with the same names as ours: both work, in either order of imports."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.leftovers import ROOT

_PARTS = {
    "gpumodels": """
from gpumodels.client import Client
from gpumodels.client.channel import Channel
from gpumodels.protocol import messages, methods
from gpumodels.protocol.metadata import write_signature
""",
    "tritonclient": "import tritonclient.grpc as triton, tritonclient.grpc.aio",
    # A client that a user compiled with protoc: the same names with other fields, in the default pool.
    "own": """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="inference.proto", package="inference", syntax="proto3")
for name in ("ModelInferRequest", "ModelConfig", "InferParameter"):
    file.message_type.add(name=name).field.add(name="other", number=1, type=9, label=1)
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
kind = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest"))
""",
}
_CHECKS = {
    "gpumodels": """
request = messages.ModelInferRequest(model_name="x", raw_input_contents=[b"y"])
assert messages.ModelInferRequest.FromString(request.SerializeToString()) == request
""",
    "tritonclient": 'assert triton.service_pb2.ModelInferRequest(model_name="x").SerializeToString()',
    "own": 'assert kind(other="x").SerializeToString()',
}


@pytest.mark.parametrize(
    "order",
    [("tritonclient", "gpumodels"), ("gpumodels", "tritonclient"), ("own", "gpumodels"), ("gpumodels", "own")],
    ids="-".join,
)
def test_both_work_in_either_order_of_imports(order):
    code = "\n".join([*(_PARTS[name] for name in order), *(_CHECKS[name] for name in order)])
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
