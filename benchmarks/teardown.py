"""Kill a kernel with `kill -9`, and measure the time until its leash reacts and until nothing of its model is left.

    python benchmarks/teardown.py [--rounds 10] [--engines docker process]

"Nothing left" means no container, no process, no directory, no shared memory. "Leash awake" means that the leash has
the lock of the lease. The leash logs that moment on the machine's monotonic clock, which containers share.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from gpumodels.cleanup.sweeping import sweep  # noqa: E402
from tests.leftovers import Leftovers, Puppet  # noqa: E402

_WOKE = re.compile(r"the lease is free \(monotonic ([0-9.]+)\)")


class Log:
    """A reader of an instance's log. It opens the log before the kill, because the log is removed with the instance."""

    def __init__(self, engine: str, runtime: Path, instance_id: str) -> None:
        follow = ["docker", "logs", "-f", f"gpumodels-{instance_id}"]
        if engine != "docker":
            follow = ["tail", "-n", "+1", "-s", "0.01", "-f", str(runtime / instance_id / "log")]
        self._process = subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.woke: float | None = None
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := _WOKE.search(line):
                self.woke = float(found[1])
                return

    def close(self) -> None:
        self._thread.join(1.0)
        self._process.kill()
        self._process.communicate()
        self._thread.join()


def one_round(engine: str) -> tuple[float, float]:
    """Load a model, kill its kernel, and return the seconds until nothing is left, and until the leash woke."""
    with tempfile.TemporaryDirectory(prefix="gpumodels-benchmark-") as directory:
        runtime = Path(directory) / "run"
        os.environ["GPUMODELS_RUNTIME_DIR"] = str(runtime)
        with closing(Puppet(start_new_session=True)) as kernel:
            kernel.do(f"import gpumodels; model = gpumodels.load('echo', gpu='none', engine={engine!r})")
            assert kernel.do("model(1)") == 1
            instance_id = kernel.do("model.record.id")
            leftovers = Leftovers(runtime, containers=engine == "docker")
            with closing(Log(engine, runtime, instance_id)) as log:
                time.sleep(0.3)  # until the log is followed
                killed = time.monotonic()
                kernel.process.kill()
                leftovers.wait(30)
                gone = time.monotonic() - killed
        while not sweep():
            time.sleep(0.05)
    assert log.woke is not None, "the leash did not log that it woke"
    return gone, log.woke - killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--engines", nargs="+", default=["docker", "process"])
    options = parser.parse_args()
    print(f"| engine | nothing left: median | worst | leash awake: median | worst |  ({options.rounds} rounds)")
    print("|---|---|---|---|---|")
    for engine in options.engines:
        gone, woke = zip(*(one_round(engine) for _ in range(options.rounds)), strict=True)
        print(
            f"| {engine} | {statistics.median(gone):.2f} s | {max(gone):.2f} s "
            f"| {1000 * statistics.median(woke):.1f} ms | {1000 * max(woke):.1f} ms |"
        )


if __name__ == "__main__":
    main()
