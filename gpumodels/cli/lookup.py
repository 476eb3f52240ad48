"""Finding the instance that a user names by its id, the beginning of its id, or its model's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.errors import ModelNotFound
from gpumodels.instances import match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.lease import InstanceRecord, Owner


def one(wanted: str, known: Sequence[InstanceRecord]) -> InstanceRecord:
    """Return the instance of `known` with the id or name `wanted`. Raises ModelNotFound for none and for several."""
    found = match(wanted, known)
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelNotFound(f"{wanted!r} may be {_listed(found)}: give the id of one, or the beginning of it.")
    running = f"Running: {_listed(known)}." if known else "Nothing runs."
    raise ModelNotFound(f"No model {wanted!r} runs. {running}")


def whose(owner: Owner) -> str:
    """Return the text for an owner: its notebook, or its process id if it is not a notebook."""
    return owner.notebook or f"process {owner.pid}"


def _listed(records: Sequence[InstanceRecord]) -> str:
    return ", ".join(f"{record.id} ({whose(record.owner)})" for record in records)
