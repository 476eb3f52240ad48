"""The package index, the CA bundle and the proxies that builds use, for machines without direct internet access."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gpumodels import catalog
from gpumodels.errors import BuildFailed

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True)
class Mirrors:
    """The sources of packages. "" means the default of the tool that installs them."""

    index: str = ""
    ca_bundle: str = ""
    proxies: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_user(cls) -> Mirrors:
        """Return the sources in the settings, or else those in the environment variables of pip, uv and requests.

        Raises SettingsError, and BuildFailed if the CA bundle is not a file.
        """
        name, bundle = catalog.ca_bundle()
        if bundle and not Path(bundle).is_file():
            raise BuildFailed(f"{name} names {bundle}, which is not a file. Point it to a CA bundle or unset it.")
        return cls(
            catalog.index_url(), bundle, tuple((name, os.environ[name]) for name in _PROXIES if os.environ.get(name))
        )

    def for_uv(self) -> dict[str, str]:
        """Return the index and the CA bundle as environment variables for uv. uv inherits those of the proxies."""
        settings = {}
        if self.index:
            settings["UV_DEFAULT_INDEX"] = self.index
        if self.ca_bundle:
            settings["SSL_CERT_FILE"] = self.ca_bundle
        return settings
