"""Leases, the runtime directory, the leash and the guard. Together they end an instance when its last holder ends.

An instance lives as long as a process holds a shared record lock on its `lease` file. The operating system drops that
lock when the process dies, however it dies.

The leash inside a container imports this package and must start quickly. So names are imported at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.lease import events, guard, notes, processes
    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.held import Lease, LeaseRefusedError, LeaseState, Look, release_all
    from gpumodels.lease.interrupts import uninterrupted
    from gpumodels.lease.leash import UNSEEN
    from gpumodels.lease.locks import LEASE, USE, flocked, flocked_briefly
    from gpumodels.lease.log import older
    from gpumodels.lease.private_files import filesystem, make_private, write_atomically
    from gpumodels.lease.processes import INSTANCE_MARK
    from gpumodels.lease.record import InstanceRecord, Owner, UnknownRecordError
    from gpumodels.lease.runtime import SHARED_MEMORY, RuntimeDirectory, remove_shared_memory

_HOMES = {
    "InstanceDirectory": "directory",
    "InstanceRecord": "record",
    "LEASE": "locks",
    "Lease": "held",
    "LeaseRefusedError": "held",
    "LeaseState": "held",
    "Look": "held",
    "INSTANCE_MARK": "processes",
    "Owner": "record",
    "RuntimeDirectory": "runtime",
    "SHARED_MEMORY": "runtime",
    "UNSEEN": "leash",
    "USE": "locks",
    "UnknownRecordError": "record",
    "filesystem": "private_files",
    "flocked": "locks",
    "flocked_briefly": "locks",
    "make_private": "private_files",
    "older": "log",
    "release_all": "held",
    "remove_shared_memory": "runtime",
    "uninterrupted": "interrupts",
    "write_atomically": "private_files",
}

__all__ = [
    "INSTANCE_MARK",
    "LEASE",
    "SHARED_MEMORY",
    "UNSEEN",
    "USE",
    "InstanceDirectory",
    "InstanceRecord",
    "Lease",
    "LeaseRefusedError",
    "LeaseState",
    "Look",
    "Owner",
    "RuntimeDirectory",
    "UnknownRecordError",
    "events",
    "filesystem",
    "flocked",
    "flocked_briefly",
    "guard",
    "make_private",
    "notes",
    "older",
    "processes",
    "release_all",
    "remove_shared_memory",
    "uninterrupted",
    "write_atomically",
]

__getattr__ = lazy.names(__name__, _HOMES)
