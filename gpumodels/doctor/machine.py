"""Checks of the machine itself: versions, settings, directories, shared memory, namespaces, GPU driver."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels import devices, presentation
from gpumodels.devices import admitted, driver_trouble
from gpumodels.errors import SettingsError
from gpumodels.instances import runtime_directory
from gpumodels.lease import SHARED_MEMORY, filesystem
from gpumodels.settings import KEYS, cache_dir, origin, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.doctor.finding import Status

_MB, _GB = 10**6, 10**9
#: The bytes that should be free: in the runtime directory for logs and small files, in the cache for one or two
#: environments, and in shared memory for one or two pictures of a call.
_ROOM_FOR_LOGS, _ROOM_FOR_ENVIRONMENTS, _ROOM_FOR_TENSORS = 50 * _MB, 2 * _GB, 64 * _MB
_NAMESPACE_TIMEOUT = 10  # seconds for a Python process that only enters a namespace
_NVIDIA, _DISPLAY = "0x10de", "0x03"  # the PCI vendor id, and the first byte of the PCI class of display controllers

_ENTER = "import os; from gpumodels.lease import namespace; namespace.enter(); print(os.getpid())"
_NAMESPACES = (
    "As root: `sysctl kernel.unprivileged_userns_clone=1`, `sysctl user.max_user_namespaces=10000`, or, on Ubuntu, "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`."
)
_LARGE_TENSORS_AS_COPIES = "Models run; large inputs and outputs are copied once more."


def _versions() -> tuple[Status, str, str]:
    from gpumodels import __version__  # noqa: PLC0415

    return "ok", f"gpumodels {__version__}, Python {platform.python_version()}, Linux {platform.release()}", ""


def _settings() -> tuple[Status, str, str]:
    try:
        settings()
    except SettingsError as error:
        return "fail", str(error).rstrip("."), "Mend that line, or remove it; docs/settings.md lists all settings."
    given = [f"{key} by {where.partition(': ')[0]}" for key in KEYS if (where := origin(key))]
    return "ok", "; ".join(given) or "all are the defaults", ""


def _runtime_directory() -> tuple[Status, str, str]:
    path = runtime_directory().path
    free = shutil.disk_usage(path).free
    text = f"{path}, mode {path.stat().st_mode & 0o777:o}, {filesystem(path) or 'unknown filesystem'}"
    if free < _ROOM_FOR_LOGS:
        return "fail", f"{text}: only {presentation.size(free)} free", "Free some space there, or set runtime_dir."
    return "ok", f"{text}, {presentation.size(free)} free", ""


def _cache() -> tuple[Status, str, str]:
    path = cache_dir()
    there = next(each for each in (path, *path.parents) if each.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return "fail", f"{there} cannot be written", "Make it writable, or set XDG_CACHE_HOME to another place."
    free = shutil.disk_usage(there).free
    if free < _ROOM_FOR_ENVIRONMENTS:
        mend = "Free some space (`gpumodels prune` removes what no model uses), or set XDG_CACHE_HOME."
        return "warn", f"{path}: only {presentation.size(free)} free", mend
    return "ok", f"{path}, {presentation.size(free)} free", ""


def _shared_memory() -> tuple[Status, str, str]:
    if not os.access(SHARED_MEMORY, os.W_OK):
        return "warn", f"{SHARED_MEMORY} cannot be written", _LARGE_TENSORS_AS_COPIES
    usage = shutil.disk_usage(SHARED_MEMORY)
    text = f"{SHARED_MEMORY} has {presentation.size(usage.total)}, {presentation.size(usage.free)} free"
    if usage.total <= _ROOM_FOR_TENSORS:
        mend = f"`mount -o remount,size=8g {SHARED_MEMORY}` as root; in a container, start it with `--shm-size 8g`."
        return "warn", text, mend
    if usage.free < _ROOM_FOR_TENSORS:
        return "warn", text, f"`ls -l {SHARED_MEMORY}` shows what takes it."
    return "ok", text, ""


def _sealed_memory() -> tuple[Status, str, str]:
    from gpumodels.protocol import region  # noqa: PLC0415

    try:
        region.create("doctor", 1)
    except (OSError, AttributeError) as error:
        return "warn", f"memfd_create with seals does not work ({error})", _LARGE_TENSORS_AS_COPIES
    return "ok", "memfd_create with seals works", ""


def _process_engine() -> tuple[Status, str, str]:
    from gpumodels import engines  # noqa: PLC0415

    engines.engine("process").check()
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return "ok", f"uv at {find_uv_bin()}", ""
    except (ImportError, FileNotFoundError):
        return "fail", "uv, which came with gpumodels, is gone", "`pip install uv`"


def _namespaces() -> tuple[Status, str, str]:
    package_root = str(Path(__file__).parents[2])
    ran = subprocess.run(
        [sys.executable, "-c", _ENTER], env={**os.environ, "PYTHONPATH": package_root}, capture_output=True, text=True,
        timeout=_NAMESPACE_TIMEOUT, check=False,
    )  # fmt: skip
    if ran.stdout.strip() == "1":
        return "ok", "a local model runs in a PID namespace of its own", ""
    return "warn", "this user may not make a PID namespace: a local model's processes are ended one by one", _NAMESPACES


def _gpu_driver() -> tuple[Status, str, str]:
    if trouble := driver_trouble():
        if not _nvidia_hardware():
            return "ok", f"no NVIDIA GPU here: models run on the CPU ({trouble})", ""
        return (
            "fail",
            f"there is an NVIDIA GPU, but {trouble}",
            "Install NVIDIA's driver, and see that nvidia-smi works.",
        )
    known = devices.devices()
    text = f"driver {devices.driver_version()}, {', '.join(f'{device.label} {device.name}' for device in known)}"
    if not admitted(known):
        return "warn", f"{text}: none is allowed, {devices.why_none()}", "Ask for another CUDA_VISIBLE_DEVICES."
    return "ok", text, ""


def _nvidia_hardware() -> bool:
    def begins_with(file: Path, prefix: str) -> bool:
        try:
            return file.read_text().startswith(prefix)
        except OSError:
            return False

    found = Path("/sys/bus/pci/devices").glob("*")
    return any(begins_with(each / "vendor", _NVIDIA) and begins_with(each / "class", _DISPLAY) for each in found)


#: The name and the function of each check, in the order in which they are shown.
CHECKS: tuple[tuple[str, Callable[[], tuple[Status, str, str]]], ...] = (
    ("versions", _versions),
    ("settings", _settings),
    ("runtime directory", _runtime_directory),
    ("cache", _cache),
    ("shared memory", _shared_memory),
    ("sealed memory", _sealed_memory),
    ("process engine", _process_engine),
    ("namespaces", _namespaces),
    ("GPU driver", _gpu_driver),
)
