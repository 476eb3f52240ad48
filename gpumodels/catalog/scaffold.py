"""`gpumodels new`: a copy of the model folder in `template/`, which can be loaded without a change."""

from __future__ import annotations

import shutil
from pathlib import Path

from gpumodels.catalog.folder import NAME, NAME_RULE
from gpumodels.document import shown
from gpumodels.errors import ModelFolderError

_TEMPLATE = Path(__file__).parent / "template"
_FILES = ("model.toml", "model.py", "README.md")
#: The name of the model in the template, which is a valid model folder too.
_PLACEHOLDER = "my-model"


def new(name: str, parent: Path) -> Path:
    """Make the model folder `parent/name` and return its path.

    Raises ModelFolderError if the name is not allowed, or if the folder exists or cannot be written.
    """
    if not NAME.fullmatch(name):
        raise ModelFolderError(f"{name!r} cannot be the name of a model; a name is made of {NAME_RULE}")
    folder = parent / name
    try:
        folder.mkdir()
    except FileExistsError:
        raise ModelFolderError(f"{shown(folder)} exists already; choose another name or directory") from None
    except OSError as error:
        raise ModelFolderError(f"cannot make {shown(folder)}: {error.strerror}") from None
    try:
        for file in _FILES:
            text = (_TEMPLATE / file).read_text(encoding="utf-8")
            (folder / file).write_text(text.replace(_PLACEHOLDER, name), encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ModelFolderError(f"cannot write {shown(folder)}: {error.strerror}") from None
    return folder
