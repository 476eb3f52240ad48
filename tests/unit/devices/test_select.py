"""The choice of devices: names that a user types become devices, or an error of one sentence with advice."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from gpumodels.devices import Claims, Need, parse, select, why_none
from gpumodels.errors import DeviceError
from tests.fakes.nvml import GB, gpu, mig_slice

H100, A100, L4 = "GPU-1b2c3d4e-0001", "GPU-1b99aaaa-0002", "GPU-77777777-0003"


@pytest.fixture
def three(build):
    return build(
        gpu("NVIDIA H100", 80 * GB, uuid=H100),
        gpu("NVIDIA A100", 40 * GB, uuid=A100),
        gpu("NVIDIA L4", 24 * GB, uuid=L4),
    )


@pytest.fixture
def sliced(build):
    slices = [mig_slice("MIG-aaaa1111-1", 10 * GB), mig_slice("MIG-bbbb2222-2", 20 * GB)]
    return build(gpu("NVIDIA A100", 40 * GB, uuid=A100, mig=1, slices=slices), gpu("NVIDIA L4", 24 * GB, uuid=L4))


def uuids(*asked, **more):
    return [device.uuid for device in select(*asked, **more)]


def refusal(asked, **more) -> str:
    with pytest.raises(DeviceError) as caught:
        select(asked, **more)
    return str(caught.value)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("0", [H100]),
        (1, [A100]),
        (np.int64(1), [A100]),
        (" 2 ", [L4]),
        ("0,1", [H100, A100]),
        ("2, 0", [L4, H100]),
        ([1, "GPU-77777777"], [A100, L4]),
        ((0,), [H100]),
        (H100, [H100]),
        (H100.upper(), [H100]),
        ("GPU-1b2c", [H100]),
        ("1b9", [A100]),
        ("77777777", [L4]),
        ("none", []),
        ("None", []),
        (None, []),
    ],
)
def test_names_of_gpus(three, asked, expected):
    assert uuids(asked) == expected


def test_a_whole_uuid_is_never_ambiguous(build):
    build(gpu(uuid="GPU-11"), gpu(uuid="GPU-1111"))
    assert uuids("GPU-11") == ["GPU-11"]


def test_auto_takes_the_most_free_memory(three):
    assert uuids("auto") == [H100]
    three.hold(os.getpid(), 45 * GB, gpu=0)
    assert uuids("auto") == [A100]
    assert uuids("AUTO") == [A100]


def test_auto_takes_the_lowest_index_among_equals(build):
    build(gpu(), gpu(), gpu())
    assert [device.index for device in select("auto")] == [0]


def test_auto_counts_promised_memory_as_taken(three):
    assert uuids("auto", claims=Claims(promised={H100: 50 * GB})) == [A100]


def test_auto_prefers_a_gpu_of_known_free_memory(build):
    build(gpu(uuid=H100, errors={"nvmlDeviceGetMemoryInfo": 3}), gpu("NVIDIA L4", 24 * GB, uuid=L4, used=23 * GB))
    assert uuids("auto") == [L4]


@pytest.mark.parametrize(
    ("policy", "needed", "expected"),
    [
        ("first-fit", 10 * GB, [H100]),
        ("first-fit", 30 * GB, [A100]),
        ("pack", 10 * GB, [L4]),
        ("pack", 30 * GB, [A100]),
        ("most-free", 10 * GB, [A100]),
        ("pack", 0, [A100]),  # an unknown need goes to the most free memory
        ("first-fit", 0, [A100]),
    ],
)
def test_auto_follows_the_policy(three, policy, needed, expected):
    claims = Claims(promised={H100: 55 * GB})
    assert uuids("auto", need=Need(needed), claims=claims, policy=policy) == expected


def test_a_policy_takes_several_that_have_room_for_their_share(three):
    assert uuids("auto:2", need=Need(50 * GB), policy="pack") == [H100, A100]
    assert uuids("auto:2", need=Need(40 * GB), policy="pack") == [A100, L4]
    assert uuids("auto:2", need=Need(40 * GB), policy="first-fit") == [H100, A100]


def test_a_policy_takes_gpus_that_have_room_only_together(three):
    # No two GPUs have room for 55 GB each: the need is what they must have together.
    assert uuids("auto:2", need=Need(110 * GB), policy="pack") == [H100, A100]


def test_a_policy_changes_nothing_for_a_gpu_that_is_named(three):
    assert uuids("0", need=Need(10 * GB), policy="pack") == [H100]


def test_a_policy_refuses_a_need_that_fits_nowhere(three):
    assert "90.0 GB of free GPU memory are needed" in refusal("auto", need=Need(90 * GB), policy="pack")


def test_unknown_free_memory_refuses_nothing(build):
    build(gpu(uuid=H100, errors={"nvmlDeviceGetMemoryInfo": 3}))
    assert uuids("auto", need=Need(GB)) == uuids(0, need=Need(GB)) == [H100]


def test_auto_with_a_number_takes_so_many_gpus_in_index_order(three):
    three.hold(os.getpid(), 70 * GB, gpu=0)
    assert uuids("auto:2") == [A100, L4]
    assert uuids("auto:3") == [H100, A100, L4]


def test_auto_with_too_great_a_number_lists_the_gpus(three):
    message = refusal("auto:4")
    assert message.startswith("auto:4 needs 4 GPUs, and there are 3: GPU 0 (NVIDIA H100, GPU-1b2c3d4e), GPU 1")


def test_auto_without_a_gpu_is_none_and_gives_the_reason(build):
    build()
    assert select("auto") == ()
    assert why_none() == "the NVIDIA driver sees no GPU"
    assert refusal("auto:1") == "auto:1 needs 1 GPUs, and there are 0: the NVIDIA driver sees no GPU."


def test_the_error_of_an_unknown_gpu_lists_the_gpus(three):
    assert refusal(7) == (
        "There is no GPU 7: this machine has GPU 0 (NVIDIA H100, GPU-1b2c3d4e), "
        "GPU 1 (NVIDIA A100, GPU-1b99aaaa), GPU 2 (NVIDIA L4, GPU-77777777)."
    )
    assert refusal("GPU-ffff").startswith("There is no GPU GPU-ffff: this machine has GPU 0")
    assert refusal(-1).startswith("There is no GPU -1: ")


def test_a_mistyped_index_is_not_taken_for_a_uuid(three):
    assert refusal("77").startswith("There is no GPU 77: ")


def test_a_gpu_on_a_machine_without_any_says_why_and_what_else_works(build):
    build()
    assert refusal("0") == "There is no GPU 0: the NVIDIA driver sees no GPU; auto or none runs on the CPU."


def test_the_error_of_an_ambiguous_prefix_lists_the_matches(three):
    assert refusal("GPU-1b") == (
        "GPU-1b may mean GPU 0 (NVIDIA H100, GPU-1b2c3d4e), GPU 1 (NVIDIA A100, GPU-1b99aaaa): write more of the UUID."
    )


@pytest.mark.parametrize("asked", ["0,0", "0,GPU-1b2c", [0, "0"]])
def test_a_gpu_named_twice_is_refused(three, asked):
    assert refusal(asked) == "GPU 0 (NVIDIA H100) is named twice."


@pytest.mark.parametrize(
    "asked", ["", "0,", ",", "auto:0", "auto:", "auto:two", "auto:-1", "0,auto", "0,none", "cuda:0", "0 1", "GPU 0", []]
)
def test_text_that_names_no_gpu_is_refused_with_the_valid_forms(three, asked):
    message = refusal(asked)
    assert message.startswith(f"{asked!r} names no GPU: write an index (0)")


@pytest.mark.parametrize("asked", [True, 1.0, {"gpu": 0}, [None], [[0]], b"0"])
def test_other_types_than_text_and_numbers_are_refused(three, asked):
    assert "names no GPU" in refusal(asked)


def test_a_slice_is_named_by_its_uuid(sliced):
    assert uuids("MIG-bbbb") == uuids("mig-bbbb2222-2") == uuids("bbbb") == ["MIG-bbbb2222-2"]


def test_the_error_of_a_gpu_in_mig_mode_lists_its_slices(sliced):
    assert refusal(0) == (
        "GPU 0 (NVIDIA A100) is in MIG mode and cannot be used whole; name one of its slices: "
        "GPU 0 slice 0 (NVIDIA H100 MIG 1g.10gb, MIG-aaaa1111), GPU 0 slice 1 (NVIDIA H100 MIG 1g.10gb, MIG-bbbb2222)."
    )


def test_a_gpu_in_mig_mode_without_slices_says_so(build):
    build(gpu("NVIDIA A100", mig=1))
    assert (
        refusal(0) == "GPU 0 (NVIDIA A100) is in MIG mode and cannot be used whole; it has no slice that you may use."
    )
    assert select("auto") == ()
    assert why_none() == "every GPU is in MIG mode without a slice"


def test_auto_may_take_a_slice_but_only_one(sliced):
    sliced.hold(os.getpid(), 20 * GB, gpu=1)
    assert uuids("auto") == ["MIG-bbbb2222-2"]
    assert refusal("auto:2").startswith("auto:2 needs 2 GPUs, and there are 1: GPU 1 (NVIDIA L4")


def test_slices_are_not_combined(sliced):
    assert refusal("MIG-aaaa,MIG-bbbb").startswith("CUDA cannot combine a MIG slice with another device")
    assert refusal("MIG-aaaa,1").startswith("CUDA cannot combine a MIG slice with another device")


def test_a_full_gpu_says_how_much_is_free(three):
    three.hold(os.getpid(), 79 * GB)
    assert refusal(0, need=Need(2 * GB)) == (
        "2.0 GB of free GPU memory are needed: GPU 0 (NVIDIA H100) has 1.0 GB free of 80.0 GB."
    )


def test_promised_memory_is_reported_separately(build):
    build(gpu(memory=80 * GB))
    assert refusal(
        0, need=Need(60 * GB), claims=Claims(promised={"GPU-00000000-0000-4000-8000-000000000000": 30 * GB})
    ) == (
        "60.0 GB of free GPU memory are needed: GPU 0 (NVIDIA H100) has 50.0 GB free of 80.0 GB, "
        "not counting 30.0 GB promised to models that are loading."
    )


def test_the_error_of_auto_lists_the_free_memory_of_all_gpus(three):
    message = refusal("auto", need=Need(90 * GB))
    assert message.count("free of") == 3
    assert "GPU 2 (NVIDIA L4) has 24.0 GB free of 24.0 GB" in message


def test_several_gpus_have_the_memory_together(three):
    assert uuids("0,1", need=Need(100 * GB)) == [H100, A100]
    assert "GPU 1 (NVIDIA A100) has 40.0 GB" in refusal("0,1", need=Need(130 * GB))


def test_no_gpu_needs_no_memory(three):
    assert select("none", need=Need(GB)) == ()


def test_no_gpu_is_selected_without_asking_the_driver():
    code = "import sys; from gpumodels.devices import select; print(select('none'), 'pynvml' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "() False\n"
    )


def test_reservations_move_auto_to_another_gpu_that_has_room(three):
    claims = Claims(reserved={H100: 60 * GB})
    assert uuids("auto", claims=claims) == [A100]
    assert uuids("auto", need=Need(30 * GB), claims=claims) == [A100]


def test_reservations_refuse_nothing(three):
    # Memory that is free can be taken, even if other users reserve more than there is.
    claims = Claims(reserved={H100: 1000 * GB, A100: 1000 * GB, L4: 1000 * GB})
    assert uuids("auto", need=Need(50 * GB), claims=claims) == [H100]
    assert uuids("auto:2", need=Need(110 * GB), claims=claims) == [H100, A100]
    assert uuids(1, need=Need(30 * GB), claims=claims) == [A100]
    assert len(uuids("auto", claims=claims)) == 1


def test_false_reservations_move_no_load_to_a_gpu_that_is_nearly_full(three):
    three.hold(os.getpid(), 79 * GB, gpu=0)
    lies = {A100: 1000 * GB, L4: 1000 * GB}
    assert uuids("auto", claims=Claims(reserved=lies)) == [A100]
    assert uuids("auto", claims=Claims(unknown={A100: 100, L4: 100})) == [A100]
    assert uuids("auto", need=Need(10 * GB), claims=Claims(reserved=lies)) == [A100]


def test_loads_of_unknown_need_go_to_different_gpus(build):
    build(gpu(uuid=H100), gpu(uuid=A100), gpu("NVIDIA L4", 1 * GB, uuid=L4))
    assert uuids("auto", claims=Claims(unknown={H100: 1})) == [A100]
    assert uuids("auto", claims=Claims(unknown={H100: 1, A100: 1})) == [H100]  # not the L4, which has hardly any room
    assert uuids("auto", claims=Claims(unknown={H100: 2, A100: 1})) == [A100]


def test_a_learnt_need_guides_the_choice_and_refuses_nothing(three):
    three.hold(os.getpid(), 60 * GB, gpu=0)
    learnt = Need(learnt={"NVIDIA L4": 22 * GB, "NVIDIA A100": 22 * GB, "NVIDIA H100": 22 * GB})
    assert uuids("auto", need=learnt, policy="first-fit") == [A100]
    of_another_kind = Need(learnt={"NVIDIA T4": 22 * GB})
    assert uuids("auto", need=of_another_kind, policy="first-fit") == [A100]
    too_much = Need(learnt={"NVIDIA L4": 70 * GB})
    assert uuids("auto", need=too_much) == [A100]
    assert uuids(0, need=too_much) == [H100]


def test_a_learnt_need_that_insists_refuses(three):
    three.hold(os.getpid(), 60 * GB, gpu=0)
    assert "70.0 GB of free GPU memory are needed" in refusal(
        0, need=Need(learnt={"NVIDIA H100": 70 * GB}, insists=True)
    )


def test_the_greater_of_the_declared_and_the_learnt_need_counts(three):
    assert uuids("auto", need=Need(10 * GB, {"NVIDIA L4": GB}), policy="pack") == [L4]
    assert uuids("auto", need=Need(10 * GB, {"NVIDIA A100": 30 * GB, "NVIDIA L4": 30 * GB}), policy="pack") == [A100]


def test_memory_that_is_about_to_be_freed_counts(three):
    three.hold(os.getpid(), 60 * GB, gpu=0)
    assert uuids(0, need=Need(50 * GB), claims=Claims(promised={H100: -40 * GB})) == [H100]


def test_replicas_go_to_other_gpus_while_those_have_room(three):
    small, large = Need(10 * GB), Need(30 * GB)
    assert uuids("auto", need=small, claims=Claims(siblings=(H100,))) == [A100]
    assert uuids("auto", need=small, claims=Claims(siblings=(H100, A100))) == [L4]
    assert uuids("auto", need=small, claims=Claims(siblings=(H100, A100, L4))) == [H100]
    assert uuids("auto", need=large, claims=Claims(siblings=(H100, A100))) == [H100]
    assert uuids("auto", claims=Claims(siblings=(H100,))) == [A100]


def test_a_gpu_that_fell_off_the_bus_cannot_be_chosen(build):
    lost = 15
    build(gpu(uuid=H100, errors={"nvmlDeviceGetUUID": lost}), gpu("NVIDIA L4", 24 * GB, uuid=L4))
    assert uuids("auto") == uuids(1) == [L4]
    assert refusal(0).startswith("GPU 0 cannot be used: it has fallen off the bus")


def test_a_choice_has_the_number_of_its_gpus():
    assert [parse(asked).count for asked in ("auto", "auto:3", "0,2", 1, "none", None)] == [1, 3, 2, 1, 0, 0]
