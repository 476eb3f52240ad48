"""The memory of a real kernel with a child process and a model: it and another process see the same shares."""

from __future__ import annotations

import gpumodels
from gpumodels.lease.processes import of_instance
from tests.fakes.nvml import GB, gpu
from tests.magics.conftest import started


def test_a_notebook_with_its_children_and_its_model_have_separate_shares(tmp_path, runtime_path, build):
    gpus = build(gpu(used=GB))
    with started(tmp_path, JPY_SESSION_NAME="/home/me/train.ipynb", **gpus.environment()) as kernel:
        kernel.ok("%load_model echo --engine fake --gpu 0")
        kernel.ok("import subprocess; child = subprocess.Popen(['sleep', '1000'])")
        own, child = (int(kernel.ok(code).result) for code in ("import os; os.getpid()", "child.pid"))
        (record,) = gpumodels.running()
        gpus.hold(own, 2 * GB)
        gpus.hold(child, 3 * GB)
        gpus.hold(server := max(of_instance(record.id)), 4 * GB)

        notebook, model, rest = gpumodels.usage().devices[0].shares
        assert (notebook.kind, notebook.name, notebook.memory) == ("kernel", "train.ipynb", 5 * GB)
        assert sorted(notebook.pids) == sorted([own, child])
        assert notebook.kernel_id == record.owner.kernel_id != ""
        assert (model.kind, model.name, model.memory, model.pids) == ("model", "echo", 4 * GB, (server,))
        assert (model.instance, model.notebook) == (record.id, "/home/me/train.ipynb")
        assert (rest.kind, rest.memory) == ("unaccounted", GB)

        (shown,) = kernel.ok("%gpus").shown
        assert "5.0 GB  train.ipynb" in shown
        assert "4.0 GB  echo · train.ipynb" in shown
        seen = "from gpumodels.magics.listing import Gpus; Gpus(__import__('gpumodels').usage())._repr_html_()"
        assert "train.ipynb 5.0 GB, echo · train.ipynb 4.0 GB, unaccounted 1.0 GB" in kernel.ok(seen).result
        kernel.ok("child.kill(); child.wait()\n%stop_model")
        (notebook, _) = gpumodels.usage().devices[0].shares
        assert (notebook.memory, notebook.pids) == (2 * GB, (own,))
