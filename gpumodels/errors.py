"""All errors that gpumodels raises on purpose, in one tree.

GpumodelsError
├── ModelNotFound            no model has that name, or the path is not a model folder
├── ModelFolderError         a mistake in a model.toml: file, line, field
├── SettingsError            a mistake in settings.toml or in a GPUMODELS_ variable: file, line, key
├── WeightsError             weights cannot be fetched, or differ from the pinned ones
├── DeviceError              a GPU is unknown, not allowed, or full
├── RuntimeDirectoryError    the runtime directory cannot be used
├── EngineError              an engine failed
│   ├── EngineUnavailable    no Docker, no permission, no such engine
│   ├── BaseImageUnavailable Docker answers, but there is no base image
│   ├── BuildFailed          an image or environment could not be built: the last lines of the step that failed
│   └── LeaseUnseen          the engine does not see the files of this machine, so it cannot watch the lease
├── LoadError                a load did not end in a ready model
│   ├── LoadRefused          an option is not valid, such as a negative timeout (also a ValueError)
│   ├── LoadFailed           the model's code failed, or its server died: traceback or last lines of the log
│   ├── LoadTimeout          the model was not ready in time (also a TimeoutError)
│   └── LoadCancelled        the user stopped the load (also a KeyboardInterrupt, so that a run of cells stops)
└── CallError                a call on a loaded model failed
    ├── InputError           the inputs do not fit the declared ones (also a TypeError)
    ├── ModelCallError       the model's code raised: message and remote traceback
    ├── CallTimeout          no answer in time (also a TimeoutError)
    └── ModelGone            the model server is dead: the last lines of its log
        └── ModelStopped     somebody stopped the model: by whom and when

Errors of other libraries (docker, grpc, NVML) are translated in the package that uses the library. Every message is one
or two sentences with the event, the name of the model, and the next step.
"""

from __future__ import annotations


class GpumodelsError(Exception):
    """The base of all errors that gpumodels raises on purpose. Catch it to catch all of them."""


class ModelNotFound(GpumodelsError):
    """The error if no model has the name that you gave, or the path is not a model folder.

    The message names models with similar names, if there are any. `gpumodels models` lists the catalog, `gpumodels ps`
    the running models.
    """


class ModelFolderError(GpumodelsError):
    """The error for a mistake in the `model.toml` of a model folder.

    The message names file, line and field, and what the field allows. Correct the file and load again.
    """


class SettingsError(GpumodelsError):
    """The error for a mistake in a `settings.toml` or in an environment variable that begins with GPUMODELS_.

    The message names file, line and key, or the variable, and what is allowed. Correct the setting and try again.
    """


class WeightsError(GpumodelsError):
    """The error if weights cannot be fetched, or differ from the ones that are pinned in `model.toml`.

    The message names the file and the reason, such as no network, a full disk or another SHA-256.
    """


class DeviceError(GpumodelsError):
    """The error if there is no such GPU, your administrator does not allow it, or none has enough free memory.

    If memory is short, the message names the holders and the ways to free memory. `%gpus` shows all holders.
    """


class RuntimeDirectoryError(GpumodelsError):
    """The error if the runtime directory cannot be used: not yours, open to others, full, or on a network filesystem.

    Make it usable, as the message says, or set GPUMODELS_RUNTIME_DIR to another directory.
    """


class EngineError(GpumodelsError):
    """The error if an engine (Docker or the process engine) failed to build, start, reach or remove something."""


class EngineUnavailable(EngineError):
    """The error if you cannot use an engine: no Docker, no permission, or no engine of that name.

    With `engine="auto"` another engine runs the model if there is one. Otherwise `engine="process"` needs no Docker.
    """


class BaseImageUnavailable(EngineError):
    """The error if Docker answers, but the base image is not on this machine and cannot be pulled.

    The message describes how to make the base image. `engine="process"` needs no image.
    """


class BuildFailed(EngineError):
    """The error if an image or an environment could not be built.

    The message ends with the last lines of the step that failed. Correct the requirements or the Dockerfile of the
    model folder.
    """


class LeaseUnseen(EngineError):
    """The error if the instance cannot see the files of this machine, so it would not end when nobody holds its lease.

    This happens if Docker runs on another machine, or if your kernel is itself in a container. Use `engine="process"`.
    """


class LoadError(GpumodelsError):
    """The base of the errors of a load that did not end in a ready model. What the load had started was removed."""


class LoadRefused(LoadError, ValueError):
    """The error if an option of a load is not valid. It is raised before anything has begun, and is a ValueError too.

    The message names the option and what it allows.
    """


class LoadFailed(LoadError):
    """The error if the model's own code failed while it was loaded, or its server died.

    The message holds the traceback or the last lines of the log. Correct the cause and load again.

    Attributes
    ----------
    stopped : bool
        True if somebody stopped the model while it was loaded, so that nothing is wrong with it. The default is False.

    """

    stopped = False


class LoadTimeout(LoadError, TimeoutError):
    """The error if a model was not ready in time. It is a TimeoutError too.

    The message ends with the last lines of its log. Load it again with a longer `timeout`, which is 10 minutes by
    default.
    """


class LoadCancelled(LoadError, KeyboardInterrupt):
    """The error if you stop a load. It is a KeyboardInterrupt too, so that Jupyter does not run the cells after it."""


class CallError(GpumodelsError):
    """The error if a call on a loaded model failed, and the base of all other errors of calls."""


class InputError(CallError, TypeError):
    """The error if the inputs of a call do not fit the declared ones. It is a TypeError too.

    The message names the input, its declared dtype and shape, and what you gave. `model?` shows the declared inputs.
    """


class ModelCallError(CallError):
    """The error if the model's code raised an exception during a call. The model stays loaded; call it again.

    Attributes
    ----------
    remote_traceback : str
        The traceback of the exception in the model server, or "" if there is none. `str(error)` contains it.

    """

    def __init__(self, message: str, remote_traceback: str = "") -> None:
        super().__init__(message)
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n\n{self.remote_traceback.rstrip()}" if self.remote_traceback else message


class CallTimeout(CallError, TimeoutError):
    """The error if a model did not answer within the `timeout` of a call. It is a TimeoutError too.

    The call was cancelled in the model server. The model stays loaded; call it again, with a longer `timeout`.
    """


class ModelGone(CallError):
    """The error if the model server is dead or does not answer. Load the model again.

    If the server died, the message names the cause and ends with the last lines of its log.

    Attributes
    ----------
    begun : bool
        True if the call may have begun in the model server. If it is False, the call has certainly not begun, and it is
        safe to repeat it elsewhere. The default is True.

    """

    begun = True


class ModelStopped(ModelGone):
    """The error if you call a model that somebody stopped.

    The message names who stopped the model and when, and the `%load_model` line that loads it again.
    """
