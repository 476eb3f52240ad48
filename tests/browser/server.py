"""A real Jupyter server with the sidebar of this checkout, on a machine with GPUs that do not exist."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import nbformat

from gpumodels.lease.processes import marked
from tests.fakes.nvml import GB, gpu, machine

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "gpumodels" / "labextension"
NOTICES = "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
#: A kernel that says that it is of another language; it never has to run any.
OTHER_LANGUAGE = {
    "display_name": "R",
    "language": "R",
    "argv": ["python", "-m", "ipykernel", "-f", "{connection_file}"],
}
KERNELS = {"python3": ("Python 3", "python"), "ir": ("R", "R")}


class Lab:
    """A Jupyter server, which serves JupyterLab and Notebook 7; `stop` it and `start` it again at the same address."""

    def __init__(self, home: Path, root: Path, settings: Mapping[str, Any] = {}) -> None:
        """`home` is where all lies but the notebooks, which are in `root`; `settings` are the sidebar's."""
        self.root = root
        self.models = home / "models"
        self.token = secrets.token_hex(16)
        self.gpus = machine(
            home / "machine.json",
            gpu("NVIDIA H100", 80 * GB, utilisation=37, temperature=54, power=312_000, power_limit=700_000),
            gpu("NVIDIA A100", 40 * GB, utilisation=0, temperature=31, power=52_000, power_limit=400_000),
        )
        self.url = ""
        self._home = home
        self._log = home / "log"
        self._server: subprocess.Popen[bytes] | None = None
        _configure(home, settings)

    def start(self) -> None:
        """Returns when it listens."""
        port = urlsplit(self.url).port or 0
        given = {"IdentityProvider.token": self.token, "ServerApp.root_dir": self.root, "ServerApp.port": port}
        command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in given.items())]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(command, env=self._environment(), cwd=self.root, stdout=log, stderr=log)
        self.url = self._address(self._server)

    def stop(self) -> None:
        """End it, and its kernels with it."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(timeout=30)

    def _environment(self) -> dict[str, str]:
        home = self._home
        places = {name: str(home / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
        places |= {"JUPYTER_CONFIG_DIR": str(home), "GPUMODELS_RUNTIME_DIR": str(self.models), "PYTHONPATH": str(ROOT)}
        return {**os.environ, **places, **self.gpus.environment()}

    def _address(self, server: subprocess.Popen[bytes]) -> str:
        """Where it listens; it writes that into its runtime directory."""
        written = self._home / "jupyter_runtime_dir" / f"jpserver-{server.pid}.json"
        deadline = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < deadline:
            if written.exists() and (text := written.read_text()):
                return str(json.loads(text)["url"])
            time.sleep(0.05)
        raise AssertionError(f"JupyterLab did not start:\n{self._log.read_text()[-3000:]}")

    def write(self, name: str, *cells: str, kernel: str = "python3") -> None:
        """A notebook of these cells; `kernel` may be "ir", which is not Python."""
        written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        shown, language = KERNELS[kernel]
        written.metadata.kernelspec = {"name": kernel, "display_name": shown, "language": language}
        nbformat.write(written, self.root / name)

    def address(self, name: str = "", front_end: str = "lab/tree") -> str:
        """What opens a notebook, in JupyterLab or in Notebook 7 ("notebooks"), or JupyterLab without one."""
        opened = f"{front_end}/{name}" if name else "lab"
        return f"{self.url}{opened}?reset&token={self.token}"

    def notebook(self, name: str, *cells: str, front_end: str = "lab/tree") -> str:
        """Write a notebook; returns the address that opens it."""
        self.write(name, *cells)
        return self.address(name, front_end)

    def asked(self, path: str) -> Any:
        """What its REST interface answers."""
        with urlopen(f"{self.url}{path}?token={self.token}") as answer:
            return json.load(answer)

    def instance(self, model: str) -> str:
        """The id of the only instance of that model."""
        (found,) = [path.name for path in self.models.iterdir() if path.name.startswith(f"{model}-")]
        return found

    def hold(self, model: str, memory: int, device: int = 0) -> int:
        """Let the only instance of a model hold memory of a GPU, as if it had loaded weights; returns its process."""
        return self.hold_by(self.instance(model), memory, device)

    def hold_by(self, instance: str, memory: int, device: int = 0) -> int:
        """The same of one instance, by its id."""
        pid = marked(instance)[-1]
        self.gpus.hold(pid, memory, device)
        return pid

    def forget_processes(self) -> None:
        """Nobody holds GPU memory any more."""
        self.gpus.description["processes"].clear()
        self.gpus.write()


def _configure(home: Path, settings: Mapping[str, Any]) -> None:
    """The settings of a Jupyter that knows nothing of this machine's own."""
    # A copy, so that a build that goes on meanwhile does not take the files from under a browser.
    shutil.copytree(BUILT, home / "labextensions" / "gpumodels")
    config: dict[str, dict[str, Any]] = {
        "ServerApp": {
            "jpserver_extensions": {"gpumodels": True, "notebook": True},
            "ip": "127.0.0.1",
            "port_retries": 0,
            "open_browser": False,
            "allow_root": os.geteuid() == 0,
        },
        "JupyterNotebookApp": {"expose_app_in_browser": True},
        "LabApp": {
            "extra_labextensions_path": [str(home / "labextensions")],
            "expose_app_in_browser": True,
            "news_url": None,
        },
    }
    _write(home / "jupyter_server_config.json", config)
    _write(home / NOTICES, {"fetchNews": "false", "checkForUpdates": False})
    _write(home / "jupyter_data_dir" / "kernels" / "ir" / "kernel.json", OTHER_LANGUAGE)
    if settings:
        _write(home / "lab/user-settings/gpumodels/plugin.jupyterlab-settings", settings)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
