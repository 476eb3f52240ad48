"""The keeper, under the name that kernels with an older gpumodels start it by."""

from __future__ import annotations

import sys

from gpumodels.cleanup.keeper import main

if __name__ == "__main__":
    main(sys.argv[1:])
