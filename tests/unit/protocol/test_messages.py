from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2

from gpumodels.protocol import messages

PROTOCOL = Path(messages.__file__).parent


def test_the_compiled_descriptor_is_that_of_the_proto_file(tmp_path):
    fresh = tmp_path / "inference.pb"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{PROTOCOL}",
            f"--descriptor_set_out={fresh}",
            "inference.proto",
        ],
        check=True,
    )
    read = descriptor_pb2.FileDescriptorSet.FromString
    assert read(fresh.read_bytes()) == read((PROTOCOL / "inference.pb").read_bytes())


def test_parameters_of_every_type_come_back():
    request = messages.ModelInferRequest()
    messages.set_parameters(request, flag=True, number=-3, text="x")
    request.parameters["nothing"].SetInParent()
    assert messages.parameters(request) == {"flag": True, "number": -3, "text": "x"}
