"""Inject random faults into notebooks with models, and measure the time until nothing of the models is left.

    python benchmarks/faults.py [--rounds 100] [--engines docker,process] [--seed 1] [--at-once 2]

The faults are those of tests/lifecycle, with several notebooks and models at once. Notebooks are plain Python processes
here, each with its own session and guard, like kernels; tests/lifecycle has real kernels. During all rounds two other
notebooks, the bystanders, one on each engine, call their models in the same runtime directory. The faults must not
disturb them.

It prints a table of seconds from the fault until no container, process, directory or shared memory is left, minus the
time for which a model was to be kept. The exit status is 1 after a leak or a disturbed bystander.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import docker

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from gpumodels.cleanup.sweeping import sweep  # noqa: E402
from gpumodels.lease.processes import of_instance  # noqa: E402
from gpumodels.lease.runtime import SHARED_MEMORY, RuntimeDirectory  # noqa: E402
from tests.leftovers import Leftovers, Puppet  # noqa: E402

#: The seconds after a fault from which on anything that is left is a leak.
LEAK = 20.0
KEPT = 1.0
#: The files in a runtime directory without instances.
AT_REST = {".gate", ".identity", ".placement", ".events"}

_PREPARE = """
import ctypes, os, signal, threading, time, gpumodels
from gpumodels.lease.runtime import RuntimeDirectory
create = RuntimeDirectory.create
def noted(self, record, *given):
    with open({ids!r}, "a") as file:
        file.write(record.id + "\\n")
    return create(self, record, *given)
RuntimeDirectory.create = noted
models, errors, calls = [], [], 0
def load(**options):
    models.append(gpumodels.load("echo", gpu="none", **options))
    assert models[-1](1) == 1
def call_on():
    global calls
    while not errors:
        try:
            for model in models:
                assert model(calls) == calls
                calls += 1
        except BaseException as error:
            errors.append(repr(error))
        time.sleep(0.02)
"""


class Notebook:
    """A process that loads models. It records the ids of all instances that it begins to make."""

    def __init__(self, runtime: Path, notes: Path) -> None:
        self.runtime = runtime
        self._ids = Path(tempfile.mkstemp(dir=notes)[1])
        environment = {"GPUMODELS_RUNTIME_DIR": str(runtime)}
        self.process = Puppet(start_new_session=True, env=environment, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        self.do = self.process.do
        self.tell = self.process.tell
        self.close = self.process.close
        self.do(_PREPARE.format(ids=str(self._ids)))

    @property
    def ids(self) -> list[str]:
        return self._ids.read_text().split()

    def load(self, engine: str, **options: object) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        self.do(f"load(engine={engine!r}, {given})")
        return str(self.do("models[-1].record.id"))

    def guards(self) -> list[int]:
        return [int(pid) for pid in self.do("[g.pid for g in __import__('gpumodels').lease.guard._guards.values()]")]

    def signal(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)


class Round:
    """One fault: the notebooks that it affects, and a check of what they leave."""

    def __init__(self, engine: str, chance: random.Random, runtime: Path, notes: Path, stack: ExitStack) -> None:
        self.engine = engine
        self.chance = chance
        self.runtime = runtime
        self.notebooks: list[Notebook] = []
        self.kept_for = 0.0  # seconds for which a model may outlive its notebook
        self.began = 0.0
        self._notes = notes
        self._stack = stack

    def notebook(self) -> Notebook:
        self.notebooks.append(self._stack.enter_context(closing(Notebook(self.runtime, self._notes))))
        return self.notebooks[-1]

    def loaded(self, **options: object) -> Notebook:
        """Return a notebook with one or two models. It is idle, calls a model or has put it to sleep."""
        found = self.notebook()
        found.load(self.engine, **options)
        if self.chance.choice([True, False, False]):
            found.load(self.engine)
        state = self.chance.choice(["idle", "calling", "calling for long", "asleep"])
        if state == "calling":
            found.do("threading.Thread(target=call_on, daemon=True).start()")
        elif state == "calling for long":
            found.do("threading.Thread(target=lambda: models[0](1, sleep=600.0), daemon=True).start()")
        elif state == "asleep" and not options:
            found.do("_ = models[0].sleep()")
        return found

    def strike(self) -> None:
        """Start the clock, immediately before the fault."""
        self.began = time.monotonic()

    def left(self, client: docker.DockerClient) -> list[str]:
        ids = {each for notebook in self.notebooks for each in notebook.ids}
        pids = {str(notebook.pid) for notebook in self.notebooks}
        found = [f"process {pid} of {each}" for each in ids for pid in of_instance(each)]
        found += [str(path) for path in self.runtime.glob("*") if path.name.removeprefix(".swept-") in ids]
        found += [str(path) for each in ids for path in SHARED_MEMORY.glob(f"gpumodels-*/*-{each}")]
        found += _attendants(pids | ids)
        listed = client.api.containers(all=True, filters={"label": f"gpumodels.runtime={self.runtime}"})
        return found + [f"container {name}" for each in listed for name in each["Names"] if name[11:] in ids]


_ATTENDANTS = {"gpumodels.cleanup.guard", "gpumodels.cleanup.keeper"}


def _attendants(names: set[str]) -> list[str]:
    """Return the guards of these processes and the keepers of these instances."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if _ATTENDANTS.intersection(words) and names.intersection(words):
                found.append(f"process {entry.name}: {' '.join(words[2:])}")
    return found


Fault = Callable[[Round], None]


def _killed_by(number: int) -> Fault:
    def fault(current: Round) -> None:
        victim = current.loaded()
        current.strike()
        victim.signal(number)

    return fault


def _ends(code: str) -> Fault:
    def fault(current: Round) -> None:
        victim = current.loaded()
        current.strike()
        victim.tell(code)

    return fault


def stopped_then_killed(current: Round) -> None:
    victim = current.loaded()
    victim.signal(signal.SIGSTOP)
    time.sleep(current.chance.uniform(0, 0.3))
    current.strike()
    victim.signal()


def process_group(current: Round) -> None:
    victim = current.loaded()
    current.strike()
    os.killpg(victim.pid, signal.SIGKILL)


def while_loading(current: Round) -> None:
    victim = current.notebook()
    victim.tell(f"load(engine={current.engine!r}, env={{'ECHO_LOAD': 'sleep:0.5'}})")
    time.sleep(current.chance.uniform(0, 1.5))
    current.strike()
    victim.signal()


def guard_first(current: Round) -> None:
    victim = current.loaded()
    for guard in victim.guards():
        os.kill(guard, signal.SIGKILL)
    current.strike()
    victim.signal()


def guard_at_once(current: Round) -> None:
    victim = current.loaded()
    guards = victim.guards()
    current.strike()
    for pid in current.chance.sample([*guards, victim.pid], len(guards) + 1):
        os.kill(pid, signal.SIGKILL)


def _kill_module(victim: Notebook, module: str) -> None:
    """Kill the processes of the victim's first instance that run this module of gpumodels."""
    wanted = f"-m\0gpumodels.{module}\0".encode()
    for pid in of_instance(victim.ids[0]):
        with suppress(OSError):
            if wanted in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0--\0")[0]:
                os.kill(pid, signal.SIGKILL)


def _dies_under_its_notebook(module: str) -> Fault:
    """Return a fault that kills a leash or a model server. The notebook must clean up; then it is killed too."""

    def fault(current: Round) -> None:
        victim = current.notebook()
        victim.load(current.engine)
        if module == "server" and current.chance.choice([True, False]):
            victim.do("models[0](1, fork=600.0)")
        current.strike()
        _kill_module(victim, module)
        until = time.monotonic() + LEAK
        while _directories(current, victim) and time.monotonic() < until:
            time.sleep(0.01)
        if not _directories(current, victim):
            victim.signal()  # if directories are left, `_wait` reports the leak

    return fault


def _directories(current: Round, victim: Notebook) -> list[Path]:
    return [path for path in current.runtime.glob("*") if path.name.removeprefix(".swept-") in victim.ids]


def container_removed(current: Round) -> None:
    victim = current.notebook()
    found = victim.load("docker")
    current.strike()
    with closing(docker.from_env()) as client, suppress(docker.errors.APIError):
        client.containers.get(f"gpumodels-{found}").remove(force=True)
    victim.signal()


def container_paused(current: Round) -> None:
    victim = current.notebook()
    found = victim.load("docker")
    with closing(docker.from_env()) as client:
        client.containers.get(f"gpumodels-{found}").pause()
    current.strike()
    victim.signal()


def falling_asleep(current: Round) -> None:
    victim = current.notebook()
    victim.load(current.engine)
    victim.tell("_ = models[0].sleep()")
    time.sleep(current.chance.uniform(0, 0.1))
    current.strike()
    victim.signal()


def kept(current: Round) -> None:
    victim = current.loaded(keep=KEPT)
    current.kept_for = KEPT
    current.strike()
    victim.signal()


def kept_without_keeper(current: Round) -> None:
    victim = current.notebook()
    found = victim.load(current.engine, keep="forever")
    keepers = [int(each.split()[1][:-1]) for each in _attendants({found})]
    for pid in current.chance.sample([min(keepers), victim.pid], 2):
        time.sleep(current.chance.choice([0, 0.5]))
        current.strike()
        os.kill(pid, signal.SIGKILL)


def shared(current: Round) -> None:
    first, second = current.notebook(), current.notebook()
    assert first.load(current.engine, share=True, idle="never", env=(mine := _own(current))) == second.load(
        current.engine, share=True, idle="never", env=mine
    )
    order = current.chance.sample([first, second], 2)
    order[0].signal()
    pause = current.chance.choice([0, 1.0])
    time.sleep(pause)
    if pause:
        assert order[1].do("models[0](1)") == 1
    current.strike()
    order[1].signal()


def _own(current: Round) -> dict[str, str]:
    """Return an environment setting that no other round has, so that no other round shares the model."""
    return {"ECHO_OWN": str(current.chance.random())}


def runtime_removed(current: Round) -> None:
    victim = current.notebook()
    victim.load(current.engine)
    shutil.rmtree(current.runtime)
    current.strike()
    victim.signal()


FAULTS: dict[str, Fault] = {
    "SIGKILL": _killed_by(signal.SIGKILL),
    "SIGTERM": _killed_by(signal.SIGTERM),
    "clean exit": _ends("import sys; sys.exit()"),
    "os._exit": _ends("os._exit(1)"),
    "segfault": _ends("ctypes.string_at(0)"),
    "stop of all models": _ends("[model.stop() for model in models]; os._exit(0)"),
    "SIGSTOP, SIGKILL": stopped_then_killed,
    "process group": process_group,
    "while loading": while_loading,
    "guard, then notebook": guard_first,
    "guard and notebook": guard_at_once,
    "leash": _dies_under_its_notebook("lease.leash"),
    "model server": _dies_under_its_notebook("server"),
    "container removed": container_removed,
    "container paused": container_paused,
    "falling asleep": falling_asleep,
    "kept": kept,
    "kept, keeper killed too": kept_without_keeper,
    "shared by two": shared,
    "runtime directory removed": runtime_removed,
}


class Benchmark:
    """All rounds with their times and leaks."""

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self.engines = options.engines.split(",")
        self.runtime = directory / "run"
        self.directory = directory
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.leaks: dict[str, list[str]] = defaultdict(list)
        self._lock = threading.Lock()
        RuntimeDirectory(self.runtime)

    def run(self, number: int, name: str, seed: float) -> None:
        chance = random.Random(seed)  # noqa: S311  (with its seed a round can be repeated)
        own = FAULTS[name] is runtime_removed
        runtime = Path(tempfile.mkdtemp(dir=self.directory)) if own else self.runtime
        with ExitStack() as stack, closing(docker.from_env()) as client:
            current = Round(chance.choice(self.engines), chance, runtime, self.directory, stack)
            try:
                FAULTS[name](current)
                seconds, left = self._wait(current, client)
            except Exception as error:  # noqa: BLE001  (a round that cannot be run is reported like a leak)
                seconds, left = 0.0, [repr(error)]
            with self._lock:
                self.seconds[name].append(seconds)
                if left:
                    self.leaks[name].append(f"round {number}, {current.engine}, seed {seed}: {left}")
                    print(f"LEAK {name}: {self.leaks[name][-1]}", file=sys.stderr, flush=True)

    def _wait(self, current: Round, client: docker.DockerClient) -> tuple[float, list[str]]:
        while left := current.left(client):
            if time.monotonic() > current.began + current.kept_for + LEAK:
                return LEAK, left
            time.sleep(0.03)
        return max(0.0, time.monotonic() - current.began - current.kept_for), []

    def table(self) -> None:
        print("| fault | rounds | leaks | p50 | p99 |\n|---|---|---|---|---|")
        for name in [*(name for name in FAULTS if name in self.seconds)]:
            _row(name, self.seconds[name], len(self.leaks[name]))
        _row("all", [each for found in self.seconds.values() for each in found], sum(map(len, self.leaks.values())))


def _row(name: str, seconds: list[float], leaks: int) -> None:
    ordered = sorted(seconds)
    p50, p99 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99))
    print(f"| {name} | {len(ordered)} | {leaks} | {p50:.2f} | {p99:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--engines", default="docker,process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--faults", help="only those, separated by semicolons")
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311
    with tempfile.TemporaryDirectory(prefix="gpumodels-faults-") as directory:
        sys.exit(0 if _all_rounds(Benchmark(options, Path(directory)), options, chance) else 1)


def _all_rounds(benchmark: Benchmark, options: argparse.Namespace, chance: random.Random) -> bool:
    names = options.faults.split(";") if options.faults else list(FAULTS)
    if "docker" not in benchmark.engines:
        names = [name for name in names if not name.startswith("container")]
    chosen = (names * (options.rounds // len(names) + 1))[: options.rounds]
    chance.shuffle(chosen)
    began = time.monotonic()
    with ExitStack() as stack:
        bystanders = [stack.enter_context(closing(Notebook(benchmark.runtime, benchmark.directory))) for _ in range(2)]
        for number, each in enumerate(bystanders):
            each.load(benchmark.engines[number % len(benchmark.engines)])
            each.do("threading.Thread(target=call_on, daemon=True).start()")
        with ThreadPoolExecutor(options.at_once) as pool:
            list(pool.map(benchmark.run, range(options.rounds), chosen, [chance.random() for _ in chosen]))
        noticed = [error for each in bystanders for error in each.do("errors")]
        calls = [each.do("calls") for each in bystanders]
    with suppress(AssertionError):
        Leftovers(benchmark.runtime, containers=True).wait(LEAK)
    left = Leftovers(benchmark.runtime, containers=True)()
    left += [path.name for path in benchmark.runtime.iterdir() if path.name not in AT_REST]
    benchmark.table()
    print(f"{options.rounds} rounds in {time.monotonic() - began:.0f} s, seed {options.seed}")
    print(f"the bystanders made {' and '.join(map(str, calls))} calls; errors: {noticed or 'none'}")
    print(f"left at the end: {left or 'nothing'}")
    for name, leaks in benchmark.leaks.items():
        for leak in leaks:
            print(f"LEAK {name}: {leak}")
    while not sweep(RuntimeDirectory(benchmark.runtime)):
        time.sleep(0.1)
    return not (any(benchmark.leaks.values()) or noticed or left)


if __name__ == "__main__":
    main()
