"""Output of a model of the process engine: `logs` reads the current log and the one before it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpumodels.engines.process import ProcessInstance
from gpumodels.lease.directory import InstanceDirectory
from gpumodels.lease.record import InstanceRecord, Owner

if TYPE_CHECKING:
    from pathlib import Path


def test_logs_shows_the_lines_of_the_log_before_too(tmp_path: Path) -> None:
    record = InstanceRecord("echo-0123456789", "echo", "process", Owner(os.getpid()), 0.0)
    instance = ProcessInstance(record, InstanceDirectory(tmp_path))
    assert instance.logs() == ""
    (tmp_path / "log.1").write_text("older\n" * 10_000 + "old\n")
    assert instance.logs(2) == "older\nold"
    (tmp_path / "log").write_text("new\n")
    assert instance.logs(3) == "older\nold\nnew"
    (tmp_path / "log").write_text("new\n" * 10_000)
    assert instance.logs(2) == "new\nnew"
