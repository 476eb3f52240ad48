"""The keeper under its old name, for kernels with an older gpumodels."""

from __future__ import annotations

import sys

from gpumodels.cleanup.keeper import main

if __name__ == "__main__":
    main(sys.argv[1:])
