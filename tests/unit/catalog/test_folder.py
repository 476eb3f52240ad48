"""Model folders: every field is read, and every mistake is reported with file, line and field."""

from __future__ import annotations

import shutil

import pytest

from gpumodels.catalog.discovery import find
from gpumodels.catalog.folder import folder_files, read_folder
from gpumodels.catalog.spec import Weights
from gpumodels.errors import ModelFolderError, ModelNotFound
from gpumodels.signature import TensorSpec

SHA = "ab" * 32

FULL = f"""
name = "fish"
summary = "Counts fish"
licence = "MIT"
entry = "code.main:Fish"
grace = 2
memory = "1.5 GiB"

[requirements]
cpu = ["numpy>=2", "onnxruntime==1.20"]
gpu = ["onnxruntime-gpu[cuda,cudnn]==1.20"]

[[weights]]
file = "deep/fish.bin"
source = "pypi:fishy==1.0"
member = "fishy-1.0/fish.bin"
sha256 = "{SHA.upper()}"
archive = "{SHA}"
licence = "MIT"
provenance = "the sea"

[[weights]]
file = "list.txt"
source = "data/list.txt"
sha256 = "{SHA}"

[[inputs]]
name = "image"
dtype = "uint8"
shape = ["H", "W", 3]
kind = "image"

[[outputs]]
name = "count"
dtype = "int64"
shape = []

[env]
OMP_NUM_THREADS = "2"
"""


def test_every_field_is_read(folder):
    place = folder(FULL)
    (place / "code").mkdir()
    (place / "code" / "main.py").touch()
    spec = read_folder(place)
    assert (spec.name, spec.summary, spec.licence, spec.entry) == ("fish", "Counts fish", "MIT", "code.main:Fish")
    assert (spec.folder, spec.grace, spec.memory) == (place, 2.0, 1610612736)
    assert spec.requirements("cpu") == ("numpy>=2", "onnxruntime==1.20")
    assert spec.requirements("gpu") == ("onnxruntime-gpu[cuda,cudnn]==1.20",)
    assert spec.weights == (
        Weights("deep/fish.bin", "pypi:fishy==1.0", SHA, "fishy-1.0/fish.bin", SHA, "MIT", "the sea"),
        Weights("list.txt", "data/list.txt", SHA),
    )
    assert spec.signature.inputs == (TensorSpec("image", "uint8", ("H", "W", 3), "image"),)
    assert spec.signature.outputs == (TensorSpec("count", "int64", ()),)
    assert spec.env == (("OMP_NUM_THREADS", "2"),)
    assert hash(spec) == hash(read_folder(place))


def test_only_the_name_is_required(folder):
    spec = read_folder(folder())
    assert (spec.entry, spec.signature, spec.memory, spec.grace) == ("model:Model", None, 0, 1.0)
    assert spec.weights == spec.env == spec.requirements("cpu") == spec.requirements("gpu") == ()


def test_one_list_of_requirements_serves_cpu_and_gpu(folder):
    spec = read_folder(folder('name = "fish"\nrequirements = ["numpy"]'))
    assert spec.requirements("cpu") == spec.requirements("gpu") == ("numpy",)


@pytest.mark.parametrize(("text", "size"), [("1 KB", 1000), ("2MiB", 2 << 20), ("0.5 TB", 5 * 10**11), ("7 B", 7)])
def test_memory_is_read_in_the_usual_units(folder, text, size):
    assert read_folder(folder(f'name = "fish"\nmemory = "{text}"')).memory == size


def test_a_file_saved_by_a_windows_editor_is_read(folder):
    place = folder()
    (place / "model.toml").write_bytes(b'\xef\xbb\xbfname = "fish"\r\nsummary = """a\r\nb"""\r\n')
    assert read_folder(place).summary == "a\nb"


NAME = 'name = "fish"\n'
WEIGHTS = f'{NAME}[[weights]]\nfile = "a"\nsource = "a"\nsha256 = "{SHA}"\n'
INPUT = f'{NAME}[[inputs]]\nname = "x"\ndtype = "uint8"\n'
MISTAKES = {
    "typo": (f'{NAME}\nsumary = "x"', 3, "sumary: unknown field; did you mean `summary`?"),
    "american": (f'{NAME}license = "x"', 2, "license: unknown field; did you mean `licence`?"),
    "case": (f'{NAME}Entry = "x"', 2, "Entry: unknown field; did you mean `entry`?"),
    "stranger": (f"{NAME}zzz = 1", 2, "zzz: unknown field; known are name, summary"),
    "no name": ('summary = "x"', 1, "name: missing"),
    "bad name": ('# a fish\nname = "My Fish"', 2, "name: must be lower-case letters"),
    "name no text": ("name = 3", 1, "name: must be text, not 3"),
    "long summary": (f'{NAME}summary = ["""\n"""]', 2, "summary: must be text"),
    "bad entry": (f'{NAME}entry = "model"', 2, 'entry: must be "module:Class"'),
    "entry without file": (f'{NAME}entry = "a.b:C"', 2, "entry: 'a.b:C' needs the file a/b.py"),
    "requirement": (
        f'{NAME}\n[requirements]\ncpu = []\ngpu = ["-r x"]',
        5,
        "requirements.gpu: '-r x' is no requirement",
    ),
    "requirements text": (f'{NAME}requirements = "numpy"', 2, "requirements: must be a list of texts"),
    "one flavour": (f"{NAME}[requirements]\ncpu = []", 2, "requirements.gpu: missing; give cpu and gpu"),
    "flavour": (f"{NAME}[requirements]\ncuda = []", 3, "requirements.cuda: unknown field"),
    "long list": (f'{NAME}requirements = [\n  "numpy",\n  "num py",\n]', 2, "requirements: 'num py' is no requirement"),
    "weights no table": (f'{NAME}weights = "x"', 2, "weights: must be tables that start with [[weights]]"),
    "weights typo": (f'{WEIGHTS}sha265 = "x"', 6, "weights[0].sha265: unknown field; did you mean `sha256`?"),
    "weights missing": (f'{WEIGHTS}[[weights]]\nfile = "b"\nsource = "b"', 6, "weights[1].sha256: missing"),
    "weights hash": (WEIGHTS.replace(SHA, "abc"), 5, "weights[0].sha256: must be a SHA-256"),
    "weights outside": (WEIGHTS.replace('"a"', '"../a"', 1), 3, "weights[0].file: must be a relative path without .."),
    "weights absolute": (WEIGHTS.replace('= "a"', '= "/a"', 1), 3, "weights[0].file: must be a relative path"),
    "weights twice": (WEIGHTS + WEIGHTS.removeprefix(NAME), 7, "weights[1].file: 'a' is declared twice"),
    "http": (WEIGHTS.replace('source = "a"', 'source = "http://a/b"'), 4, "weights[0].source: must be"),
    "source outside": (WEIGHTS.replace('source = "a"', 'source = "../a"'), 4, "weights[0].source: must be"),
    "no version": (WEIGHTS.replace('source = "a"', 'source = "pypi:a"'), 4, 'source: must be "pypi:NAME==VERSION"'),
    "no member": (WEIGHTS.replace('source = "a"', 'source = "pypi:a==1"'), 2, "weights[0].member: missing"),
    "member": (f'{WEIGHTS}member = "m"', 6, 'weights[0].member: only goes with a source "pypi:'),
    "dtype": (INPUT.replace("uint8", "unit8"), 4, "inputs[0].dtype: must be one of"),
    "second input": (INPUT + INPUT.removeprefix(NAME), 6, "inputs[1].name: 'x' is declared twice"),
    "input typo": (f"{INPUT}shap = [1]", 5, "inputs[0].shap: unknown field; did you mean `shape`?"),
    "outputs only": (INPUT.replace("inputs", "outputs"), 1, "inputs: missing; if outputs are declared"),
    "memory": (f'{NAME}memory = "much"', 2, 'memory: must be a size such as "1.5 GiB"'),
    "negative memory": (f"{NAME}memory = -1", 2, "memory: must be a size"),
    "grace": (f"{NAME}grace = 61", 2, "grace: must be a number of seconds from 0 to 60"),
    "grace nan": (f"{NAME}grace = nan", 2, "grace: must be a number"),
    "env number": (f"{NAME}[env]\nA = 1", 3, "env.A: must be text, not 1"),
    "env name": (f'{NAME}[env]\n"A-B" = ""', 3, "env.A-B: is no name for an environment setting"),
    "env of ours": (f'{NAME}[env]\nCUDA_VISIBLE_DEVICES = "0"', 3, "env.CUDA_VISIBLE_DEVICES: is set by gpumodels"),
    "env no table": (f"{NAME}env = 3", 2, "env: must be a table"),
    "dotted": (f"{NAME}env.A = 1", 2, "env.A: must be text"),
    "decoy": (f'{NAME}summary = """\ngrace = 1\n"""\ngrace = "x"', 5, "grace: must be a number"),
    "syntax": (f"{NAME}\nsummary =\n", 3, "not valid TOML: Invalid value"),
    "unclosed": (f'{NAME}summary = """a\nb\n', 3, "not valid TOML: Unterminated string"),
    "twice": (f'{NAME}name = "b"', 2, "not valid TOML: Cannot overwrite a value"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_reported_with_file_line_and_field(folder, monkeypatch, tmp_path, case):
    toml, line, reason = MISTAKES[case]
    folder(toml)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFolderError) as caught:
        read_folder(tmp_path / "fish")
    message = str(caught.value)
    assert message.startswith(f"fish/model.toml, line {line}: ")
    assert reason in message
    assert "\n" not in message


def test_bytes_that_are_not_text_are_reported_with_their_line(folder):
    place = folder()
    (place / "model.toml").write_bytes(b'name = "fish"\nsummary = "\xff"')
    with pytest.raises(ModelFolderError, match="line 2: not UTF-8"):
        read_folder(place)


def test_a_folder_without_code_is_no_model_folder(folder):
    place = folder()
    (place / "model.py").unlink()
    with pytest.raises(ModelNotFound, match=r"fish has no model\.py, .*`gpumodels new NAME` makes one"):
        read_folder(place)


def test_code_may_be_a_package(folder):
    place = folder()
    (place / "model.py").unlink()
    (place / "model").mkdir()
    (place / "model" / "__init__.py").touch()
    assert read_folder(place).entry == "model:Model"


def test_the_files_of_a_model_leave_out_weights_and_environments(folder):
    place = folder('name = "fish"\n[[weights]]\nfile = "w"\nsource = "data/w.bin"\nsha256 = "' + "0" * 64 + '"\n')
    for name in (
        ".git/HEAD", "__pycache__/model.pyc", ".ipynb_checkpoints/model.py", ".venv/lib/numpy.py", "mine/pyvenv.cfg",
        "mine/lib/numpy.py", "deep/__pycache__/x.pyc", "data/w.bin", "data/labels.txt", "deep/er.py", ".dockerignore",
    ):  # fmt: skip
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    (place / "dangling").symlink_to("nowhere")
    expected = [".dockerignore", "data/labels.txt", "deep/er.py", "model.py", "model.toml"]
    assert folder_files(read_folder(place)) == [(name, place / name) for name in expected]


def test_a_folder_that_was_removed_is_a_clear_error(folder):
    place = folder()
    spec = read_folder(place)
    shutil.rmtree(place)
    with pytest.raises(ModelFolderError, match="fish cannot be read: No such file or directory"):
        folder_files(spec)


def test_a_path_in_a_working_directory_that_was_deleted(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ModelNotFound, match=r"no folder mine \(in a working directory that was deleted\)"):
        find("./mine")
    with pytest.raises(ModelNotFound, match=f"no folder {tmp_path}/other that"):
        find(tmp_path / "other")
