"""All checks, in the order in which `gpumodels doctor` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.doctor import docker, jupyter, machine
from gpumodels.doctor.finding import Finding, guarded

if TYPE_CHECKING:
    from collections.abc import Iterator


def run_checks() -> Iterator[Finding]:
    """Yield the finding of each check as soon as the check is done. An error in a check becomes a finding too."""
    for check, look in machine.CHECKS:
        yield from guarded(check, look)
    yield from docker.checks()
    yield from guarded("Jupyter", jupyter.check)
