"""How long `%load_model echo` takes when its image exists, beside `docker run` of the same image until it is ready.

    python benchmarks/load.py [--rounds 11]

Four figures, medians, taken in turns so that whatever else the machine does falls on all of them:
- docker run: the Docker CLI runs the model server of that image (no leash, no hardening), until the same readiness
  probe over the same kind of socket answers;
- at once: `%load_model` in a fresh kernel in the very moment after `%load_ext gpumodels`, whose imports count;
- first: the same a second later, when what `%load_ext` imports ahead, on a thread, is there;
- again: `%load_model` in a kernel that has loaded before.

Target: %load_model at most 1.3 x docker run.
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
    """Seconds from starting the CLI to a model server that says it is ready."""
    from gpumodels.client import Client  # noqa: PLC0415  imported before the clock starts
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
    """A fresh IPython that loads when told to and says how long that took."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--kernel"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ask("")

    def load(self) -> float:
        """Seconds that `%load_model` took; the model is stopped again."""
        return float(self._ask("load"))

    def load_later(self) -> float:
        """The same, as who types the next cell meets it."""
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
            if line.startswith("said "):
                return line.removeprefix("said ").strip()
        raise SystemExit("the kernel died")


def be_kernel() -> None:
    """The other end of `Kernel`."""
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415  not for the benchmark's own process

    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "gpumodels")
    print("said ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        model = shell.run_line_magic("load_model", MAGIC)
        took = time.perf_counter() - began
        model.stop()
        print(f"said {took}", flush=True)


def image_of_echo() -> str:
    """The image, made if need be."""
    from gpumodels import catalog  # noqa: PLC0415
    from gpumodels.engines import engine  # noqa: PLC0415

    return engine("docker").prepare(catalog.find("echo"), "cpu", lambda *_: None)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=11)
    options.add_argument("--kernel", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.kernel:
        be_kernel()
        return 0
    image = image_of_echo()
    docker_run(image)  # warms the image's files, which favours nobody
    plain, at_once, first, again = [], [], [], []
    for _ in range(asked.rounds):
        plain.append(docker_run(image))
        kernel = Kernel()
        at_once.append(kernel.load())
        kernel.close()
        kernel = Kernel()
        first.append(kernel.load_later())
        again.append(kernel.load())
        kernel.close()
    base = statistics.median(plain)
    print(f"rounds {asked.rounds}, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rows = {"docker run": plain, "%load_model, at once": at_once, "first": first, "again": again}
    for name, taken in rows.items():
        middle = statistics.median(taken)
        print(f"{name:20} {middle:6.3f} s   {middle / base:4.2f} x   ({min(taken):.3f} to {max(taken):.3f})")
    met = {name: statistics.median(taken) <= TARGET * base for name, taken in rows.items() if taken is not plain}
    said = ", ".join(f"{name} {'met' if kept else 'missed'}" for name, kept in met.items())
    print(f"target, at most {TARGET} x docker run: {said}")
    return 0 if met["first"] and met["again"] else 1


if __name__ == "__main__":
    sys.exit(main())
