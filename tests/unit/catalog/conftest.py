"""Model folders, and a package index on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import io
import ssl
import subprocess
import tarfile
import threading
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOML = 'name = "fish"\n'
#: Settings of this machine for indexes, certificates and proxies, which must not affect the tests.
SETTINGS = [
    "GPUMODELS_MODELS",
    "GPUMODELS_INDEX_URL",
    "GPUMODELS_CA_BUNDLE",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "PIP_INDEX_URL",
    "PIP_CERT",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Site:
    """A web server: `pages` are its answers by path, `requests` counts the requests by path."""

    def __init__(self, server, scheme):
        self.root = f"{scheme}://127.0.0.1:{server.server_port}"
        self.pages = {}
        self.requests = Counter()

    def publish(self, project, filename, data, *, digest=None):
        """List an archive on the project's page of the index. `digest=""` lists it without a SHA-256."""
        fragment = f"#sha256={sha256(data) if digest is None else digest}" if digest != "" else ""
        self.pages[f"/simple/{project}/"] = ("text/html", f'<a href="/{filename}{fragment}">{filename}</a>'.encode())
        self.pages[f"/{filename}"] = ("application/octet-stream", data)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server.site
        site.requests[self.path] += 1
        kind, body = site.pages.get(self.path, ("text/plain", None))
        short = kind == "short"
        self.send_response(int(kind) if kind.isdigit() else 404 if body is None else 200)
        self.send_header("Content-Type", kind if "/" in kind else "text/plain")
        self.send_header("Content-Length", str(len(body or b"") * (2 if short else 1)))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def _serving(context=None):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.site = Site(server, "https" if context else "http")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.site
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def index(monkeypatch):
    """A package index that the settings name."""
    with _serving() as site:
        monkeypatch.setenv("GPUMODELS_INDEX_URL", f"{site.root}/simple/")
        yield site


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody trusts yet, with its key."""
    place = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [*command.split(), "-keyout", place / "key", "-out", place / "cert"], check=True, capture_output=True
    )
    return place / "cert", place / "key"


@pytest.fixture
def website(certificate):
    """A web server that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with _serving(context) as site:
        yield site


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The home of a user without settings."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "home"
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(place / "data"))
    (place / "here").mkdir(parents=True)
    monkeypatch.chdir(place / "here")
    return place


@pytest.fixture
def folder(tmp_path):
    """A function that makes a model folder: `folder(toml, "fish")`."""

    def make(toml=TOML, name="fish", parent=tmp_path):
        place = Path(parent) / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "model.toml").write_text(toml, encoding="utf-8")
        (place / "model.py").write_text("class Model: ...\n")
        return place

    return make


@pytest.fixture
def sdist():
    """A function that makes a source archive: `sdist({"fish-1.0/w.bin": b"..."})`. Text is a link, None a folder."""

    def make(files):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as pack:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                if data is None:
                    info.type = tarfile.DIRTYPE
                    pack.addfile(info)
                elif isinstance(data, str):
                    info.type, info.linkname = tarfile.SYMTYPE, data
                    pack.addfile(info)
                else:
                    info.size = len(data)
                    pack.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    return make


@pytest.fixture
def wheel():
    """A function that makes a wheel of files: `wheel({"fish/w.bin": b"..."})`."""

    def make(files):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as pack:
            for name, data in files.items():
                pack.writestr(name, data)
        return buffer.getvalue()

    return make
