from __future__ import annotations

import subprocess
import sys

DELETED_LAST = """
import sys
from pathlib import Path
from gpumodels.protocol.files import Descriptor, open_directory
sys.excepthook = lambda *_, kept=Descriptor(open_directory(Path("/"))): None  # deleted when modules are empty already
"""


def test_a_descriptor_that_outlives_its_module_at_the_interpreters_end_prints_nothing():
    done = subprocess.run([sys.executable, "-c", DELETED_LAST], capture_output=True, text=True, check=True)
    assert done.stderr == ""
