"""The guard under its old name, for kernels with an older gpumodels."""

from __future__ import annotations

import sys

from gpumodels.cleanup.guard import main

if __name__ == "__main__":
    main(sys.argv[1:])
