"""COUNT processes of one user that place one instance each at the same moment: `crowd.py PLACE FOLDER COUNT`.

Each process runs the placement step of a load with the fake engine: it chooses the device, and makes the instance and
its lease, but starts nothing. The program prints "ready" when all processes are ready. They wait for the file PLACE/go,
and keep their instances until standard input ends. For each process the program prints the index of its GPU, or the
error.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from gpumodels import catalog, engines
from gpumodels.devices import devices, reservations
from gpumodels.errors import DeviceError
from gpumodels.instances import runtime_directory
from gpumodels.loading.journal import LoadJournal
from gpumodels.loading.placement import Placement
from gpumodels.loading.request import LoadRequest
from gpumodels.model import NullReport
from gpumodels.settings import settings


def place(spec, number):
    request = LoadRequest.of(spec.folder, {"engine": "fake"}, settings())
    runtime = runtime_directory()
    journal = LoadJournal(NullReport(), spec.name, request.line, runtime=runtime.path)
    placement = Placement(request, spec, f"fingerprint {number}", runtime, journal)
    try:
        chosen, attachment = placement.place(engines.engine("fake"))
    except DeviceError as error:
        return placement, None, str(error)
    return placement, attachment, str(chosen[0].index)


def main(shared, folder, count):
    reservations.PLACE = Path(shared)
    spec = catalog.find(Path(folder))
    read, write = os.pipe()
    done_read, done_write = os.pipe()
    children = []
    for number in range(int(count)):
        if not (child := os.fork()):
            os.close(done_write)
            devices()  # a load has started the driver before it places
            os.write(write, b"\n")
            while not Path(shared, "go").exists():
                time.sleep(0.001)
            placement, attachment, found = place(spec, number)
            os.write(write, found.encode() + b"\n")
            os.read(done_read, 1)
            placement.close()
            if attachment is not None:
                attachment.end()
            os._exit(0)
        children.append(child)
    os.close(write)
    lines = os.fdopen(read)
    for _ in children:
        lines.readline()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in children:
        sys.stdout.write(lines.readline())
        sys.stdout.flush()
    sys.stdin.read()
    os.close(done_write)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
