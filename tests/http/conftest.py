"""Both back ends, trusting a certificate authority of the tests' own."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.http.server import Server
from vidorch.http import Http

PROXY_VARIABLES = [
    name for low in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (low, low.upper())
]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the proxies and certificates of whoever runs this."""
    for name in (*PROXY_VARIABLES, "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)


class Certificates:
    """An authority that clients trust, and server contexts by it, or by one that nobody trusts."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.bundle = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.bundle)

    def good(self) -> ssl.SSLContext:
        return self._context(self._ca.issue_cert("127.0.0.1", "localhost", "vendor.test"))

    def of_another_host(self) -> ssl.SSLContext:
        return self._context(self._ca.issue_cert("elsewhere.test"))

    def expired(self) -> ssl.SSLContext:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        return self._context(
            self._ca.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=1), not_after=yesterday)
        )

    def untrusted(self) -> ssl.SSLContext:
        return self._context(trustme.CA().issue_cert("127.0.0.1"))

    def _context(self, certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ca"))


@pytest.fixture(params=["aiohttp", "httpx"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


HttpOf = Callable[..., Http]


@pytest.fixture
def http_of(backend: str, certificates: Certificates) -> HttpOf:
    """Makes an `Http` on the back end of this test. `proxy` is the client's own where one is injected."""

    def make(**settings: Any) -> Http:
        if backend == "aiohttp":
            return Http(ca_bundle=certificates.bundle, **settings)
        trust = ssl.create_default_context(cafile=str(certificates.bundle))
        client = httpx.AsyncClient(verify=trust, trust_env=False, proxy=settings.pop("proxy", None) or None)
        return Http(client, **settings)

    return make


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> ssl.SSLContext | None:
    """Plain and encrypted."""
    return certificates.good() if request.param == "https" else None


@pytest.fixture
def server() -> Iterator[Server]:
    """Answers everything with `{}`; a test gives it another `app`."""
    with Server() as running:
        yield running
