"""Every error that gpumodels raises on purpose, in one tree.

GpumodelsError
├── ModelNotFound            no model of that name, or a path that is no model folder
├── ModelFolderError         a model.toml with a mistake: file, line, field
├── SettingsError            settings.toml or a GPUMODELS_ variable with a mistake: file, line, key
├── WeightsError             weights cannot be fetched, or are not the ones that were pinned
├── DeviceError              an unknown GPU, one outside the allow-list, or one that is full
├── RuntimeDirectoryError    the runtime directory cannot be used
├── EngineError              an engine could not do what was asked
│   ├── EngineUnavailable    no Docker, no permission, no such engine
│   ├── BaseImageUnavailable Docker answers, but no base image can be had
│   ├── BuildFailed          building an image or an environment failed: the failing step's last lines
│   └── LeaseUnseen          the engine does not see our files, so it cannot watch the lease
├── LoadError                a load did not end in a ready model
│   ├── LoadRefused          what was asked for makes no sense: a timeout below 0, a setting that is no text
│   ├── LoadFailed           the model's own code failed, or its server died: its traceback or log's tail
│   ├── LoadTimeout          not ready within the time given (also a TimeoutError)
│   └── LoadCancelled        the user stopped it (also a KeyboardInterrupt, so that a run of cells stops)
└── CallError                a call on a loaded model
    ├── InputError           the inputs do not fit what the model declares (also a TypeError)
    ├── ModelCallError       the model's code raised: message and remote traceback
    ├── CallTimeout          no answer within the time given (also a TimeoutError)
    └── ModelGone            the model server is dead: the log's tail
        └── ModelStopped     it was stopped on purpose: by whom and when

Foreign errors (docker, grpc, NVML) are translated in the room that touches them. Every message is one clear
sentence or two: what happened, to which model, and what to do next.
"""

from __future__ import annotations


class GpumodelsError(Exception):
    """The root: catch this for everything that gpumodels raises on purpose."""


class ModelNotFound(GpumodelsError):
    """No model of that name, or a path that is no model folder."""


class ModelFolderError(GpumodelsError):
    """A model folder's `model.toml` has a mistake; the message names file, line and field."""


class SettingsError(GpumodelsError):
    """A `settings.toml` or a GPUMODELS_ variable has a mistake; the message names file, line and key."""


class WeightsError(GpumodelsError):
    """Weights cannot be fetched, or are not the ones that were pinned."""


class DeviceError(GpumodelsError):
    """An unknown GPU, one that the administrator's allow-list excludes, or one that is full."""


class RuntimeDirectoryError(GpumodelsError):
    """The runtime directory cannot be used: wrong owner, wrong type, wrong filesystem."""


class EngineError(GpumodelsError):
    """An engine could not do what was asked."""


class EngineUnavailable(EngineError):
    """The engine is not there for this user: no Docker, no permission, no such engine."""


class BaseImageUnavailable(EngineError):
    """Docker answers, but the base image is neither here nor to be pulled."""


class BuildFailed(EngineError):
    """Building an image or an environment failed; the message ends with the failing step's last lines."""


class LeaseUnseen(EngineError):
    """What the engine started does not see this machine's files, so the lease could not end it."""


class LoadError(GpumodelsError):
    """A load did not end in a ready model; nothing of it is left."""


class LoadRefused(LoadError, ValueError):
    """What was asked for makes no sense, so nothing was begun."""


class LoadFailed(LoadError):
    """The model's own code failed in `load`, or its server died; the message holds the traceback or log's tail."""

    #: Whether somebody stopped it while it was loaded, so that nothing is wrong with it.
    stopped = False


class LoadTimeout(LoadError, TimeoutError):
    """The model was not ready within the time given."""


class LoadCancelled(LoadError, KeyboardInterrupt):
    """The user stopped the load; nothing is left of it."""


class CallError(GpumodelsError):
    """A call on a loaded model failed."""


class InputError(CallError, TypeError):
    """The inputs do not fit what the model declares."""


class ModelCallError(CallError):
    """The model's code raised; `remote_traceback` is the text of its traceback."""

    def __init__(self, message: str, remote_traceback: str = "") -> None:
        super().__init__(message)
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n\n{self.remote_traceback.rstrip()}" if self.remote_traceback else message


class CallTimeout(CallError, TimeoutError):
    """The model gave no answer within the time given; the call was cancelled."""


class ModelGone(CallError):
    """The model server is dead; the message ends with its log's tail."""

    #: Whether the call may have begun there; one that cannot have may be made once more elsewhere.
    begun = True


class ModelStopped(ModelGone):
    """The model was stopped on purpose; the message says by whom and when."""
