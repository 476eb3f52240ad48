"""A package index of empty wheels on Docker's bridge, behind TLS with its own certificate authority."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serving(directory: Path, address: str, *names: str) -> Iterator[tuple[str, Path]]:
    """Serve an empty wheel of version 99 for each name. Yield the URL of the index and the CA bundle to trust."""
    root = directory / "served"
    for name in names:
        _wheel(root / "simple" / name, name)
    certificate, key = _certificate(directory, address)
    handler = partial(_Handler, directory=str(root))
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"https://{address}:{server.server_port}/simple", certificate
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """A handler of directory listings, which are all that PEP 503 requires."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""


def _wheel(directory: Path, name: str) -> None:
    directory.mkdir(parents=True)
    information = f"{name}-99.dist-info"
    with zipfile.ZipFile(directory / f"{name}-99-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 99\n")
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{information}/RECORD", "")


def _certificate(directory: Path, address: str) -> tuple[Path, Path]:
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=an index for a test", "-addext", f"subjectAltName=IP:{address}",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
