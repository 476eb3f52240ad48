"""Who holds which GPU, with what runs of this user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.attribution import Sampler
from gpumodels.instances.registry import running

if TYPE_CHECKING:
    from gpumodels.attribution import Usage

_sampler = Sampler(running)


def usage() -> Usage:
    """Who holds which GPU's memory now: every GPU and slice with its readings, split by holder.

    Without a GPU there are no devices, and `trouble` says why. Raises RuntimeDirectoryError or SettingsError where
    this user's models cannot be looked for.
    """
    return _sampler.now()


def recent() -> Usage:
    """The same, a second old at most: however many ask, there is one sampling a second. Raises as `usage`."""
    return _sampler.recent()
