"""The display of a load in a kernel, during the load and afterwards."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gpumodels.lease.processes import of_instance
from gpumodels.magics.progress import NotebookView
from tests.fakes.nvml import GB, gpu, machine
from tests.magics.conftest import ECHO, started, wait_until


def test_a_load_has_one_display_for_progress_and_result(kernel):
    ran = kernel.ok(f"{ECHO} --env ECHO_LOAD=sleep:0.5")
    assert len(ran.displays) == 1
    assert ran.states[0] == "starting echo"
    assert any(re.fullmatch(r"loading echo \(\d+ s\)", state) for state in ran.states)
    assert re.fullmatch(r"echo ready on CPU, fake engine, in \d+\.\d s, as echo and model", ran.shown[0])
    assert ran.result == "", "the handle is not printed below"


def test_notices_stay_in_the_display(kernel):
    ran = kernel.ok("%load_model echo --engine fake")
    assert len(ran.displays) == 1
    notice, last = ran.shown[0].splitlines()
    assert notice.startswith("echo runs on the CPU: ")
    assert last.startswith("echo ready on CPU")


def test_a_failure_ends_the_display_and_is_shown_once(kernel):
    ran = kernel.run(f"{ECHO} --env ECHO_LOAD=fail")
    assert (ran.status, ran.error) == ("error", "LoadFailed")
    assert ran.shown == ["echo was not loaded"]
    assert "RuntimeError: echo was told to fail in load" in "\n".join(ran.traceback)
    assert "magics" not in "\n".join(ran.traceback), "the user's model failed, not the magic"


def test_a_mistake_shows_one_line_and_no_display(kernel):
    ran = kernel.run("%load_model ecko")
    assert (ran.status, ran.displays) == ("error", {})
    assert len(ran.traceback) == 1
    assert ran.traceback[0].startswith("ModelNotFound: no model is called 'ecko'; did you mean echo?")


def test_a_semicolon_hides_everything_but_failures(kernel):
    ran = kernel.ok(f"{ECHO};")
    assert (ran.displays, ran.result, ran.stream) == ({}, "", "")
    assert kernel.run("%load_model ecko;").error == "ModelNotFound"


def test_a_model_may_be_shown_in_the_cell_that_loads_another(kernel):
    kernel.ok(f"{ECHO} --as first;")
    ran = kernel.ok(f"{ECHO} --as second;\nfirst")
    assert ran.result == "<Model echo on CPU, fake, ready>"
    assert kernel.ok("second").result == "<Model echo on CPU, fake, ready>"


def test_on_a_gpu_the_last_line_has_the_memory_of_the_model(tmp_path, runtime):
    gpus = machine(tmp_path / "machine.json", gpu("NVIDIA H100", 80 * GB))

    def hold(text: str) -> None:
        """Let a process of the instance hold GPU memory, as a model would."""
        if text.startswith("loading") and not gpus.description["processes"]:
            instance = next(path.name for path in runtime.iterdir() if path.name.startswith("echo-"))
            gpus.hold(of_instance(instance)[-1], 12 * GB // 10)

    with started(tmp_path, **gpus.environment()) as kernel:
        ran = kernel.run("%load_model echo --engine fake --gpu 0 --env ECHO_LOAD=sleep:1", watch=hold)
    assert re.fullmatch(r"echo ready on GPU 0 \(1\.2 GB\) in \d\.\d s, as echo and model", ran.shown[0]), ran


def test_updates_are_throttled_and_bars_are_drawn(monkeypatch):
    bundles: list[dict[str, str]] = []
    monkeypatch.setattr(NotebookView, "_show", lambda self, text, html: bundles.append({"text": text, "html": html}))
    view = NotebookView()
    for number in range(1000):
        view.progress(f"<{number}>", number / 1000)
    assert len(bundles) < 30
    assert bundles[0] == {"text": f"[{' ' * 20}] <0>", "html": '<progress value="0.000" max="1"></progress> &lt;0&gt;'}
    view.end("ready")
    assert bundles[-1]["text"] == "ready"


def test_the_owner_is_the_kernel_and_its_notebook(tmp_path, runtime):
    with started(tmp_path, JPY_SESSION_NAME="/home/ada/photos.ipynb") as kernel:
        kernel.ok(f"{ECHO};")
        shown = kernel.ok("import gpumodels; owner = gpumodels.running()[0].owner; [owner.kernel_id, owner.notebook]")
        identity = re.fullmatch(r"kernel-(.+)\.json", Path(kernel.manager.connection_file).name)
        assert identity
        assert shown.result == f"['{identity[1]}', '/home/ada/photos.ipynb']"
        kernel.ok("__vsc_ipynb_file__ = '/home/ada/code.ipynb'")
        kernel.ok(f"{ECHO} --as other;")
        assert kernel.ok("gpumodels.running()[-1].owner.notebook").result == "'/home/ada/code.ipynb'"


def test_models_of_another_notebook_are_listed_by_its_name(tmp_path, kernel):
    with started(tmp_path, JPY_SESSION_NAME="photos.ipynb") as other:
        other.ok(f"{ECHO};")
        row = kernel.ok("%models").shown[0].splitlines()[1]
        assert row.split()[:5] == ["echo", "CPU", "fake", "ready", "photos.ipynb"]
        pid = int(other.ok("import os; os.getpid()").result)
    assert pid != os.getpid()
    wait_until(lambda: kernel.ok("%models").shown == ["No model is running."], lambda: "the end of the other model")
