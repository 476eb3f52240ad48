"""`python -m gpumodels.server --folder DIR --entry model:Model --device cpu --socket DIR [--name NAME]`.

Binds its sockets in the directory first (live), then imports the author's class and loads it (ready), then runs calls
on this, the main thread. Shared memory that gRPC clients register lies in `GPUMODELS_SHM` (default /dev/shm; empty:
there is none). With `GPUMODELS_TOKEN` another socket is bound for those who show that token, and what they register may
also lie in `GPUMODELS_SHM_PEERS`. SIGTERM ends the process by its default action, so that code which holds the GIL ends
as well. Exit code 3: the model's own code failed before it was ready.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import inspect
import os
import resource
import signal
import sys
import time
import tomllib
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import grpc

from gpumodels.protocol import files, methods
from gpumodels.server.calls import Model, log, summary
from gpumodels.server.contract import ContractError, check_takes, find_class, find_method
from gpumodels.server.hints import infer_inputs, infer_outputs
from gpumodels.server.lane import CallQueue, Lane
from gpumodels.server.limits import limit_frameworks
from gpumodels.server.memory import SharedMemory
from gpumodels.server.servicer import Servicer
from gpumodels.server.source import import_from
from gpumodels.server.statistics import Statistics
from gpumodels.server.token import TokenRequired
from gpumodels.signature import Signature

LOAD_FAILED = 3

#: Each waiting call keeps one of gRPC's threads.
_THREADS = 128

_MOST_FILES = 1 << 14  # descriptors; each region that is mapped takes one


def main() -> NoReturn:
    """Serve until ended."""
    began = time.monotonic()
    options = _options()
    faulthandler.enable(all_threads=False)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # an author's print belongs in the log now
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    _raise_limits()
    calls = CallQueue()
    token = os.environ.pop("GPUMODELS_TOKEN", "")  # not for what the author's code starts or prints
    idle = float(os.environ.pop("GPUMODELS_IDLE", "inf"))  # as a setting of the author's own loads it would mislead
    memory = SharedMemory(
        os.environ.get("GPUMODELS_SHM", "/dev/shm"),  # noqa: S108 (the protocol's place)
        os.environ.get("GPUMODELS_SHM_PEERS", ""),
    )
    lane = Lane(files.open_directory(options.socket))  # first: who sees gRPC's socket and no other knows us for another
    name = options.name or options.folder.resolve().name
    servicer = Servicer(name, memory, calls, lambda: lane.waiting(calls))
    server = _bind(servicer, options.socket)  # noqa: F841 (ends with its last reference)
    if token:
        guarded = _bind(servicer, options.socket, token)  # noqa: F841 (as well)
    try:
        loaded = _load(options)
        signature = _signature(options.folder, loaded)
        model = Model(servicer.name, loaded.predict, signature, Statistics())
    except BaseException as error:  # noqa: BLE001 (whatever it is, the instance ends and its log says why)
        told = isinstance(error, ContractError)  # no traceback says more than its one sentence
        if not told:
            traceback.print_exc()
        log(f"{servicer.name} failed to load: {error if told else summary(error)}")
        sys.stdout.flush()
        os._exit(LOAD_FAILED)  # threads that the author's code left behind must not hold this up
    log(f"{servicer.name} is ready after {time.monotonic() - began:.1f} s: {model.signature}")
    servicer.model = model
    lane.run_forever(model, calls, idle)


def _interrupted(*_: object) -> NoReturn:
    """Ctrl-C ends the server, here and not by KeyboardInterrupt: one that `predict` raises is its caller's to see."""
    os._exit(128 + signal.SIGINT)  # threads that wait for calls which nobody runs now must not hold this up


def _raise_limits() -> None:
    """Have as many files open as we may: the customary 1024 are too few for many clients with many regions."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY:
        wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, wanted), most))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpumodels.server", allow_abbrev=False)
    parser.add_argument("--folder", type=Path, required=True, help="the model folder")
    parser.add_argument("--entry", default="model:Model", help="module:Class inside the folder")
    parser.add_argument("--device", default="cpu", help="what load() is given: cpu or cuda")
    parser.add_argument("--socket", type=Path, required=True, help="directory in which the sockets are bound")
    parser.add_argument("--name", default="", help="the model's name; default: the folder's")
    return parser.parse_args()


def _bind(servicer: Servicer, directory: Path, token: str = "") -> grpc.Server:
    """Serve on the socket, which only this user may connect to; with a token on the peers', for those who show it."""
    server = grpc.server(
        ThreadPoolExecutor(_THREADS, "grpc"),
        interceptors=[TokenRequired(token)] if token else None,
        options=methods.CHANNEL_OPTIONS,
    )
    server.add_generic_rpc_handlers((methods.handler(servicer),))
    descriptor = files.open_directory(directory)
    name = files.PEERS_SOCKET_NAME if token else files.SOCKET_NAME
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{files.socket_path(descriptor, name)}")
    finally:
        os.umask(before)
    server.start()
    return server


def _load(options: argparse.Namespace) -> Any:
    import_from(options.folder.resolve())
    limit_frameworks()
    module, _, name = options.entry.partition(":")
    model = find_class(importlib.import_module(module), name)()
    find_method(model, "load")(options.device)
    return model


def _signature(folder: Path, model: Any) -> Signature:
    """What `model.toml` declares, or what the hints of `predict` say where it declares nothing."""
    path = folder / "model.toml"
    tables = tomllib.loads(path.read_text("utf-8-sig")) if path.is_file() else {}
    declared = Signature.from_tables(tables.get("inputs", ()), tables.get("outputs", ()))
    predict = find_method(model, "predict")
    if declared.inputs:
        check_takes(predict, declared.inputs)
    stream = inspect.isgeneratorfunction(inspect.unwrap(predict))
    return Signature(declared.inputs or infer_inputs(predict), declared.outputs or infer_outputs(predict), stream)


if __name__ == "__main__":
    main()
