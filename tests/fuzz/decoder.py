"""Send nearly correct requests to the server's decoder: `python -m tests.fuzz.decoder --inputs 1000000 --seed 1`."""

from __future__ import annotations

import argparse
import collections
import itertools
import resource
import sys
import time
from dataclasses import dataclass, field

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Decoder


@dataclass
class Tally:
    """Counts of outcomes, the largest allocation in bytes with the size of its request, and the closest to the limit.

    `tightest` is the largest share of its allowed memory that a request took.
    """

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    peak: int = 0
    peak_input: int = 0
    tightest: float = 0.0

    def table(self) -> str:
        """Return the figures as a Markdown table."""
        total, accepted = self.outcomes.total(), self.outcomes[""]
        rows = {
            "inputs": f"{total:,}",
            "accepted": f"{accepted:,}",
            "refused": f"{total - accepted:,}",
            **{f"- {name}": f"{count:,}" for name, count in self.outcomes.most_common() if name},
            "largest allocation": f"{self.peak:,} bytes, for a request of {self.peak_input:,}",
            "nearest to its limit": f"{self.tightest:.0%} of it",
        }
        return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def fuzz(inputs: int, seed: int) -> Tally:
    """Decode so many requests. Print and raise the first error that is not documented."""
    tally = Tally()
    with Decoder() as decoder:
        for number, data in enumerate(itertools.islice(Mutator(seed), inputs)):
            try:
                outcome = decoder.run(data)
            except Exception:
                sys.stderr.write(f"input {number} of seed {seed}: {data[:4000]!r}\n")
                raise
            tally.outcomes[outcome.refusal] += 1
            tally.tightest = max(tally.tightest, outcome.peak / outcome.room)
            if outcome.peak > tally.peak:
                tally.peak, tally.peak_input = outcome.peak, len(data)
    return tally


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tally = fuzz(options.inputs, options.seed)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    sys.stdout.write(
        f"{tally.table()}\n"
        f"| the process grew by | {grown / 1024:.0f} MiB |\n"
        f"| seconds | {time.monotonic() - began:.0f} |\n"
    )


if __name__ == "__main__":
    main()
