"""The counts of benchmarks/structure.py on a small tree."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import structure

FILES = {
    "pyproject.toml": '[project]\nscripts = {gpumodels = "gpumodels.cli:main"}\n',
    "gpumodels/__init__.py": "",
    "gpumodels/cli.py": "from gpumodels.lease import held\n",
    "gpumodels/errors.py": "class Error(Exception):\n    '''What went wrong.'''\n",
    "gpumodels/lease/__init__.py": "from gpumodels.lease.held import take\n",
    "gpumodels/lease/held.py": "def take():\n    '''Take it from whoever has what we want.'''\n    return 1\n",
    "gpumodels/lease/locks.py": "def lock():\n    from gpumodels.errors import Error\n    raise Error\n",
    "gpumodels/lease/run.py": 'from gpumodels import lease\nif __name__ == "__main__":\n    lease.take()\n',
    "labextension/src/index.ts": "import { row } from './row';\n\n/** Who activates it. */\n"
    "export function activate(\n  app: App\n): void {\n  row(app);\n}\n",
    "labextension/src/row.ts": "export const row = (app: App): void => {\n  if (app) {\n    show(app);\n  }\n};\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_module_with_one_importer_is_named_unless_it_is_a_face_or_is_run(checkout):
    assert structure.one_importer(structure.python_modules(checkout)) == ["gpumodels.errors"]
    assert structure.one_importer(structure.typescript_modules(checkout)) == ["row"]


def test_an_import_from_outside_of_a_module_below_a_package_goes_past_its_face(checkout):
    assert structure.past_faces(structure.python_modules(checkout)) == {"gpumodels.lease": 1}


def test_functions_are_measured_with_their_docstrings(checkout):
    lengths = {module.name: module.functions for module in structure.python_modules(checkout) if module.functions}
    assert lengths == {"gpumodels.lease.held": [3], "gpumodels.lease.locks": [3]}
    assert [module.functions for module in structure.typescript_modules(checkout)] == [[5], [5]]


def test_docstrings_are_counted_by_their_words(checkout):
    rows = structure.words(structure.python_modules(checkout))
    assert rows == {
        "docstrings": "2",
        "clause words per docstring": "1.00",
        "open with What/Whether/Who/How": "50.0%",
    }


def test_the_table_has_a_column_for_each_checkout(checkout):
    command = [sys.executable, structure.__file__, str(checkout), str(checkout.parents[0] / checkout.name)]
    printed = subprocess.run(command, check=True, text=True, capture_output=True).stdout
    assert "modules / without __init__                 7 / 5" in printed
    assert "labextension/src/" in printed
