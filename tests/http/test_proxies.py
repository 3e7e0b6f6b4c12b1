"""Which way requests go: by the environment, by the client's option, and past both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.calls import outcome, run, with_http
from tests.http.conftest import Certificates
from tests.http.server import Proxy, Server
from vidorch.contract import Rejected
from vidorch.errors import InvalidRequest, ProviderFailed
from vidorch.http import Http
from vidorch.http.proxies import Proxies
from vidorch.http.urls import target_of

PASSWORD = "Basic bWU6cCUzQXc="
"""me:p%3Aw, as a proxy's URL `me:p%253Aw@` means it."""


def way(url: str, given: str | None = None) -> str | None:
    return Proxies.of(given).of_target(target_of(url))


class TestTheEnvironment:
    @pytest.mark.parametrize("name", ["http_proxy", "all_proxy", "ALL_PROXY"])
    def test_plain(self, monkeypatch: pytest.MonkeyPatch, name: str, server: Server) -> None:
        """A plain request is handed to the proxy whole."""
        with Proxy() as proxy:
            monkeypatch.setenv(name, proxy.url())
            run(Http(), server.url("/jobs?x=1"))
            assert (server.url("/jobs?x=1"), "/jobs?x=1") == (
                proxy.requests[0].target,
                server.requests[0].target,
            )

    @pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
    def test_tunnel(self, monkeypatch: pytest.MonkeyPatch, certificates: Certificates, name: str) -> None:
        """An encrypted one goes through a tunnel: the proxy sees the host and nothing else."""
        with Server(tls=certificates.good()) as server, Proxy() as proxy:
            monkeypatch.setenv(name, proxy.url())
            run(
                Http(ca_bundle=certificates.bundle),
                server.url("/jobs"),
                headers={"Authorization": "Bearer k"},
            )
            (asked,) = proxy.requests
            assert ("CONNECT", f"127.0.0.1:{server.port}", False, 1) == (
                asked.method, asked.target, "authorization" in asked.headers, len(server.requests),
            )  # fmt: skip

    @pytest.mark.parametrize(
        ("no", "url", "direct"),
        [
            ("*", "https://a.test/", True), ("a.test", "https://a.test/", True), ("a.test", "https://b.a.test/", True),
            (".a.test", "https://b.a.test/", True), ("a.test:8443", "https://a.test:8443/", True),
            ("a.test:8443", "https://a.test/", False), ("b.test", "https://a.test/", False), ("::1", "http://[::1]/", True),
            ("", "https://a.test/", False), ("b.test, a.test", "https://a.test/", True),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("given", [None, "http://option:8080"])
    def test_no_proxy(
        self, monkeypatch: pytest.MonkeyPatch, no: str, url: str, direct: bool, given: str | None
    ) -> None:
        """What NO_PROXY names goes straight, whoever named the proxy."""
        monkeypatch.setenv("ALL_PROXY", "http://proxy:3128")
        monkeypatch.setenv("NO_PROXY", no)
        assert direct == (way(url, given) is None)

    def test_by_scheme(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each scheme has its own, and ALL_PROXY the rest; one without a scheme is plain."""
        monkeypatch.setenv("HTTPS_PROXY", "secure:1")
        monkeypatch.setenv("ALL_PROXY", "http://rest:2")
        assert ("http://secure:1", "http://rest:2") == (way("https://a.test/"), way("http://a.test/"))

    def test_socks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy that vidorch cannot speak to is said before anything is sent, with the way out."""
        monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@127.0.0.1:1080")
        error = outcome(Http(), "http://127.0.0.1:9/")
        assert isinstance(error, Rejected) and isinstance(error.cause, InvalidRequest)
        assert ("httpx[socks]" in str(error.cause), False) == (True, "secret" in str(error.cause))


class TestTheOption:
    def test_goes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
        """What the client was given holds."""
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        with Proxy() as proxy:
            run(Http(proxy=proxy.url()), server.url())
            assert 1 == len(proxy.requests)

    def test_none_at_all(self, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
        """An empty one means straight."""
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        run(Http(proxy=""), server.url())
        assert 1 == len(server.requests)


class TestCredentials:
    @pytest.mark.parametrize("secure", [False, True], ids=["plain", "tunnel"])
    def test_reach_the_proxy_and_nobody_else(self, certificates: Certificates, secure: bool) -> None:
        """They are sent to the proxy alone."""
        with Server(tls=certificates.good() if secure else None) as server, Proxy(wants=PASSWORD) as proxy:
            url = proxy.url().replace("://", "://me:p%253Aw@")
            run(Http(proxy=url, ca_bundle=certificates.bundle), server.url())
            assert (PASSWORD, False) == (
                proxy.requests[0].headers["proxy-authorization"], "proxy-authorization" in server.requests[0].headers,
            )  # fmt: skip

    def test_are_not_shown(self, certificates: Certificates) -> None:
        """Neither when the proxy refuses them nor in any repr."""
        with Server(tls=certificates.good()) as server, Proxy(wants="Basic other") as proxy:
            http = Http(proxy=proxy.url().replace("://", "://me:hunter22@"), ca_bundle=certificates.bundle)
            error = outcome(http, server.url())
            assert isinstance(error, Rejected)
            assert "hunter22" not in f"{error!r}{error}{error.cause!r}{http!r}{http._exchange._proxies!r}"

    def test_plain_refusal_is_a_reply(self, server: Server) -> None:
        """A plain request that the proxy turns down left this machine: its 407 is handed over like any reply."""
        with Proxy(wants=PASSWORD) as proxy:
            assert (407, 0) == (run(Http(proxy=proxy.url()), server.url()).status, server.connections)


class TestADownload:
    def test_is_guarded_all_the_same(self, tmp_path: Path, server: Server) -> None:
        """Through a proxy nobody reaches a private address either, as far as this machine can tell."""
        with Proxy() as proxy:
            http = Http(proxy=proxy.url())
            with pytest.raises(ProviderFailed, match="not public"):
                with_http(http, lambda h: h.download(server.url("/", "localhost"), tmp_path / "clip"))
            assert [] == proxy.requests

    def test_of_a_name_that_only_the_proxy_knows(self, tmp_path: Path, server: Server) -> None:
        """Behind a company's proxy names are often unknown here; the proxy's own rules hold then."""

        async def knows_nothing(host: str, port: int) -> list[str]:
            return ["127.0.0.1"] if host == "127.0.0.1" else _unknown()

        with Proxy() as proxy:
            http = Http(proxy=proxy.url(), lookup=knows_nothing)
            with_http(http, lambda h: h.download(server.url("/", "localhost"), tmp_path / "clip"))
            assert (1, 1) == (len(proxy.requests), len(server.requests))


def _unknown() -> list[str]:
    raise OSError("unknown")
