"""`python -m gpumodels.server --folder DIR --entry model:Model --device cpu --socket DIR [--name NAME]`.

The server binds its sockets in the directory first (live), imports the author's class and loads it (ready), and then
runs calls on the main thread. The environment configures the rest:

- `GPUMODELS_SHM`: where shared memory of gRPC clients lies; default /dev/shm, empty for none.
- `GPUMODELS_TOKEN`: bind a second socket, for clients that show this token.
- `GPUMODELS_SHM_PEERS`: where shared memory of those clients may lie as well.
- `GPUMODELS_IDLE`: seconds without a call after which the server ends to sleep.

SIGTERM ends the process by its default action, so that code which holds the GIL ends as well. Exit code 3: the model's
own code failed before it was ready.
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

#: Each waiting call keeps one of gRPC's threads.
_THREADS = 128

_MOST_FILES = 1 << 14  # descriptors; each region that is mapped takes one


def main(make_scheduler: Callable[[Model], Scheduler] = SerialScheduler) -> NoReturn:
    """Serve until the process is ended.

    Parameters
    ----------
    make_scheduler : callable
        Makes the scheduler of the loaded model.

    """
    began = time.monotonic()
    options = _options()
    _prepare_process()
    token = os.environ.pop("GPUMODELS_TOKEN", "")  # the author's code must neither inherit nor print it
    idle = float(os.environ.pop("GPUMODELS_IDLE", "inf"))  # nor take it for the setting of models that it loads itself
    memory = SharedMemory(
        os.environ.get("GPUMODELS_SHM", "/dev/shm"),  # noqa: S108 (the protocol's place)
        os.environ.get("GPUMODELS_SHM_PEERS", ""),
    )
    lane = Lane(files.open_directory(options.socket))  # first: a client that finds gRPC's socket alone uses gRPC
    servicer = Servicer(options.name or options.folder.resolve().name, memory, lane.unread)
    server = _bind(servicer, options.socket)  # noqa: F841 (ends with its last reference)
    if token:
        guarded = _bind(servicer, options.socket, token)  # noqa: F841 (as well)
    model = _load_or_exit(options, servicer.name)
    log(f"{model.name} is ready after {time.monotonic() - began:.1f} s: {model.signature}")
    scheduler = make_scheduler(model)
    install(scheduler)
    servicer.scheduler = scheduler
    lane.run_forever(scheduler, idle)


def _prepare_process() -> None:
    faulthandler.enable(all_threads=False)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # an author's print belongs in the log now
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    _raise_limits()


def _interrupted(*_: object) -> NoReturn:
    """End the server on Ctrl-C. Not by KeyboardInterrupt: one that `predict` raises belongs to its caller."""
    os._exit(128 + signal.SIGINT)  # gRPC's threads wait for calls that nobody runs any more, and would hold this up


def _raise_limits() -> None:
    """Allow as many open files as the system lets us: many clients with many regions need more than the usual 1024."""
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
    """Serve on a socket that only this user may connect to: with a token on the peers', for clients that show it."""
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
    """Load the author's class, or end the process with the reason in its log."""
    try:
        loaded = _load(options)
        signature = _signature(options.folder, loaded)
        return Model(name, loaded.predict, signature)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the instance ends and its log says why)
        one_sentence = isinstance(error, ContractError)  # a traceback would add nothing
        if not one_sentence:
            traceback.print_exc()
        log(f"{name} failed to load: {error if one_sentence else summary(error)}")
        sys.stdout.flush()
        os._exit(LOAD_FAILED)  # threads that the author's code left behind must not hold this up


def _load(options: argparse.Namespace) -> Any:
    import_from(options.folder.resolve())
    limit_frameworks()
    module, _, name = options.entry.partition(":")
    model = find_class(importlib.import_module(module), name)()
    find_method(model, "load")(options.device)
    return model


def _signature(folder: Path, model: Any) -> Signature:
    """Return what `model.toml` declares; where it declares nothing, what the hints of `predict` say."""
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
