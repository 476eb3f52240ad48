"""The real Triton server and its own client, in an environment of their own.

`environment` makes that environment, once for each version of `requirements.txt`. There this module runs as a program.
The program starts tritonserver on a free port of the loopback, with the model of `triton_models`. It calls the server
on request until stdin ends. The server's binary and its python backend come from nvidia-pytriton.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.child import obey
from peers.timing import payloads, times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

_HERE = Path(__file__).parent
_PR_SET_PDEATHSIG = 1
_START_TIMEOUT = 60.0  # seconds
_MEMORY = f"gpumodels-benchmark-{os.getpid()}-"  # the prefix of the names of all shared memory


def environment() -> str:
    """Return the Python of the peers' environment. Make it below the user's cache directory if it is missing."""
    from uv import find_uv_bin  # noqa: PLC0415  (not installed in that environment itself)

    from gpumodels.settings import cache_dir  # noqa: PLC0415

    wanted = _HERE / "requirements.txt"
    key = hashlib.sha256(sys.version.encode() + wanted.read_bytes()).hexdigest()[:16]
    directory = cache_dir() / "benchmarks" / f"triton-{key}"
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        print(f"making the environment of Triton in {directory}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix="making-") as new:
            uv, python = find_uv_bin(), f"{new}/venv/bin/python"
            subprocess.run(
                [uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, f"{new}/venv"], check=True
            )
            subprocess.run([uv, "pip", "install", "--no-deps", "--python", python, "-r", wanted], check=True)
            Path(new, "venv").rename(directory)
    return str(directory / "bin" / "python")


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """Start Triton, wait until it is ready, and yield its address."""
    site = Path(sysconfig.get_path("purelib"))
    triton = site / "pytriton" / "tritonserver"
    stub = triton / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}"
    libraries = [str(sysconfig.get_config_var("LIBDIR")), str(site / "nvidia_pytriton.libs")]
    with tempfile.TemporaryDirectory(prefix="gpumodels-benchmark-") as work, socket.socket() as free:
        shutil.copytree(triton / "backends", f"{work}/backends")
        shutil.copy(stub / "triton_python_backend_stub", f"{work}/backends/python")
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        log = Path(work, "log")
        with log.open("wb") as out:
            server = subprocess.Popen(
                [triton / "bin" / "tritonserver", "--model-repository", _HERE / "triton_models",
                 "--backend-directory", f"{work}/backends", "--allow-http", "false", "--allow-metrics", "false",
                 "--backend-config", f"python,shm-region-prefix-name={_MEMORY}",
                 "--grpc-address", "127.0.0.1", "--grpc-port", address.partition(":")[2]],
                env={**os.environ, "LD_LIBRARY_PATH": ":".join(libraries),
                     "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"},  # the backend looks for its packages there
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509
            )  # fmt: skip
        try:
            _wait_ready(address, server, log)
            yield address
        finally:
            server.terminate()
            server.wait()
            with contextlib.suppress(ProcessLookupError):  # the backend's process, if it had just been started
                os.killpg(server.pid, signal.SIGKILL)
            for left in Path("/dev/shm").glob(f"{_MEMORY}*"):  # noqa: S108
                left.unlink()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_ready(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    import tritonclient.grpc as client  # noqa: PLC0415
    from tritonclient.utils import InferenceServerException  # noqa: PLC0415

    deadline = time.monotonic() + _START_TIMEOUT
    with client.InferenceServerClient(address) as connection:
        while time.monotonic() < deadline and server.poll() is None:
            with contextlib.suppress(InferenceServerException):
                if connection.is_model_ready("first"):
                    return
            time.sleep(0.1)
    raise SystemExit(f"Triton did not start:\n{log.read_text(errors='replace')[-4000:]}")


@contextlib.contextmanager
def _calls(address: str) -> Iterator[dict[str, Callable[[NDArray[np.uint8]], float]]]:
    """Yield two functions that call the server: with the tensor in the message, and in system shared memory."""
    import tritonclient.grpc as client  # noqa: PLC0415
    from tritonclient.utils import shared_memory  # noqa: PLC0415

    largest = max(array.nbytes for array in payloads().values())
    region = shared_memory.create_shared_memory_region("x", f"/{_MEMORY}input", largest)
    triton = client.InferenceServerClient(address)

    def infer(tensor: Any) -> float:
        return float(triton.infer("first", [tensor]).as_numpy("y")[0])

    def plain(array: NDArray[np.uint8]) -> float:
        tensor = client.InferInput("x", [array.size], "UINT8")
        tensor.set_data_from_numpy(array.reshape(-1))
        return infer(tensor)

    def shared(array: NDArray[np.uint8]) -> float:
        shared_memory.set_shared_memory_region(region, [array])
        tensor = client.InferInput("x", [array.size], "UINT8")
        tensor.set_shared_memory("x", array.nbytes)
        return infer(tensor)

    try:
        triton.register_system_shared_memory("x", f"/{_MEMORY}input", largest)
        yield {"plain": plain, "shared": shared}
        triton.unregister_system_shared_memory()
    finally:
        triton.close()
        shared_memory.destroy_shared_memory_region(region)


def _obey() -> None:
    with _server() as address, _calls(address) as calls:
        arrays = payloads()
        obey(lambda way, name, count: times(calls[way], arrays[name], int(count)))


if __name__ == "__main__":
    _obey()
