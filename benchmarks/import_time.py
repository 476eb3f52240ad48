"""Measure the time of `import gpumodels`.

    python benchmarks/import_time.py [RUNS]

The time is the median over fresh interpreters, minus that of an interpreter that does nothing. Target: under 50 ms, and
without importing docker, grpc, numpy or anything of Jupyter.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

TARGET = 0.050  # seconds
UNWANTED = ("docker", "grpc", "numpy", "IPython", "ipywidgets", "jupyter_server", "jupyterlab", "pynvml", "PIL")


def seconds(code: str) -> float:
    """Return the seconds that a fresh interpreter takes for `code`, from its start to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def imported(code: str) -> list[str]:
    """Return the unwanted packages that `code` imports."""
    program = f"{code}; import sys; print(*[name for name in {UNWANTED!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", program], check=True, text=True, capture_output=True).stdout.split()


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    bare, ours = [], []
    for _ in range(runs):  # in turns, so that other load on the machine affects both
        bare.append(seconds("pass"))
        ours.append(seconds("import gpumodels"))
    cost = statistics.median(ours) - statistics.median(bare)
    unwanted = imported("import gpumodels")
    print(f"import gpumodels   {cost * 1e3:6.1f} ms beyond a bare interpreter ({statistics.median(bare) * 1e3:.1f} ms)")
    print(f"imports unwanted   {', '.join(unwanted) or 'none'}")
    print(
        f"target             {TARGET * 1e3:6.1f} ms and none: {'met' if cost < TARGET and not unwanted else 'missed'}"
    )
    return 0 if cost < TARGET and not unwanted else 1


if __name__ == "__main__":
    sys.exit(main())
