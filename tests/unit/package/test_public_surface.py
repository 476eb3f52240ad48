"""`import gpumodels` is fast, lists all public names, and works on every system."""

import json
import subprocess
import sys

import gpumodels


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_every_public_name_exists_and_the_list_is_sorted():
    assert gpumodels.__all__ == sorted(gpumodels.__all__)
    assert all(getattr(gpumodels, name) is not None for name in gpumodels.__all__)
    assert dir(gpumodels) == gpumodels.__all__


def test_importing_loads_none_of_the_heavy_packages():
    loaded = json.loads(python("import gpumodels, json, sys; print(json.dumps(sorted(sys.modules)))"))
    heavy = {
        "docker", "grpc", "numpy", "jupyter", "jupyter_server", "IPython", "PIL", "pynvml", "requests", "tornado",
        "msgspec", "tomllib",
    }  # fmt: skip
    assert not heavy & {name.partition(".")[0] for name in loaded}


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(gpumodels, "nonsense")


def test_outside_of_linux_importing_works_and_loading_raises():
    said = python(
        "import sys; sys.platform = 'darwin'\n"
        "import gpumodels\n"
        "assert gpumodels.GpumodelsError and gpumodels.__version__\n"
        "for ask in (lambda: gpumodels.load, lambda: gpumodels.load_ipython_extension(None)):\n"
        "    try: ask()\n"
        "    except gpumodels.EngineError as error: print(error)\n"
    )
    assert said.count("gpumodels runs models on Linux only, and this is darwin") == 2
