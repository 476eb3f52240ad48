"""Measure the placement of 40 loads of two users that begin at the same moment. Run it as root; it needs no GPU.

    python benchmarks/at_once.py

The loads are complete (guard, leash, model server, a call). They use the fake engine and a fake machine with 8 GPUs of
80 GB. The model takes 15 GB when it loads. Each GPU has room for five loads, so a wrong placement is obvious. The
program prints the number of loads on each GPU, by user, and the loads that were refused. Other users must be able to
run the interpreter, so it must not be in root's home.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.nvml import GB, gpu, library, machine
from tests.integration.docker.users import UID, switch

if TYPE_CHECKING:
    from gpumodels import Model

ROOT = Path(__file__).parents[1]
GPUS, MEMORY, NEED = 8, 80, 15
MODEL = """
import fcntl, json, os, pathlib
class Model:
    def load(self, device):
        directory = pathlib.Path(DIRECTORY)
        mark = directory / f"held-{os.environ['GPUMODELS_INSTANCE']}"
        mark.touch()
        with open(directory / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = json.loads((directory / "machine.json").read_text())
            index = [each["uuid"] for each in known["gpus"]].index(os.environ["CUDA_VISIBLE_DEVICES"])
            known["processes"].append({"pid": 1, "gpu": index, "memory": NEED, "while_exists": str(mark)})
            (directory / "machine.new").write_text(json.dumps(known))
            (directory / "machine.new").replace(directory / "machine.json")
    def predict(self, number: int) -> int:
        return number
"""


def prepare(directory: Path) -> None:
    """Write the fake machine, which the model servers of all users may change, and the model folder."""
    directory.chmod(0o777)
    machine(directory / "machine.json", *(gpu(memory=MEMORY * GB) for _ in range(GPUS)))
    shutil.copy(library(), directory)
    (directory / "lock").touch()
    (directory / "shared").mkdir()
    (directory / "shared").chmod(0o1777)
    (directory / "taker").mkdir()
    (directory / "taker" / "model.toml").write_text(f'name = "taker"\nmemory = "{NEED} GB"\n')
    (directory / "taker" / "model.py").write_text(
        MODEL.replace("DIRECTORY", repr(str(directory))).replace("NEED", str(NEED * GB)),
    )


def start_crowd(directory: Path, uid: int, loads: int) -> subprocess.Popen[str]:
    """Start the process that runs the loads of one user."""
    home = directory / f"home-{uid}"
    home.mkdir(mode=0o700)
    os.chown(home, uid, uid)
    own = {name: str(home) for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    environment = {
        **os.environ, **own, "PYTHONPATH": str(ROOT), "GPUMODELS_RUNTIME_DIR": str(home / "models"),
        "LD_LIBRARY_PATH": str(directory), "FAKE_NVML_MACHINE": str(directory / "machine.json"), "TMPDIR": str(home),
    }  # fmt: skip
    command = [sys.executable, __file__, "--crowd", str(directory), "--loads", str(loads)]
    return subprocess.Popen(
        [*(switch() if uid else ()), *command],
        env=environment, cwd=home, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def crowd(directory: Path, loads: int) -> None:
    """Fork a process for each load of one user. Print their results, and stop the models when stdin ends."""
    import gpumodels.client  # noqa: PLC0415
    import gpumodels.loading.api  # noqa: F401, PLC0415  (imported here, so that the processes need not import it)

    results, report = os.pipe()
    end, keep = os.pipe()
    for _ in range(loads):
        if not os.fork():
            os.close(keep)
            model, line = load(directory)
            os.write(report, f"{line}\n".encode())
            os.read(end, 1)
            if model is not None:
                model.stop()
            sys.exit()
    os.close(report)
    with os.fdopen(results) as lines:
        sys.stdout.writelines(lines.readline() for _ in range(loads))
    sys.stdout.flush()
    sys.stdin.read()
    os.close(keep)
    for _ in range(loads):
        os.wait()


def load(directory: Path) -> tuple[Model | None, str]:
    """Load the model when the file `go` exists. Return it, and its GPU and load time or the reason of a refusal."""
    import gpumodels  # noqa: PLC0415
    from gpumodels.devices import reservations  # noqa: PLC0415

    reservations.PLACE = directory / "shared"
    while not (directory / "go").exists():
        time.sleep(0.005)
    began = time.monotonic()
    try:
        model = gpumodels.load(directory / "taker", engine="fake")
    except gpumodels.GpumodelsError as error:
        return None, "refused: " + " ".join(str(error).split())
    model(1)
    return model, f"{model.record.device}, {time.monotonic() - began:.1f}"


def main(loads: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        directory = Path(made)
        prepare(directory)
        users = [start_crowd(directory, uid, loads) for uid in (0, UID)]
        time.sleep(5)
        (directory / "go").touch()
        results = [[each.stdout.readline().strip() for _ in range(loads)] for each in users if each.stdout]
        for each in users:
            each.communicate()
        placed = [Counter(line.partition(",")[0] for line in lines if line.startswith("GPU")) for lines in results]
        print("GPU    user 0  user", UID)
        for name in sorted(placed[0] | placed[1]):
            print(f"{name}  {placed[0][name]:6}  {placed[1][name]:6}")
        seconds = [float(line.rpartition(" ")[2]) for lines in results for line in lines if line.startswith("GPU")]
        print(f"{len(seconds)} loads, ready within {min(seconds):.1f} to {max(seconds):.1f} s")
        for line in results[0] + results[1]:
            if not line.startswith("GPU"):
                print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loads", type=int, default=20, help="loads of each of the two users (default: 20)")
    parser.add_argument("--crowd", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.crowd:
        crowd(options.crowd, options.loads)
    else:
        main(options.loads)
