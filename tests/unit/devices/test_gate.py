"""Access to NVML. It is started once, at the first reading, and again after a fork or after it was lost."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pynvml
import pytest

from gpumodels.devices import devices, nvml, select, snapshot, why_none
from tests.fakes.nvml import GB, gpu


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_importing_loads_no_nvml():
    assert run("import gpumodels.devices, sys; print('pynvml' in sys.modules)") == "False"


def test_a_new_process_finds_the_library_by_itself(build):
    machine = build(gpu("NVIDIA H100"))
    script = "from gpumodels.devices import devices; print(*devices())"
    assert run(script, **machine.environment()) == "GPU 0 (NVIDIA H100)"


def test_without_a_library_nothing_fails_and_the_reason_is_given(tmp_path):
    (tmp_path / "libnvidia-ml.so.1").touch()  # an empty file that hides a real library
    script = "from gpumodels.devices import *; print(devices(), select('auto'), why_none(), sep='|')"
    reason = "no NVIDIA driver is installed (libnvidia-ml.so.1 not found)"
    assert run(script, LD_LIBRARY_PATH=str(tmp_path)) == f"()|()|{reason}"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (4, "no permission to use the NVIDIA driver (/dev/nvidia*)"),
        (9, "the NVIDIA driver is not loaded, or this process may not see it"),
        (18, "the NVIDIA driver was upgraded and the machine must be restarted"),
        (999, "the NVIDIA driver answers: Unknown Error"),
    ],
)
def test_a_driver_that_does_not_start_gives_a_reason(build, code, reason):
    machine = build(gpu())
    (device,) = devices()
    machine.fail(nvmlInit=code, nvmlDeviceGetCount=code, nvmlDeviceGetHandleByUUID=code)
    assert devices() == ()
    assert select("auto") == ()
    assert why_none() == reason
    assert snapshot(device).memory_free is None


def test_a_driver_that_comes_later_is_found(build):
    machine = build(gpu())
    machine.fail(nvmlInit=9, nvmlDeviceGetCount=9)
    assert devices() == ()
    machine.fail(nvmlInit=0, nvmlDeviceGetCount=0)
    assert len(devices()) == 1


def test_nvml_that_another_library_shut_down_is_started_again(build):
    build(gpu(memory=80 * GB))
    (device,) = devices()
    pynvml.nvmlShutdown()
    assert snapshot(device).memory_free == 80 * GB


def test_a_reading_in_which_nvml_is_lost_is_repeated(build):
    build(gpu())
    devices()
    times = []

    def reading(ask):
        times.append(1)
        if len(times) == 1:
            pynvml.nvmlShutdown()
        return nvml.optional(ask, "nvmlSystemGetDriverVersion")

    assert nvml.read(reading) == "550.54.15"
    assert len(times) == 2


def test_many_threads_start_nvml_once(build):
    build(gpu(), gpu())
    script = """
from concurrent.futures import ThreadPoolExecutor
from gpumodels.devices import devices
with ThreadPoolExecutor(8) as pool:
    counts = {len(found) for found in pool.map(lambda _: devices(), range(100))}
import pynvml
print(counts, pynvml._nvmlLib_refcount)
"""
    machine = build(gpu(), gpu())
    assert run(script, **machine.environment()) == "{2} 1"


def test_a_forked_child_starts_nvml_itself_even_if_a_thread_held_the_lock(build):
    machine = build(gpu("NVIDIA H100"))
    script = """
import os, threading
from gpumodels.devices import devices, nvml
devices()
inside, leave = threading.Event(), threading.Event()
thread = threading.Thread(target=nvml.read, args=(lambda ask: (inside.set(), leave.wait()),))
thread.start()
inside.wait()
child = os.fork()
if not child:
    print(*devices(), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
leave.set()
thread.join()
"""
    assert run(script, **machine.environment()).split("\n") == ["GPU 0 (NVIDIA H100)", "0"]


def test_readings_do_not_mix(build):
    machine = build(gpu(memory=80 * GB), gpu(memory=40 * GB))
    machine.hold(os.getpid(), GB, gpu=1)
    first, second = devices()
    with ThreadPoolExecutor(4) as pool:
        free = set(pool.map(lambda device: (device, snapshot(device).memory_free), [first, second] * 50))
    assert free == {(first, 80 * GB), (second, 39 * GB)}
