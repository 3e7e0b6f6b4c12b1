"""Whom to believe: the system's store, a bundle, or certifi where a system has nothing."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.http.calls import outcome, run
from tests.http.conftest import Certificates
from tests.http.server import Server
from vidorch.contract import Rejected
from vidorch.errors import InvalidRequest
from vidorch.http import Http, tls


class TestTheBundle:
    def test_by_the_environment(self, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
        """SSL_CERT_FILE is honoured."""
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.bundle))
        with Server(tls=certificates.good()) as server:
            assert 200 == run(Http(), server.url()).status

    def test_option_goes_before_the_environment(
        self, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """What the client was given holds."""
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
        with Server(tls=certificates.good()) as server:
            assert 200 == run(Http(ca_bundle=certificates.bundle), server.url()).status

    def test_without_it(self, certificates: Certificates) -> None:
        """The system's store does not know the tests' own authority."""
        with Server(tls=certificates.good()) as server:
            assert isinstance(outcome(Http(), server.url()), Rejected)

    def test_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """OpenSSL would say nothing and trust nobody; it is said here, by the variable's name."""
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
        with pytest.raises(InvalidRequest, match="SSL_CERT_FILE="):
            Http()

    def test_without_certificates(self, tmp_path: Path) -> None:
        """A file that holds none is said at the first call, and nothing was sent."""
        path = tmp_path / "empty.pem"
        path.write_text("nothing")
        error = outcome(Http(ca_bundle=path), "https://127.0.0.1:9/")
        assert isinstance(error, Rejected) and isinstance(error.cause, InvalidRequest)

    def test_a_folder(self, tmp_path: Path) -> None:
        """A folder of certificates is taken as OpenSSL takes it."""
        assert isinstance(tls.context(str(tmp_path)), ssl.SSLContext)


class TestTheContext:
    def test_is_made_once(self, certificates: Certificates) -> None:
        """Reading a store takes time: two clients share it."""
        assert tls.context(str(certificates.bundle)) is tls.context(str(certificates.bundle))

    def test_checks_names_and_certificates(self) -> None:
        """Nothing is switched off."""
        made = tls.context(None)
        assert (True, ssl.CERT_REQUIRED) == (made.check_hostname, made.verify_mode)

    def test_certifi_where_the_system_has_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A bare container has no store; the one of certifi is taken then."""
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        monkeypatch.setattr(ssl, "create_default_context", lambda: bare)
        monkeypatch.setattr(tls, "_system_has_a_folder", lambda: False)
        tls.context.cache_clear()
        try:
            assert tls.context(None).cert_store_stats()["x509_ca"] > 50
        finally:
            tls.context.cache_clear()
