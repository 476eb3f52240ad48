"""GPU memory by holder, with the running models of this user as holders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.attribution import Sampler
from gpumodels.instances.registry import running

if TYPE_CHECKING:
    from gpumodels.attribution import Usage

_sampler = Sampler(running)


def usage() -> Usage:
    """Read every GPU and slice of this machine, and split its memory by holder: models, notebooks, other processes.

    Returns
    -------
    Usage
        `devices` with their readings and shares of memory in bytes. Without a GPU it is empty, and `trouble` says why.

    Raises
    ------
    RuntimeDirectoryError, SettingsError
        The models of this user cannot be listed.

    """
    return _sampler.now()


def recent_usage() -> Usage:
    """Return a usage that is at most a second old. All callers of this process share one reading a second."""
    return _sampler.recent()
