"""Check that the Jupyter of this Python shows the sidebar."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpumodels.doctor.finding import Status


def check() -> tuple[Status, str, str]:
    """Check that the Jupyter of this Python has both extensions: the server extension and that of JupyterLab."""
    from jupyter_core.paths import jupyter_config_path, jupyter_path  # noqa: PLC0415
    from jupyter_server.extension.config import ExtensionConfigManager  # noqa: PLC0415

    configured = ExtensionConfigManager(read_config_path=jupyter_config_path())
    enabled = configured.get_jpserver_extensions()  # type: ignore[no-untyped-call]
    lab = [path for path in jupyter_path("labextensions") if Path(path, "gpumodels", "package.json").is_file()]
    where = f"the Jupyter of {sys.prefix}"
    if not enabled.get("gpumodels"):
        mend = "`jupyter server extension enable gpumodels`, in the environment that Jupyter runs in."
        return "warn", f"{where} does not load gpumodels' server extension, so it has no sidebar", mend
    if not lab:
        return "warn", f"{where} has no gpumodels sidebar", "Install gpumodels there with Node 20, which builds it."
    return "ok", f"{where} loads gpumodels", ""
