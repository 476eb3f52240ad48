"""Throw nearly right requests at the server's decoder: `python -m tests.fuzz.decoder --inputs 1000000 --seed 1`."""

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
    """What became of all inputs; the largest allocation, and its request; the largest part of what is allowed."""

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    peak: int = 0
    peak_input: int = 0
    tightest: float = 0.0

    def table(self) -> str:
        """The figures as a Markdown table."""
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
    """Decode so many requests; raises at the first that does what none may, after showing it."""
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
    """The command line."""
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
