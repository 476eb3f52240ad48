"""Access to a model server: readiness, calls, the results of calls, and its activity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.client.activity import Activity, read_activity
    from gpumodels.client.client import Client
    from gpumodels.client.drawing import draw_result
    from gpumodels.client.images import ImageError, to_pixels
    from gpumodels.client.plain import from_text, outputs_by_name, to_json, to_lists
    from gpumodels.client.result import Result
    from gpumodels.client.ticket import Ticket
    from gpumodels.client.watch import Watch, ask_for_sleep

_HOMES = {
    "Activity": "activity",
    "Client": "client",
    "ImageError": "images",
    "Result": "result",
    "Ticket": "ticket",
    "Watch": "watch",
    "ask_for_sleep": "watch",
    "draw_result": "drawing",
    "from_text": "plain",
    "outputs_by_name": "plain",
    "read_activity": "activity",
    "to_json": "plain",
    "to_lists": "plain",
    "to_pixels": "images",
}

__all__ = [
    "Activity",
    "Client",
    "ImageError",
    "Result",
    "Ticket",
    "Watch",
    "ask_for_sleep",
    "draw_result",
    "from_text",
    "outputs_by_name",
    "read_activity",
    "to_json",
    "to_lists",
    "to_pixels",
]

__getattr__ = lazy.names(__name__, _HOMES)
