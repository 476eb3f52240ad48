"""The running, sleeping and loading models of this user, in all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.instances.form import load_json, model_json, record_json, sleeping_json
    from gpumodels.instances.gpu_usage import recent_usage, usage
    from gpumodels.instances.holders import holders_of, sign, this_process, users_of
    from gpumodels.instances.loads import Load, dismiss_load, list_loads, new_load_id
    from gpumodels.instances.logs import follow_log, instances_with_logs, last_lines, last_lines_of
    from gpumodels.instances.memory_limit import LIMIT_WATCHER
    from gpumodels.instances.overview import ModelView, Overview, activity_of, read_overview
    from gpumodels.instances.registry import (
        attached,
        choose,
        handles,
        match,
        models,
        remember,
        running,
        runtime_directory,
        stop,
        stop_instance,
    )
    from gpumodels.instances.sleep import SleepingModel, sleep_instance, sleeping, wake_here

_HOMES = {
    "LIMIT_WATCHER": "memory_limit",
    "Load": "loads",
    "ModelView": "overview",
    "Overview": "overview",
    "SleepingModel": "sleep",
    "activity_of": "overview",
    "attached": "registry",
    "choose": "registry",
    "dismiss_load": "loads",
    "follow_log": "logs",
    "handles": "registry",
    "holders_of": "holders",
    "instances_with_logs": "logs",
    "last_lines": "logs",
    "last_lines_of": "logs",
    "list_loads": "loads",
    "load_json": "form",
    "match": "registry",
    "model_json": "form",
    "models": "registry",
    "new_load_id": "loads",
    "read_overview": "overview",
    "recent_usage": "gpu_usage",
    "record_json": "form",
    "remember": "registry",
    "running": "registry",
    "runtime_directory": "registry",
    "sign": "holders",
    "sleep_instance": "sleep",
    "sleeping": "sleep",
    "sleeping_json": "form",
    "stop": "registry",
    "stop_instance": "registry",
    "this_process": "holders",
    "usage": "gpu_usage",
    "users_of": "holders",
    "wake_here": "sleep",
}

__all__ = [
    "LIMIT_WATCHER",
    "Load",
    "ModelView",
    "Overview",
    "SleepingModel",
    "activity_of",
    "attached",
    "choose",
    "dismiss_load",
    "follow_log",
    "handles",
    "holders_of",
    "instances_with_logs",
    "last_lines",
    "last_lines_of",
    "list_loads",
    "load_json",
    "match",
    "model_json",
    "models",
    "new_load_id",
    "read_overview",
    "recent_usage",
    "record_json",
    "remember",
    "running",
    "runtime_directory",
    "sign",
    "sleep_instance",
    "sleeping",
    "sleeping_json",
    "stop",
    "stop_instance",
    "this_process",
    "usage",
    "users_of",
    "wake_here",
]

__getattr__ = lazy.names(__name__, _HOMES)
