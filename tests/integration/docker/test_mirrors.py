"""Builds behind a mirror: the package index and the CA bundle of the settings."""

from __future__ import annotations

import ipaddress
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from gpumodels import catalog
from gpumodels.engines import engine
from gpumodels.errors import BuildFailed
from tests.integration.docker.package_index import serving

if TYPE_CHECKING:
    from pathlib import Path

    from docker import DockerClient

    from tests.integration.docker.conftest import MakeFolder
    from tests.integration.reports import Recorded

PACKAGES = ("grpcio", "numpy", "protobuf", "onlyhere")


@pytest.fixture
def bridge(client: DockerClient) -> str:
    """The address of this machine on Docker's bridge, which builds can reach."""
    subnet = client.api.inspect_network("bridge")["IPAM"]["Config"][0]["Subnet"]
    return str(ipaddress.ip_network(subnet)[1])


def test_a_build_uses_the_index_and_the_ca_bundle_of_the_settings(
    folder: MakeFolder,
    client: DockerClient,
    bridge: str,
    report: Recorded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = folder("mirrored", requirements=("onlyhere==99",))
    with serving(tmp_path, bridge, *PACKAGES) as (index, bundle):
        monkeypatch.setenv("GPUMODELS_INDEX_URL", index)
        monkeypatch.setenv("GPUMODELS_CA_BUNDLE", str(bundle))
        tag = engine("docker").prepare(catalog.find(path), "cpu", report.progress)
    listed = client.containers.run(tag, ["/opt/model/bin/python", "-m", "pip", "list"], remove=True).decode()
    assert {tuple(line.split()) for line in listed.splitlines()} >= {("onlyhere", "99"), ("numpy", "99")}


def test_the_password_of_the_index_is_nowhere_in_the_image(
    folder: MakeFolder,
    client: DockerClient,
    bridge: str,
    report: Recorded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, password = folder("secretive", requirements=("onlyhere==99",)), uuid.uuid4().hex
    with serving(tmp_path, bridge, *PACKAGES) as (index, bundle):
        monkeypatch.setenv("GPUMODELS_INDEX_URL", index.replace("https://", f"https://ada:{password}@"))
        monkeypatch.setenv("GPUMODELS_CA_BUNDLE", str(bundle))
        tag = engine("docker").prepare(catalog.find(path), "cpu", report.progress)
    shown = subprocess.run(["docker", "history", "--no-trunc", tag], check=True, capture_output=True).stdout
    inspected = subprocess.run(["docker", "inspect", tag], check=True, capture_output=True).stdout
    saved = subprocess.run(["docker", "save", tag], check=True, capture_output=True).stdout
    assert b"compileall" in shown
    assert b"onlyhere-99.dist-info" in saved
    assert [password.encode() in text for text in (shown, inspected, saved)] == [False] * 3


def test_a_ca_bundle_that_is_no_file_is_named(
    folder: MakeFolder, report: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUMODELS_CA_BUNDLE", "/nonexistent.pem")
    with pytest.raises(BuildFailed, match=r"GPUMODELS_CA_BUNDLE names /nonexistent\.pem, which is not a file"):
        engine("docker").prepare(catalog.find(folder("unbundled")), "cpu", report.progress)
