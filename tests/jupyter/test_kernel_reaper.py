"""Cleanup after a kernel that was killed together with its guards, with real kernels of a real Jupyter server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import pytest

from gpumodels.instances import running
from gpumodels.jupyter import kernel_reaper
from gpumodels.jupyter.kernels import Kernels
from tests.leftovers import until

LOAD = """
import os, signal, gpumodels
from gpumodels.lease import guard
model = gpumodels.load("echo", engine="fake", gpu="none", share=True)
for each in guard._guards.values():
    os.killpg(each.pid, signal.SIGKILL)
"""


@pytest.fixture
def jp_server_config(runtime_path, monkeypatch):
    monkeypatch.setattr(kernel_reaper, "_EVERY", 0.2)
    monkeypatch.setattr(kernel_reaper, "_PATIENCE", 0.5)
    return {"ServerApp": {"jpserver_extensions": {"gpumodels": True}, "allow_unauthenticated_access": False}}


@pytest.fixture
def kernels(jp_serverapp):
    return Kernels(jp_serverapp.kernel_manager, jp_serverapp.session_manager)


async def _start_kernel(kernels):
    """Start a kernel, load echo in it and kill its guards. Return the kernel's id."""
    kernel_id = await kernels.kernel_manager.start_kernel()
    client = kernels.kernel_manager.get_kernel(kernel_id).client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    client.stop_channels()
    assert await kernels.run(kernel_id, LOAD, within=120)
    await asyncio.sleep(1)  # until the kernel reaper watches it
    return kernel_id


async def _until(condition):
    await asyncio.to_thread(until, condition, 60)


async def test_what_a_killed_kernel_left_is_removed_and_logged(kernels, leftovers, caplog):
    kernel_id = await _start_kernel(kernels)
    (instance,) = [record.id for record in running()]
    with caplog.at_level(logging.WARNING):
        os.kill(kernels.pid(kernel_id), signal.SIGKILL)
        await _until(lambda: leftovers.directories() == [])
        await _until(lambda: "was left by a kernel" in caplog.text)
    assert instance in caplog.text


async def test_a_model_that_another_kernel_uses_is_not_touched(kernels, leftovers, caplog):
    first, second = await _start_kernel(kernels), await _start_kernel(kernels)
    (instance,) = [record.id for record in running()]
    reaped = []
    reap = kernel_reaper.KernelReaper._reap
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            kernel_reaper.KernelReaper, "_reap", lambda reaper, pids: (reap(reaper, pids), reaped.append(pids))
        )
        pid = kernels.pid(first)
        await kernels.kernel_manager.restart_kernel(first)
        await _until(lambda: reaped)
    assert pid in reaped[0]
    assert [record.id for record in running()] == [instance]
    assert await kernels.run(second, "assert model(1) == 1", within=60)
