"""Building images: new content, progress, and builds that fail or are cancelled and leave nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from gpumodels import catalog
from gpumodels.engines import engine
from gpumodels.engines.docker import base_image
from gpumodels.errors import BuildFailed, LoadCancelled
from gpumodels.loading import load
from tests.integration.docker.conftest import PREFIX
from tests.integration.reports import Recorded

if TYPE_CHECKING:
    from pathlib import Path

    from docker import DockerClient

    from tests.integration.docker.conftest import MakeFolder


def build(path: Path, report: Recorded, *, fresh: bool = False) -> str:
    return engine("docker").prepare(catalog.find(path), "cpu", report.progress, fresh=fresh)


def tags(client: DockerClient, name: str) -> list[str]:
    found = client.images.list(filters={"label": f"gpumodels.model={PREFIX}{name}"})
    return [tag for image in found for tag in image.tags]


def containers_running(client: DockerClient, command: str) -> list[dict[str, Any]]:
    return [found for found in client.api.containers(all=True) if command in found["Command"]]


def test_the_same_content_is_not_built_again(folder: MakeFolder, report: Recorded) -> None:
    first = build(folder("same"), report)
    report.progressed.clear()
    assert build(folder("same"), report) == first
    assert report.progressed == []


def test_an_edited_folder_makes_another_image(folder: MakeFolder, report: Recorded) -> None:
    path = folder("edited")
    first = build(path, report)
    (path / "model.py").write_text((path / "model.py").read_text() + "# edited\n")
    assert build(path, report) != first


def test_a_fresh_build_shows_progress_and_replaces_the_old_image(
    folder: MakeFolder, report: Recorded, client: DockerClient
) -> None:
    path = folder("anew")
    tag = build(path, report)
    before = client.images.get(tag).id
    report.progressed.clear()
    assert build(path, report, fresh=True) == tag
    assert client.images.get(tag).id != before
    assert before not in [image.id for image in client.images.list(all=True)]
    assert report.mentions(f"building {PREFIX}anew: Step 1/")
    assert report.mentions("Successfully installed")  # pip ran again
    assert all("\n" not in text for text, _ in report.progressed)
    assert report.fractions == sorted(report.fractions)
    assert 0 <= report.fractions[0] < report.fractions[-1] <= 1


def test_a_model_name_that_docker_forbids_is_changed_for_the_image(folder: MakeFolder, report: Recorded) -> None:
    assert build(folder("odd._name-"), report).startswith(f"gpumodels/{PREFIX}odd-name:")


def test_the_setting_image_prefix_is_the_beginning_of_image_names(
    folder: MakeFolder, report: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUMODELS_BASE_IMAGE", base_image.made())
    monkeypatch.setenv("GPUMODELS_IMAGE_PREFIX", "registry.lab:5000/vision/own")
    assert build(folder("prefixed"), report).startswith(f"registry.lab:5000/vision/own/{PREFIX}prefixed:")
    assert base_image.made() == "registry.lab:5000/vision/own/base:bookworm"


def test_a_failed_build_shows_the_last_lines_of_its_step_and_leaves_nothing(
    folder: MakeFolder, client: DockerClient, report: Recorded, tmp_path: Path
) -> None:
    unique = uuid.uuid4().hex
    path = folder("failing", dockerfile=f"ARG BASE\nFROM ${{BASE}}\nRUN echo hello-{unique} && echo to-you && exit 7\n")
    with pytest.raises(BuildFailed) as caught:
        load(path, gpu="none", engine="docker", report=report)
    message = str(caught.value)
    assert f"The image of '{PREFIX}failing' could not be built: the step `RUN echo hello-{unique}" in message
    assert message.endswith(f"hello-{unique}\nto-you")
    assert "returned a non-zero code: 7" in message
    assert tags(client, "failing") == []
    assert containers_running(client, unique) == []
    assert [path.name for path in (tmp_path / "runtime").iterdir() if not path.name.startswith(".")] == []


def test_a_requirement_that_does_not_exist_is_named(folder: MakeFolder, report: Recorded, client: DockerClient) -> None:
    path = folder("unmet", requirements=("gpumodels-no-such-package==1.2.3",))
    with pytest.raises(BuildFailed, match=r"found for gpumodels-no-such-package==1\.2\.3$"):  # and no colours
        build(path, report)
    assert tags(client, "unmet") == []


def test_a_dockerfile_with_a_typo_is_a_clear_error(folder: MakeFolder, report: Recorded) -> None:
    with pytest.raises(BuildFailed, match=rf"'{PREFIX}typo'.*unknown instruction: FORM"):
        build(folder("typo", dockerfile="FORM debian\n"), report)


def test_a_folders_own_dockerfile_makes_the_environment(folder: MakeFolder, report: Recorded) -> None:
    code = """
        import os, pathlib
        import installed_by_dockerfile

        class Model:
            def load(self, device: str) -> None:
                self.read = pathlib.Path("/etc/own").read_text().strip()

            def predict(self, value: dict) -> dict:
                return {"read": self.read, "setting": os.environ["OWN"], "flavour": os.environ["FLAVOUR_WAS"]}
    """
    dockerfile = """
        ARG BASE
        FROM ${BASE}
        ARG FLAVOUR
        ENV OWN=yes FLAVOUR_WAS=${FLAVOUR}
        COPY own.sh /own.sh
        RUN /own.sh > /etc/own
        RUN touch "$(python3 -c 'import sys; print(sys.path[-1])')/installed_by_dockerfile.py"
        USER nobody
        ENTRYPOINT ["/bin/false"]
        HEALTHCHECK CMD /bin/false
    """
    path = folder("own", code, dockerfile=dockerfile)
    (path / "own.sh").write_text("#!/bin/sh\necho made in the Dockerfile\n")
    with load(path, gpu="none", engine="docker", report=report) as model:
        assert model({}) == {"read": "made in the Dockerfile", "setting": "yes", "flavour": "cpu"}


@pytest.fixture
def sleeping(folder: MakeFolder) -> tuple[Path, str]:
    """A model folder with an image that takes minutes to build, and the command that takes so long."""
    command = f"sleep 300.{uuid.uuid4().int % 10**9}"
    return folder("interrupted", dockerfile=f"ARG BASE\nFROM ${{BASE}}\nRUN {command}\n"), command


def test_an_interrupt_during_a_build_leaves_nothing(
    sleeping: tuple[Path, str], client: DockerClient, report: Recorded, tmp_path: Path
) -> None:
    path, command = sleeping

    def interrupt_once_it_runs() -> None:
        while not containers_running(client, command):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_once_it_runs).start()
    with pytest.raises(LoadCancelled, match="cancelled, nothing left"):
        load(path, gpu="none", engine="docker", report=report)
    assert_nothing_is_left(client, command, tmp_path)


def test_an_interrupt_while_progress_is_shown_ends_the_build_too(
    sleeping: tuple[Path, str], client: DockerClient, tmp_path: Path
) -> None:
    path, command = sleeping

    class Interrupted(Recorded):
        def progress(self, text: str, fraction: float | None) -> None:
            if command in text:
                raise KeyboardInterrupt

    with pytest.raises(LoadCancelled) as caught:  # keep the error, as a notebook keeps its last traceback
        load(path, gpu="none", engine="docker", report=Interrupted())
    time.sleep(2)  # a daemon that did not cancel the build would begin the step meanwhile
    assert_nothing_is_left(client, command, tmp_path)
    assert "cancelled, nothing left" in str(caught.value)


def assert_nothing_is_left(client: DockerClient, command: str, tmp_path: Path) -> None:
    deadline = time.monotonic() + 10
    while containers_running(client, command) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert containers_running(client, command) == []
    assert tags(client, "interrupted") == []
    assert [path.name for path in (tmp_path / "runtime").iterdir() if not path.name.startswith(".")] == []


def test_two_loads_at_once_build_one_image(folder: MakeFolder, report: Recorded) -> None:
    path = folder("twice")
    built: list[str] = []
    threads = [threading.Thread(target=lambda: built.append(build(path, report))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 2
    assert len(set(built)) == 1
