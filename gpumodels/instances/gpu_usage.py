"""GPU memory by holder. The holders include the running models of this user."""

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
        Its `devices` have readings and shares of memory in bytes. Without a GPU, `devices` is empty and `trouble` is
        the reason.

    Raises
    ------
    RuntimeDirectoryError, SettingsError
        The models of this user cannot be listed.

    Examples
    --------
    >>> for device in gpumodels.usage().devices:
    ...     for share in device.shares:
    ...         print(device.snapshot.device.index, share.name, share.memory)

    """
    return _sampler.now()


def recent_usage() -> Usage:
    """Return a usage that is at most one second old. All callers of this process share the reading."""
    return _sampler.recent()
