"""The keeper under its former name, by which kernels with an older gpumodels start it."""

from __future__ import annotations

import sys

from gpumodels.cleanup.keeper import main

if __name__ == "__main__":
    main(sys.argv[1:])
