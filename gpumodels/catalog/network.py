"""The user's settings for downloads: the same for weights, for environments and for images."""

from __future__ import annotations

import os
from typing import NamedTuple

from gpumodels import settings

#: The variables of other tools for a package index and a CA bundle. If our own setting is empty, the first variable
#: that is set counts.
_OTHER_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_OTHER_BUNDLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
#: The settings and variables for a package index.
INDEX_SETTINGS = (settings.variable("index_url"), *_OTHER_INDEXES)


class Setting(NamedTuple):
    """The value of a setting, and where the user has set it. Both are "" if the setting is not set."""

    #: The environment variable, or the file, line and key.
    name: str
    value: str


def index_url() -> str:
    """Return the address of the user's package index (simple API), "" for PyPI. The address may contain a password."""
    return settings.settings().index_url or _first(_OTHER_INDEXES).value


def ca_bundle() -> Setting:
    """Return the path of the file with the certificates to trust, and its setting. The file may not exist."""
    own = settings.settings().ca_bundle
    return Setting(settings.origin("ca_bundle"), str(own)) if own else _first(_OTHER_BUNDLES)


def _first(names: tuple[str, ...]) -> Setting:
    return next((Setting(name, os.environ[name]) for name in names if os.environ.get(name)), Setting("", ""))
