"""Compare the time of `%load_model echo` with that of `docker run` of the same image.

    python benchmarks/load.py [--rounds 11]

The image exists already. It prints four medians. They are measured in turns, so that other load on the machine affects
all of them:
- docker run: the Docker CLI runs the model server of that image (no leash, no hardening), until the same readiness
  probe over the same kind of socket succeeds;
- at once: `%load_model` in a fresh kernel immediately after `%load_ext gpumodels`, so the imports count;
- first: the same a second later, when the thread that `%load_ext` starts has done the imports;
- again: `%load_model` in a kernel that has loaded the model before.

Target: %load_model takes at most 1.3 x docker run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

TARGET = 1.3  # times docker run
_TYPING = 1.0  # seconds between two cells
MAGIC = "echo --gpu none --engine docker"


def docker_run(image: str) -> float:
    """Return the seconds from the start of the CLI until the model server is ready."""
    from gpumodels.client import Client  # noqa: PLC0415  (imported before the clock starts)
    from gpumodels.engines.artifacts import INSIDE  # noqa: PLC0415
    from gpumodels.engines.docker.image import PYTHON  # noqa: PLC0415
    from gpumodels.engines.local import LocalConnector  # noqa: PLC0415

    name = f"gpumodels-benchmark-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as sockets:
        began = time.perf_counter()
        server = [
            PYTHON,
            "-m",
            "gpumodels.server",
            "--folder",
            INSIDE["code"],
            "--name",
            "echo",
            "--socket",
            "/run/gpumodels",
        ]
        subprocess.run(
            ["docker", "run", "--detach", "--name", name, "--network", "none", "--mount",
             f"type=bind,source={sockets},target=/run/gpumodels", image, *server],
            check=True, capture_output=True,
        )  # fmt: skip
        client = Client(LocalConnector(Path(sockets), None), "echo")
        try:
            client.wait_ready(time.monotonic() + 60, lambda: None)
            return time.perf_counter() - began
        finally:
            client.close()
            subprocess.run(["docker", "rm", "--force", "--volumes", name], check=True, capture_output=True)


class Kernel:
    """A fresh process with an IPython shell that loads the model on request and reports the time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--kernel"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ask("")

    def load(self) -> float:
        """Run `%load_model`, stop the model, and return the seconds of the load."""
        return float(self._ask("load"))

    def load_later(self) -> float:
        """Wait a second, as if the user typed the next cell, and load."""
        time.sleep(_TYPING)
        return self.load()

    def close(self) -> None:
        self._process.communicate()

    def _ask(self, what: str) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        if what:
            stdin.write(f"{what}\n")
            stdin.flush()
        while line := stdout.readline():
            if line.startswith("answer "):
                return line.removeprefix("answer ").strip()
        raise SystemExit("the kernel died")


def be_kernel() -> None:
    """Run the process of `Kernel`: load once for each line on stdin."""
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415  (the main process does not need it)

    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "gpumodels")
    print("answer ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        model = shell.run_line_magic("load_model", MAGIC)
        took = time.perf_counter() - began
        model.stop()
        print(f"answer {took}", flush=True)


def image_of_echo() -> str:
    """Return the name of echo's image. Build it if it is missing."""
    from gpumodels import catalog  # noqa: PLC0415
    from gpumodels.engines import engine  # noqa: PLC0415

    return engine("docker").prepare(catalog.find("echo"), "cpu", lambda *_: None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--kernel", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kernel:
        be_kernel()
        return 0
    image = image_of_echo()
    docker_run(image)  # brings the image's files into the page cache, for all measurements
    plain, at_once, first, again = [], [], [], []
    for _ in range(options.rounds):
        plain.append(docker_run(image))
        kernel = Kernel()
        at_once.append(kernel.load())
        kernel.close()
        kernel = Kernel()
        first.append(kernel.load_later())
        again.append(kernel.load())
        kernel.close()
    base = statistics.median(plain)
    print(f"rounds {options.rounds}, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rows = {"docker run": plain, "%load_model, at once": at_once, "first": first, "again": again}
    for name, taken in rows.items():
        middle = statistics.median(taken)
        print(f"{name:20} {middle:6.3f} s   {middle / base:4.2f} x   ({min(taken):.3f} to {max(taken):.3f})")
    met = {name: statistics.median(taken) <= TARGET * base for name, taken in rows.items() if taken is not plain}
    results = ", ".join(f"{name} {'met' if kept else 'missed'}" for name, kept in met.items())
    print(f"target, at most {TARGET} x docker run: {results}")
    return 0 if met["first"] and met["again"] else 1


if __name__ == "__main__":
    sys.exit(main())
