"""Pruning images on a real Docker daemon. Only images of the models of these tests are removed."""

from __future__ import annotations

import io
import secrets
from contextlib import suppress

import docker
import pytest

import gpumodels
from gpumodels.cleanup import prune
from gpumodels.engines.docker import labels
from tests.leftovers import until

CODE = "class Model:\n    def load(self, device: str) -> None: pass\n    def predict(self, x: int) -> int: return x\n"


@pytest.fixture
def client():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def folder(tmp_path, client):
    """A model folder with a random name, so that nothing else has its images."""
    path = tmp_path / f"prunetest-{secrets.token_hex(4)}"
    path.mkdir()
    (path / "model.toml").write_text(f'name = "{path.name}"\n')
    (path / "model.py").write_text(CODE)
    yield path

    def removed():
        left = client.images.list(filters={"label": f"{labels.MODEL}={path.name}"})
        for image in left:
            with suppress(docker.errors.APIError):  # an image can be removed only after those built on it
                client.images.remove(image.id, force=True)
        return not left

    until(removed)


def found(name):
    return [item for item in prune.survey(["images"]).items if name in item.name]


def test_images_stay_while_a_container_is_made_of_them_and_go_afterwards(folder, client):
    """Check with two images: the environment of the model's own Dockerfile, and the model image built on it."""
    (folder / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN head -c 1000000 /dev/urandom >/blob\n")
    with gpumodels.load(folder, gpu="none", engine="docker") as model:
        items = found(folder.name)
        assert len(items) == 2
        assert {item.used_by for item in items} == {f"container gpumodels-{model.record.id}"}
        assert prune.remove_unused(items).removed == 0
        assert found(folder.name) == items
        assert model(3) == 3
    items = found(folder.name)
    assert {item.used_by for item in items} == {""}
    assert all("/" in item.name for item in items)
    done = prune.remove_unused(items)
    assert (done.removed, done.troubles) == (2, ())
    assert done.freed > 1_000_000
    assert client.images.list(filters={"label": f"{labels.MODEL}={folder.name}"}) == []
    assert found(folder.name) == []


def test_an_image_that_somebody_built_on_ours_is_not_ours(folder, client):
    gpumodels.load(folder, gpu="none", engine="docker").stop()
    ours = next(item.name for item in found(folder.name) if "-environment" not in item.name)
    theirs = f"{folder.name}-theirs:1"
    client.images.build(fileobj=io.BytesIO(f"FROM {ours}\nLABEL their=1\n".encode()), tag=theirs, rm=True)
    assert client.images.get(theirs).labels[labels.MODEL] == folder.name
    assert theirs not in [item.name for item in found(folder.name)]


def test_the_base_image_is_never_listed(client):
    assert [item for item in prune.survey(["images"]).items if "/base:" in item.name] == []
