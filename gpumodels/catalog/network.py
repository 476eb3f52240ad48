"""The user's settings for downloads, the same for weights, for environments and for images."""

from __future__ import annotations

import os
from typing import NamedTuple

from gpumodels import settings

#: Where our own setting says nothing, these name a package index and a CA bundle; the first that is set counts.
_OTHER_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_OTHER_BUNDLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
#: All that name an index.
INDEX_SETTINGS = (settings.variable("index_url"), *_OTHER_INDEXES)


class Setting(NamedTuple):
    """A setting, both "" where none is set."""

    #: What sets it: a variable, or file, line and key.
    name: str
    value: str


def index_url() -> str:
    """The package index (simple API) that the settings name, "" for the public one. May hold a password."""
    return settings.settings().index_url or _first(_OTHER_INDEXES).value


def ca_bundle() -> Setting:
    """Where the certificates lie that are to be trusted; unchecked."""
    own = settings.settings().ca_bundle
    return Setting(settings.origin("ca_bundle"), str(own)) if own else _first(_OTHER_BUNDLES)


def _first(names: tuple[str, ...]) -> Setting:
    return next((Setting(name, os.environ[name]) for name in names if os.environ.get(name)), Setting("", ""))
