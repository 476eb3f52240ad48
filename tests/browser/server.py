"""A real Jupyter server with the sidebar of this checkout, on a machine with made-up GPUs."""

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

from gpumodels.lease.processes import of_instance
from tests.fakes.nvml import GB, gpu, machine

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "gpumodels" / "labextension"
NOTICES = "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
#: A kernel that declares another language; it never has to run code.
OTHER_LANGUAGE = {
    "display_name": "R",
    "language": "R",
    "argv": ["python", "-m", "ipykernel", "-f", "{connection_file}"],
}
KERNELS = {"python3": ("Python 3", "python"), "ir": ("R", "R")}


class Lab:
    """A Jupyter server with JupyterLab and Notebook 7. After `stop`, `start` starts it again at the same address."""

    def __init__(self, home: Path, root: Path, settings: Mapping[str, Any] = {}) -> None:
        """Prepare the server: notebooks in `root`, all other files in `home`, `settings` for the sidebar."""
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
        """Start the server and wait until it listens."""
        port = urlsplit(self.url).port or 0
        options = {"IdentityProvider.token": self.token, "ServerApp.root_dir": self.root, "ServerApp.port": port}
        command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(command, env=self._environment(), cwd=self.root, stdout=log, stderr=log)
        self.url = self._address(self._server)

    def stop(self) -> None:
        """End the server and its kernels."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(timeout=30)

    def _environment(self) -> dict[str, str]:
        home = self._home
        directories = {
            name: str(home / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        }
        directories |= {
            "JUPYTER_CONFIG_DIR": str(home),
            "GPUMODELS_RUNTIME_DIR": str(self.models),
            "PYTHONPATH": str(ROOT),
        }
        return {**os.environ, **directories, **self.gpus.environment()}

    def _address(self, server: subprocess.Popen[bytes]) -> str:
        """Return the address, which the server writes into its runtime directory."""
        written = self._home / "jupyter_runtime_dir" / f"jpserver-{server.pid}.json"
        deadline = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < deadline:
            if written.exists() and (text := written.read_text()):
                return str(json.loads(text)["url"])
            time.sleep(0.05)
        raise AssertionError(f"JupyterLab did not start:\n{self._log.read_text()[-3000:]}")

    def write(self, name: str, *cells: str, kernel: str = "python3") -> None:
        """Write a notebook of these cells; the kernel "ir" is not Python."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        shown, language = KERNELS[kernel]
        notebook.metadata.kernelspec = {"name": kernel, "display_name": shown, "language": language}
        nbformat.write(notebook, self.root / name)

    def address(self, name: str = "", front_end: str = "lab/tree") -> str:
        """Return the URL of a notebook in JupyterLab or Notebook 7 ("notebooks"); without a name, of JupyterLab."""
        opened = f"{front_end}/{name}" if name else "lab"
        return f"{self.url}{opened}?reset&token={self.token}"

    def notebook(self, name: str, *cells: str, front_end: str = "lab/tree") -> str:
        """Write a notebook and return its URL."""
        self.write(name, *cells)
        return self.address(name, front_end)

    def get(self, path: str) -> Any:
        """Return the JSON of a GET request to the server."""
        with urlopen(f"{self.url}{path}?token={self.token}") as answer:
            return json.load(answer)

    def instance(self, model: str) -> str:
        """Return the id of the only instance of a model."""
        (found,) = [path.name for path in self.models.iterdir() if path.name.startswith(f"{model}-")]
        return found

    def hold(self, model: str, memory: int, device: int = 0) -> int:
        """Let the only instance of a model hold GPU memory, as if it had loaded weights. Return its process id."""
        return self.hold_by(self.instance(model), memory, device)

    def hold_by(self, instance: str, memory: int, device: int = 0) -> int:
        """Let an instance hold GPU memory. Return its process id."""
        pid = of_instance(instance)[-1]
        self.gpus.hold(pid, memory, device)
        return pid

    def forget_processes(self) -> None:
        """Remove all holders of GPU memory."""
        self.gpus.description["processes"].clear()
        self.gpus.write()


def _configure(home: Path, settings: Mapping[str, Any]) -> None:
    """Write settings for a Jupyter server, which then does not read the settings of this machine."""
    # Use a copy, so that a build of the sidebar during the tests does not remove files that the browser needs.
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
