"""Measure the time that the HTTP gateway adds to a call, by calling the same model directly and by HTTP.

    python benchmarks/gateway.py [--calls 300] [--engine process]

It starts a Jupyter server. One client calls it over one connection, one call after another:
- direct: a call as in a notebook;
- health: an empty request, which takes the time of Jupyter and tornado alone;
- binary: POST v2/models/NAME/infer with the array as binary data;
- JSON: the same with the array as JSON (except for the largest array, which is above the limit for JSON);
- predict, .npy: POST predict/NAME with a form that holds a .npy file.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
from peers.timing import payloads

import gpumodels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_MODEL = Path(__file__).parents[1] / "notebooks" / "models" / "pixel"
_LONGEST_JSON = 1 << 18  # elements
_WAYS = ("direct", "health", "binary", "JSON", "predict, .npy")
_AT_A_TIME = 20  # calls in one way before the next way takes its turn
_OK = 200
_START_TIMEOUT = 60.0  # seconds


class Gateway:
    """A connection to the Jupyter server at `url`."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
        self._connection.connect()
        self._root, self._headers = parts.path, {"Authorization": f"token {token}"}

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> bytes:
        """Send a request (POST if there is a body) and return the body of the answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        verb = "GET" if body is None else "POST"
        self._connection.request(verb, f"{self._root}gpumodels/{path}", body, {**self._headers, **named})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != _OK:
            raise SystemExit(f"{path}: {answer.status} {content.decode()}")
        return content


@contextlib.contextmanager
def jupyter() -> Iterator[Gateway]:
    """Start a Jupyter server with the extension, and yield a connection to it. It ends with the block."""
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as directory:
        settings = {name: f"{directory}/{name}" for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
        command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ServerApp.port=0"]
        command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={directory}"]
        command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.jpserver_extensions={'gpumodels': True}"]
        environment = {**os.environ, **settings, "JUPYTER_NO_CONFIG": "1"}
        server = subprocess.Popen(command, env=environment, cwd=directory, stderr=subprocess.DEVNULL)
        try:
            yield _connect(Path(settings["JUPYTER_RUNTIME_DIR"]), token)
        finally:
            server.terminate()
            server.wait()


def _connect(runtime: Path, token: str) -> Gateway:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(StopIteration, OSError, ValueError):
            found = Gateway(json.loads(next(runtime.glob("jpserver-*.json")).read_text())["url"], token)
            found.ask("v2/health/live")
            return found
        time.sleep(0.1)
    raise SystemExit("the Jupyter server did not start")


def binary(gateway: Gateway, array: NDArray[np.uint8]) -> Callable[[], object]:
    """Return a call with binary data in both directions."""
    value = {
        "name": "image",
        "shape": array.shape,
        "datatype": "UINT8",
        "parameters": {"binary_data_size": array.nbytes},
    }
    head = json.dumps({"inputs": [value], "parameters": {"binary_data_output": True}}).encode()
    body, length = head + array.tobytes(), str(len(head))
    return lambda: gateway.ask("v2/models/pixel/infer", body, Inference_Header_Content_Length=length)


def as_json(gateway: Gateway, array: NDArray[np.uint8]) -> Callable[[], object]:
    """Return a call with JSON in both directions. The request is serialised only once."""
    value = {"name": "image", "shape": array.shape, "datatype": "UINT8", "data": array.ravel().tolist()}
    body = json.dumps({"inputs": [value]}).encode()
    return lambda: gateway.ask("v2/models/pixel/infer", body)


def predict(gateway: Gateway, array: NDArray[np.uint8]) -> Callable[[], object]:
    """Return a call with a form that holds a file."""
    file = io.BytesIO()
    np.save(file, array)
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.npy"\r\n\r\n'
    body = head + file.getvalue() + b"\r\n--b--\r\n"
    return lambda: gateway.ask("predict/pixel", body, Content_Type="multipart/form-data; boundary=b")


def measure(ways: dict[str, Callable[[], object]], calls: int) -> dict[str, list[str]]:
    """Return the median and the 99th percentile of each way, in milliseconds.

    The ways take turns, so that other load on the machine affects all of them.
    """
    taken: dict[str, list[float]] = {way: [] for way in ways}
    while len(taken["direct"]) < calls:
        for way, call in ways.items():
            call()
            for _ in range(_AT_A_TIME):
                began = time.perf_counter()
                call()
                taken[way].append(1e3 * (time.perf_counter() - began))
    cuts = {way: statistics.quantiles(times, n=100) for way, times in taken.items()}
    return {way: [f"{parts[49]:.2f}", f"{parts[98]:.2f}"] for way, parts in cuts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--engine", default="process")
    options = parser.parse_args()
    arrays = payloads()
    rows: dict[str, list[str]] = {}
    with jupyter() as gateway, gpumodels.load(_MODEL, gpu="none", engine=options.engine) as model:
        for name, array in arrays.items():
            ways: dict[str, Callable[[], object]] = {
                "direct": lambda array=array: model(array),  # type: ignore[misc]
                "health": lambda: gateway.ask("v2/health/live"),
                "binary": binary(gateway, array),
                "JSON": as_json(gateway, array),
                "predict, .npy": predict(gateway, array),
            }
            if array.size > _LONGEST_JSON:
                del ways["JSON"]
            measured = measure(ways, options.calls)
            for way in _WAYS:
                rows.setdefault(way, []).extend(measured.get(way, ["", ""]))
            print(f"{name} measured", file=sys.stderr)
    print(f"{options.calls} calls each, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    head = ["ms", *(f"{name}: {part}" for name in arrays for part in ("p50", "p99"))]
    for cells in (head, ["---", *["---:"] * (len(head) - 1)], *([way, *figures] for way, figures in rows.items())):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
