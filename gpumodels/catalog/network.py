"""The user's settings for downloads, the same for weights, for environments and for images."""

from __future__ import annotations

import os
from typing import NamedTuple

#: Settings that name a package index, and those that name a CA bundle; the first that is set counts.
INDEX_SETTINGS = ("GPUMODELS_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
CA_SETTINGS = ("GPUMODELS_CA_BUNDLE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class Setting(NamedTuple):
    """An environment setting, both "" where none is set."""

    name: str
    value: str


def index_url() -> str:
    """The package index (simple API) that the environment names, "" for the public one. May hold a password."""
    return _first(INDEX_SETTINGS).value


def ca_bundle() -> Setting:
    """Where the certificates lie that are to be trusted; unchecked."""
    return _first(CA_SETTINGS)


def _first(names: tuple[str, ...]) -> Setting:
    return next((Setting(name, os.environ[name]) for name in names if os.environ.get(name)), Setting("", ""))
