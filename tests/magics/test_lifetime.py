"""Reloading the extension stops no model, and the hint about CUDA_VISIBLE_DEVICES is printed once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gpumodels.magics.hint import TEXT
from tests.magics.conftest import ECHO, left, started, wait_until

PACKAGE = Path(__file__).parents[2] / "gpumodels"


def test_reloading_the_extension_stops_nothing(kernel):
    kernel.ok(f"{ECHO};")
    kernel.ok("%reload_ext gpumodels")
    assert kernel.ok("echo(1)").result == "1"
    assert kernel.complete("%load_model ct") == ["%load_model ctpn"]
    assert kernel.ok("%stop_model").stream == "stopped echo\n"


def test_unloading_the_extension_takes_the_magics_and_leaves_the_models(kernel):
    kernel.ok(f"{ECHO};")
    kernel.ok("%unload_ext gpumodels")
    assert kernel.run("%models").error == "UsageError"
    assert kernel.ok("echo(1)").result == "1"
    kernel.ok("%load_ext gpumodels")
    assert kernel.ok("%stop_model").stream == "stopped echo\n"


def test_autoreload_of_changed_modules_stops_nothing(tmp_path, runtime):
    copy = tmp_path / "package" / "gpumodels"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "labextension"))
    images = str(PACKAGE.parent / "images")
    with started(tmp_path, PYTHONPATH=str(copy.parent), GPUMODELS_MODELS=images) as kernel:
        kernel.ok("%load_ext autoreload\n%autoreload 2")
        kernel.ok(f"{ECHO};")
        assert str(copy) in kernel.ok("import gpumodels; gpumodels.__file__").result
        for name in ("lease.held", "instances.registry", "model.handle", "engines.process", "magics.__init__"):
            module = copy / f"{name.replace('.', '/')}.py"
            module.write_text(module.read_text() + "\n# changed\n")
            os.utime(module, (2**31, 2**31))
        assert kernel.ok("echo(1)").result == "1"
        assert kernel.ok("echo(2), echo.alive").result == "(2, True)"
        assert kernel.ok("%stop_model").stream == "stopped echo\n"


@pytest.mark.parametrize("restart", [False, True])
def test_the_leases_end_with_the_kernel(kernel, runtime, restart):
    kernel.ok(f"{ECHO};")
    assert left(runtime)
    if restart:
        kernel.manager.restart_kernel(now=False)
        kernel.client.wait_for_ready(timeout=60)
    else:
        kernel.manager.shutdown_kernel()
    wait_until(lambda: not left(runtime), lambda: f"nothing is left, but there is {left(runtime)}")


@pytest.mark.parametrize(
    "cell",
    [
        "%env CUDA_VISIBLE_DEVICES=1",
        "%set_env CUDA_VISIBLE_DEVICES 1",
        "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'",
        'import os\nos.environ.setdefault("CUDA_VISIBLE_DEVICES", "1")',
        "import os\nos.environ.update(CUDA_VISIBLE_DEVICES='1')",
    ],
)
def test_setting_cuda_visible_devices_shows_one_hint(shell, capsys, monkeypatch, cell):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    shell.run_cell(cell).raise_error()
    assert capsys.readouterr().out.count(TEXT) == 1
    shell.run_cell(cell)
    shell.run_cell("%reload_ext gpumodels")
    shell.run_cell(cell)
    assert TEXT not in capsys.readouterr().out


def test_reading_cuda_visible_devices_shows_no_hint(shell, capsys):
    shell.run_cell("import os\nos.environ.get('CUDA_VISIBLE_DEVICES') == '1'\n# %env CUDA_VISIBLE_DEVICES")
    shell.run_cell("%env CUDA_VISIBLE_DEVICES_2=1\nos.environ.pop('CUDA_VISIBLE_DEVICES_2');")
    assert TEXT not in capsys.readouterr().out


def test_setting_cuda_visible_devices_before_the_extension_is_loaded_shows_the_hint(kernel):
    kernel.ok("%unload_ext gpumodels")
    kernel.ok("%env CUDA_VISIBLE_DEVICES=1")
    assert kernel.ok("%load_ext gpumodels").stream == f"{TEXT}\n"
