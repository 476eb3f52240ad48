"""A child process that loads the benchmark's model with the gpumodels of a checkout. `latency.py --against` uses two.

python -m peers.checkout CHECKOUT ENGINE
"""

from __future__ import annotations

import sys
from pathlib import Path

from peers.child import obey
from peers.timing import payloads, times


def main() -> None:
    checkout, engine = Path(sys.argv[1]).resolve(), sys.argv[2]
    sys.path.insert(0, str(checkout))
    import gpumodels  # noqa: PLC0415  (of the checkout)

    assert Path(gpumodels.__file__).is_relative_to(checkout), gpumodels.__file__
    arrays = payloads()
    with gpumodels.load(checkout / "notebooks/models/pixel", gpu="none", engine=engine) as model:
        obey(lambda name, calls: times(model, arrays[name], int(calls)))


if __name__ == "__main__":
    main()
