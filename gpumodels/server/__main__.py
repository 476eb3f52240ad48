"""The program of the model server.

    python -m gpumodels.server --folder DIR --entry model:Model --device cpu --socket DIR [--name NAME]

The server first binds its sockets in the directory `--socket`: it is live. It then imports the author's class and loads
it: it is ready. From then on it runs calls on the main thread. Environment variables configure the rest:

- `GPUMODELS_SHM`: the directory of gRPC clients' shared memory; default /dev/shm, empty for none.
- `GPUMODELS_TOKEN`: bind a second socket, for clients that send this token.
- `GPUMODELS_SHM_PEERS`: a second directory of shared memory, for those clients.
- `GPUMODELS_IDLE`: seconds without a call after which the server ends itself to sleep.

SIGTERM keeps its default action, so it also ends code that holds the GIL. The exit code is 3 if the author's code
failed before the model was ready.
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
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from gpumodels.protocol import files, methods
from gpumodels.server.calls import Model, log, summary
from gpumodels.server.contract import ContractError, check_takes, find_class, find_method
from gpumodels.server.hints import infer_inputs, infer_outputs
from gpumodels.server.lane import Lane
from gpumodels.server.limits import limit_frameworks
from gpumodels.server.memory import SharedMemory
from gpumodels.server.scheduler import Scheduler, SerialScheduler, install
from gpumodels.server.servicer import Servicer
from gpumodels.server.source import import_from
from gpumodels.server.token import TokenRequired
from gpumodels.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

LOAD_FAILED = 3

#: The number of gRPC's threads. Each waiting call occupies one.
_THREADS = 128

_MOST_FILES = 1 << 14  # open files, the limit that the server sets for itself; each mapped region takes one


def main(make_scheduler: Callable[[Model], Scheduler] = SerialScheduler) -> NoReturn:
    """Load the model and serve it until the process ends.

    Parameters
    ----------
    make_scheduler : callable
        A function that returns the scheduler of the loaded model.

    """
    began = time.monotonic()
    options = _options()
    _prepare_process()
    # Both variables are removed. The token is a secret, which the author's code could print or pass on. The idle time
    # would also apply to models that the author's code loads.
    token = os.environ.pop("GPUMODELS_TOKEN", "")
    idle = float(os.environ.pop("GPUMODELS_IDLE", "inf"))
    memory = SharedMemory(
        os.environ.get("GPUMODELS_SHM", "/dev/shm"),  # noqa: S108 (where clients with Triton's extension put files)
        os.environ.get("GPUMODELS_SHM_PEERS", ""),
    )
    # The lane binds its socket before gRPC does: a client that finds only gRPC's socket uses gRPC.
    lane = Lane(files.open_directory(options.socket))
    servicer = Servicer(options.name or options.folder.resolve().name, memory, lane.unread)
    server = _bind(servicer, options.socket)  # noqa: F841 (a gRPC server stops with its last reference)
    if token:
        guarded = _bind(servicer, options.socket, token)  # noqa: F841 (the same)
    model = _load_or_exit(options, servicer.name)
    log(f"{model.name} is ready after {time.monotonic() - began:.1f} s: {model.signature}")
    scheduler = make_scheduler(model)
    install(scheduler)
    servicer.scheduler = scheduler
    lane.run_forever(scheduler, idle)


def _prepare_process() -> None:
    faulthandler.enable(all_threads=False)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what the author prints is logged at once
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    _raise_limits()


def _interrupted(*_: object) -> NoReturn:
    """End the server on Ctrl-C.

    KeyboardInterrupt would not end it, because an exception during `predict` is sent to the client of the call.
    """
    os._exit(128 + signal.SIGINT)  # `sys.exit` would wait for gRPC's threads, which wait for calls that never end


def _raise_limits() -> None:
    """Raise the limit of open files. Many clients with many regions need more than the usual 1024."""
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
    """Serve gRPC on a socket in the directory, with access for this user only.

    With a token, bind `peers.sock` instead, and serve only calls that carry the token.
    """
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


def _load_or_exit(options: argparse.Namespace, name: str) -> Model:
    """Load the author's class. If that fails, log the reason and end the process."""
    try:
        loaded = _load(options)
        signature = _signature(options.folder, loaded)
        return Model(name, loaded.predict, signature)
    except BaseException as error:  # noqa: BLE001 (after any error the instance ends, with the reason in its log)
        one_sentence = isinstance(error, ContractError)  # a traceback would add nothing
        if not one_sentence:
            traceback.print_exc()
        log(f"{name} failed to load: {error if one_sentence else summary(error)}")
        sys.stdout.flush()
        os._exit(LOAD_FAILED)  # `sys.exit` would wait for threads that the author's code has started


def _load(options: argparse.Namespace) -> Any:
    import_from(options.folder.resolve())
    limit_frameworks()
    module, _, name = options.entry.partition(":")
    model = find_class(importlib.import_module(module), name)()
    find_method(model, "load")(options.device)
    return model


def _signature(folder: Path, model: Any) -> Signature:
    """Return the inputs and outputs that `model.toml` declares, or else those of the type hints of `predict`."""
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
