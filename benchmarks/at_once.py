"""Loads of two users that begin at the same instant: `python benchmarks/at_once.py`, as root, without a GPU.

Whole loads by the fake engine (guard, leash, model server, a call) on a machine with 8 GPUs of 80 GB that does not
exist, of a model that needs 15 GB and takes them as it loads. Of 40 loads five have room on each GPU, so one that lands
where it should not shows. Prints who landed where, and what was refused. The interpreter must be one that other users
may run, which one in root's home is not.
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
        place = pathlib.Path(PLACE)
        mark = place / f"held-{os.environ['GPUMODELS_INSTANCE']}"
        mark.touch()
        with open(place / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = json.loads((place / "machine.json").read_text())
            index = [each["uuid"] for each in known["gpus"]].index(os.environ["CUDA_VISIBLE_DEVICES"])
            known["processes"].append({"pid": 1, "gpu": index, "memory": NEED, "while_exists": str(mark)})
            (place / "machine.new").write_text(json.dumps(known))
            (place / "machine.new").replace(place / "machine.json")
    def predict(self, number: int) -> int:
        return number
"""


def prepare(place: Path) -> None:
    """A machine whose driver any user's model server may tell what it holds, and the model."""
    place.chmod(0o777)
    machine(place / "machine.json", *(gpu(memory=MEMORY * GB) for _ in range(GPUS)))
    shutil.copy(library(), place)
    (place / "lock").touch()
    (place / "shared").mkdir()
    (place / "shared").chmod(0o1777)
    (place / "taker").mkdir()
    (place / "taker" / "model.toml").write_text(f'name = "taker"\nmemory = "{NEED} GB"\n')
    (place / "taker" / "model.py").write_text(
        MODEL.replace("PLACE", repr(str(place))).replace("NEED", str(NEED * GB)),
    )


def user(place: Path, uid: int, loads: int) -> subprocess.Popen[str]:
    """Start a crowd of one user."""
    home = place / f"home-{uid}"
    home.mkdir(mode=0o700)
    os.chown(home, uid, uid)
    own = {name: str(home) for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    environment = {
        **os.environ, **own, "PYTHONPATH": str(ROOT), "GPUMODELS_RUNTIME_DIR": str(home / "models"),
        "LD_LIBRARY_PATH": str(place), "FAKE_NVML_MACHINE": str(place / "machine.json"), "TMPDIR": str(home),
    }  # fmt: skip
    command = [sys.executable, __file__, "--crowd", str(place), "--loads", str(loads)]
    return subprocess.Popen(
        [*(switch() if uid else ()), *command],
        env=environment, cwd=home, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def crowd(place: Path, loads: int) -> None:
    """So many processes of one user, each of which keeps what it loaded until the input of this one ends."""
    import gpumodels.client  # noqa: PLC0415
    import gpumodels.loading.api  # noqa: F401, PLC0415  each would import it for itself

    said, say = os.pipe()
    end, keep = os.pipe()
    for _ in range(loads):
        if not os.fork():
            os.close(keep)
            model, line = load(place)
            os.write(say, f"{line}\n".encode())
            os.read(end, 1)
            if model is not None:
                model.stop()
            sys.exit()
    os.close(say)
    with os.fdopen(said) as lines:
        sys.stdout.writelines(lines.readline() for _ in range(loads))
    sys.stdout.flush()
    sys.stdin.read()
    os.close(keep)
    for _ in range(loads):
        os.wait()


def load(place: Path) -> tuple[Model | None, str]:
    """One load, and its GPU with how many seconds it took, or why it was refused."""
    import gpumodels  # noqa: PLC0415
    from gpumodels.devices import reservations  # noqa: PLC0415

    reservations.PLACE = place / "shared"
    while not (place / "go").exists():
        time.sleep(0.005)
    began = time.monotonic()
    try:
        model = gpumodels.load(place / "taker", engine="fake")
    except gpumodels.GpumodelsError as error:
        return None, "refused: " + " ".join(str(error).split())
    model(1)
    return model, f"{model.record.device}, {time.monotonic() - began:.1f}"


def main(loads: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        place = Path(made)
        prepare(place)
        users = [user(place, uid, loads) for uid in (0, UID)]
        time.sleep(5)
        (place / "go").touch()
        said = [[each.stdout.readline().strip() for _ in range(loads)] for each in users if each.stdout]
        for each in users:
            each.communicate()
        landed = [Counter(line.partition(",")[0] for line in lines if line.startswith("GPU")) for lines in said]
        print("GPU    user 0  user", UID)
        for name in sorted(landed[0] | landed[1]):
            print(f"{name}  {landed[0][name]:6}  {landed[1][name]:6}")
        seconds = [float(line.rpartition(" ")[2]) for lines in said for line in lines if line.startswith("GPU")]
        print(f"{len(seconds)} loads, ready within {min(seconds):.1f} to {max(seconds):.1f} s")
        for line in said[0] + said[1]:
            if not line.startswith("GPU"):
                print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loads", type=int, default=20, help="of each of the two users")
    parser.add_argument("--crowd", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.crowd:
        crowd(asked.crowd, asked.loads)
    else:
        main(asked.loads)
