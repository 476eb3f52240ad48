"""The kernels of this Jupyter server, and their notebooks."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyter_server.utils import ensure_async

from gpumodels.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANSWERS_WITHIN = 1.0  # seconds; a kernel that takes longer is running a cell


@dataclass(frozen=True)
class Kernels:
    """The kernels of this server, as its kernel manager and its session manager know them."""

    kernel_manager: Any
    session_manager: Any

    async def notebooks(self) -> dict[str, str]:
        """Return the current path of each notebook, by kernel id."""
        sessions = await ensure_async(self.session_manager.list_sessions())
        return {session["kernel"]["id"]: session["path"] for session in sessions if session.get("kernel")}

    async def listed(self, notebooks: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Return every kernel by its id, in the form of the schema Kernel of openapi.json.

        A restarted kernel keeps its id and gets another `pid`, which is None if its provisioner does not report it.
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

    def has(self, kernel_id: str) -> bool:
        """Return True if this server has a kernel with that id."""
        return kernel_id in self.kernel_manager

    async def run(self, kernel_id: str, code: str, within: float = _ANSWERS_WITHIN) -> bool:
        """Run `code` in the kernel, without output in the notebook. Return True when it has run.

        Return False if it has not run after `within` seconds, because a cell runs: it then runs after that cell. Raises
        KeyError if the code raised KeyError, EngineError if it raised anything else.
        """
        client = self.kernel_manager.get_kernel(kernel_id).client()
        # The kernel distinguishes its clients by this id, but the manager gives all clients the same one.
        client.session.session = uuid4().hex
        await ensure_async(client.start_channels(iopub=False, stdin=False, hb=False, control=False))
        try:
            message_id = client.execute(code, silent=True, store_history=False, allow_stdin=False)
            async with asyncio.timeout(within):
                while (reply := await client.get_shell_msg())["parent_header"].get("msg_id") != message_id:
                    pass
        except TimeoutError:
            return False
        finally:
            client.stop_channels()
        content = reply["content"]
        if content["status"] != "ok" and content.get("ename") == "KeyError":
            raise KeyError(kernel_id)
        if content["status"] != "ok":
            why = content.get("evalue") or content["status"]
            raise EngineError(f"The notebook's kernel could not carry out the request: {why}.")
        return True

    def processes(self) -> set[int]:
        """Return the process ids of all kernels, as far as they are known."""
        return {pid for kernel_id in self.kernel_manager.list_kernel_ids() if (pid := self.pid(kernel_id))}

    def pid(self, kernel_id: str) -> int | None:
        """Return the process id of a kernel; None if there is no such kernel, or if its process is not known."""
        kernel = self.kernel_manager.get_kernel(kernel_id) if kernel_id in self.kernel_manager else None
        pid: int | None = getattr(getattr(kernel, "provisioner", None), "pid", None)
        return pid


def with_present_notebook(described: Mapping[str, Any], notebooks: Mapping[str, str]) -> dict[str, Any]:
    """Return a model, load or share with the current path of its notebook; `notebooks` are paths by kernel id.

    A model that the Jupyter server itself holds belongs to no notebook.
    """
    own = described.get("pid") == os.getpid()
    path = notebooks.get(described["kernel_id"], "" if own else described["notebook"])
    return {**described, "notebook": path}
