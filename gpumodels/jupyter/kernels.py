"""The kernels of this Jupyter server, and their notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jupyter_server.utils import ensure_async


@dataclass(frozen=True)
class Kernels:
    """What this server's managers of kernels and of sessions know."""

    kernel_manager: Any
    session_manager: Any

    async def notebooks(self) -> dict[str, str]:
        """The paths of notebooks by kernel id, also of renamed ones, and as the browser would open them."""
        sessions = await ensure_async(self.session_manager.list_sessions())
        return {session["kernel"]["id"]: session["path"] for session in sessions if session.get("kernel")}

    async def listed(self, notebooks: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Every kernel by its id: `state`, `pid`, `notebook` and `idle_since` (seconds since the epoch).

        The process tells a kernel from what it was before a restart; null where a provisioner does not say.
        """
        listed = await ensure_async(self.kernel_manager.list_kernels())
        return {kernel["id"]: self._kernel(kernel, notebooks) for kernel in listed}

    def _kernel(self, listed: dict[str, Any], notebooks: dict[str, str]) -> dict[str, Any]:
        state = listed["execution_state"]
        idle_since = datetime.fromisoformat(listed["last_activity"]).timestamp() if state == "idle" else None
        return {
            "id": listed["id"],
            "state": state,
            "pid": self.pid(listed["id"]),
            "notebook": notebooks.get(listed["id"], ""),
            "idle_since": idle_since,
        }

    def pid(self, kernel_id: str) -> int | None:
        """The kernel's process; None where there is none of that id, or it is not known."""
        kernel = self.kernel_manager.get_kernel(kernel_id) if kernel_id in self.kernel_manager else None
        pid: int | None = getattr(getattr(kernel, "provisioner", None), "pid", None)
        return pid
