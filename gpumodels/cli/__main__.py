"""`python -m gpumodels.cli`."""

import sys

from gpumodels.cli import main

sys.exit(main())
