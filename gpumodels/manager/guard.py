"""The guard under its former name, by which kernels with an older gpumodels start it."""

from __future__ import annotations

import sys

from gpumodels.cleanup.guard import main

if __name__ == "__main__":
    main(sys.argv[1:])
