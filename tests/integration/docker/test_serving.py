"""Serving by an ordinary user: the container runs as that user and may open the user's private shared memory."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.integration.docker.users import UID, as_user

_CODE = f"""
import os
import numpy as np
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
import gpumodels
assert os.getuid() == {UID}
with gpumodels.load("echo", gpu="none", engine="docker", serve="127.0.0.1:0") as model:
    with triton.InferenceServerClient(model.endpoint.address) as client:
        client.register_plugin(model.endpoint)
        array = np.arange(1000, dtype=np.int64)
        key = f"gpumodels-test-{{os.getpid()}}"
        region = shm.create_shared_memory_region("own", key, array.nbytes, create_only=True)
        assert os.stat(f"/dev/shm/{{key}}").st_mode & 0o777 == 0o600
        shm.set_shared_memory_region(region, [array])
        client.register_system_shared_memory("own", key, array.nbytes)
        value = triton.InferInput("value", array.shape, "INT64")
        value.set_shared_memory("own", array.nbytes)
        assert (client.infer("echo", [value]).as_numpy("value") == array).all()
        client.unregister_system_shared_memory()
        shm.destroy_shared_memory_region(region)
print("done")
"""


def test_a_container_opens_the_private_region_of_its_user(tmp_path):
    docker = Path("/var/run/docker.sock").stat().st_gid
    ran = as_user([sys.executable, "-c", _CODE], tmp_path, groups=[docker])
    assert ran.stdout.endswith("done\n")
