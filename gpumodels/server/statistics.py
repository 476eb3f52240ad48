"""Counts and times of calls for ModelStatistics, in total and in the last minute."""

from __future__ import annotations

import threading
import time
from typing import Any

from gpumodels.server.minute import Minute


class Statistics:
    """Counts of calls, and sums of their times in ns. Any thread may use it. To count one call takes about 2 µs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered = 0
        self._failed = 0
        self._input = self._queue = self._infer = self._output = self._wasted = 0
        self._last = 0
        self._last_ended = 0
        self._minute = Minute(time.monotonic_ns())

    def answered(self, came: int, began: int, read: int, ended: int, replied: int) -> None:
        """Count a call that was answered. All moments are in ns, by `time.monotonic_ns()`.

        Parameters
        ----------
        came : int
            The moment when the request was read. The call waited from then until it `began`.
        began : int
            The moment when a thread began to run it.
        read : int
            The moment when its inputs were read.
        ended : int
            The moment when `predict` ended.
        replied : int
            The moment when its outputs were sent.

        """
        now = time.time_ns()
        with self._lock:
            self._answered += 1
            self._queue += began - came
            self._input += read - began
            self._infer += ended - read
            self._output += replied - ended
            self._last = self._last_ended = now
            self._minute.answered(replied, replied - began)

    def failed(self, came: int, ended: int) -> None:
        """Count a call that failed or was cancelled. The moments are as in `answered`."""
        now = time.time_ns()
        with self._lock:
            self._last_ended = now
            self._minute.failed(ended)
            self._failed += 1
            self._wasted += ended - came

    def write(self, message: Any) -> None:
        """Fill `message`, a ModelStatistics. Every call counts as an execution, because calls are not batched."""
        with self._lock:
            parts = {
                "queue": self._queue,
                "compute_input": self._input,
                "compute_infer": self._infer,
                "compute_output": self._output,
            }
            message.last_inference = self._last // 1_000_000
            message.inference_count = message.execution_count = self._answered
            stats = message.inference_stats
            for name, nanoseconds in {**parts, "success": sum(parts.values())}.items():
                duration = getattr(stats, name)
                duration.count, duration.ns = self._answered, nanoseconds
            stats.fail.count, stats.fail.ns = self._failed, self._wasted

    def write_activity(self, message: Any) -> None:
        """Fill `message`, an Activity, with figures of the last minute and the moment when the last call ended."""
        now = time.monotonic_ns()
        with self._lock:
            message.last_call_ms = self._last_ended // 1_000_000
            message.per_second = self._minute.per_second(now)
            message.p50_ns, message.p99_ns = self._minute.quantiles(now, 0.5, 0.99)
