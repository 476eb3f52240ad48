"""The GPU of a load, the environment of its model server, and the errors without a suitable GPU."""

import os
import threading

import pytest

from gpumodels.errors import DeviceError
from gpumodels.lease import processes
from tests.fakes.nvml import GB, gpu

UUIDS = [f"GPU-{str(n) * 8}-0000-4000-8000-{n:012d}" for n in range(4)]


def test_an_index_becomes_a_uuid_in_the_servers_environment_and_leaves_the_notebooks_unchanged(build, folder, load):
    build(gpu(), gpu())
    before = dict(os.environ)
    answer = load(folder(), gpu=1)()
    assert answer == {"device": "cuda", "CUDA_VISIBLE_DEVICES": UUIDS[1], "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert os.environ == before


def test_an_instance_with_two_named_gpus_sees_both(build, folder, load):
    build(gpu(), gpu(), gpu())
    model = load(folder(), gpu="0,2")
    assert model()["CUDA_VISIBLE_DEVICES"] == f"{UUIDS[0]},{UUIDS[2]}"
    assert model.record.device == "GPU 0, 2"


def test_auto_takes_the_gpu_with_the_most_free_memory(build, folder, load):
    build(gpu(), gpu()).hold(os.getpid(), 30 * GB, gpu=0)
    assert load(folder(), gpu="auto").record.device == "GPU 1"


@pytest.mark.parametrize(("policy", "index"), [("most-free", 2), ("first-fit", 1), ("pack", 3)])
def test_auto_follows_the_policy_of_the_settings(build, folder, load, monkeypatch, policy, index):
    build(*(gpu(memory=size * GB) for size in (9, 60, 90, 30)))
    monkeypatch.setenv("GPUMODELS_PLACEMENT", policy)
    assert load(folder(memory="10 GB"), gpu="auto").record.device == f"GPU {index}"


def test_auto_without_a_gpu_runs_on_the_cpu_with_one_notice(build, folder, load, notices):
    build()
    model = load(folder(), gpu="auto", report=notices)
    assert model()["device"] == "cpu"
    assert model()["CUDA_VISIBLE_DEVICES"] == ""
    (line,) = notices.lines
    assert line.startswith("teller runs on the CPU: ")
    assert "\n" not in line


def test_none_uses_no_gpu_and_gives_no_notice(build, folder, load, notices):
    build(gpu())
    assert load(folder(), gpu="none", report=notices)()["device"] == "cpu"
    assert notices.lines == []


def test_an_unknown_gpu_is_refused_naming_the_model_and_those_that_exist(build, folder, load):
    build(gpu("NVIDIA A100", 40 * GB))
    with pytest.raises(DeviceError, match=r"^teller cannot be placed\. There is no GPU 5: .*GPU 0 \(NVIDIA A100"):
        load(folder(), gpu=5)


def test_a_gpu_outside_the_administrators_list_is_refused_by_name_and_auto_stays_inside(
    build, administrator_allows, folder, load
):
    build(gpu(), gpu(), gpu()).hold(os.getpid(), GB, gpu=2)
    administrator_allows("2")
    with pytest.raises(DeviceError, match=r"GPU 1 .*outside the GPUs that your administrator allows"):
        load(folder(), gpu=1)
    assert load(folder(), gpu="auto").record.device == "GPU 2"


def test_set_env_in_the_notebook_does_not_move_models(build, folder, load, monkeypatch):
    build(gpu(), gpu())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert load(folder(), gpu=0)()["CUDA_VISIBLE_DEVICES"] == UUIDS[0]


def test_the_error_for_a_full_gpu_names_the_holder_and_the_command_that_frees_it(build, folder, load):
    gpus = build(gpu("NVIDIA H100", 80 * GB))
    first = load(folder("first"), gpu=0)
    for pid in processes.of_instance(first.record.id):
        gpus.hold(pid, 70 * GB)
        break
    with pytest.raises(
        DeviceError, match=rf"20.0 GB .*: first of .* holds 70.0 GB, .*`gpumodels stop {first.record.id}`"
    ):
        load(folder("second", memory="20 GB"), gpu=0)


def test_a_load_waits_for_the_memory_of_the_model_that_it_replaces(build, folder, load):
    gpus = build(gpu("NVIDIA H100", 80 * GB))
    first = load(folder(memory="50 GB"), gpu=0)
    late = threading.Event()
    held = folder().parent / "held"
    held.touch()
    gpus.hold(1, 50 * GB, while_exists=str(held))

    def free_late() -> None:  # some drivers free memory late after the end of the process
        while first.alive:
            late.wait(0.05)
        late.wait(0.5)
        held.unlink()

    thread = threading.Thread(target=free_late)
    thread.start()
    second = load(folder(memory="60 GB"), gpu=0, in_place_of=first)
    thread.join()
    assert second.alive
    assert not first.alive
    assert not held.exists()


def test_two_loads_at_once_do_not_take_the_same_free_memory(build, folder, load):
    build(gpu("NVIDIA H100", 80 * GB), gpu("NVIDIA H100", 80 * GB))
    models, errors = [], []
    path = folder(memory="50 GB")

    def one() -> None:
        try:
            models.append(load(path, gpu="auto"))
        except DeviceError as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(model.record.device for model in models) == ["GPU 0", "GPU 1"]
