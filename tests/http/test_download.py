"""Results: capped, whole or not at all, without credentials where they do not belong, and never out of private networks."""

from __future__ import annotations

import hashlib
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.http.calls import with_http
from tests.http.conftest import Certificates, HttpOf
from tests.http.server import Asked, Line, Server, answer
from vidorch.errors import LiveCallInTest, ProviderFailed, VidorchError
from vidorch.http import Download, Http
from vidorch.live import connect_only_to

SECRET = {"Authorization": "Bearer sk-very-secret"}


def fetch(http: Http, url: str, path: Path, **more: Any) -> Download | VidorchError:
    """The download, or the error in its place."""

    async def use(h: Http) -> Download | VidorchError:
        try:
            return await h.download(url, path, **({"timeout": 20.0} | more))
        except VidorchError as error:
            return error

    return with_http(http, use)


def local(http_of: HttpOf, **settings: Any) -> Http:
    """One that may fetch from this machine, without its being the endpoint's own."""
    return http_of(private_hosts=["127.0.0.0/8"], **settings)


class TestAFile:
    @pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
    def test_arrives(self, http_of: HttpOf, tls: Any, tmp_path: Path, size: int) -> None:
        """Byte for byte, over what was there, with its size and type."""
        content = os.urandom(size)
        path = tmp_path / "clip"
        path.write_bytes(b"before" * 100)
        with Server(
            app=lambda line, asked: line.reply(200, content, content_type="Video/MP4; x=1"), tls=tls
        ) as server:
            found = fetch(local(http_of), server.url(), path)
        assert (Download(size, "video/mp4"), content) == (found, path.read_bytes())

    def test_in_chunks(self, http_of: HttpOf, tmp_path: Path) -> None:
        """A body without a length is fine when it has an end."""
        raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        with Server(app=lambda line, asked: line.send(raw)) as server:
            assert Download(3, "") == fetch(local(http_of), server.url(), tmp_path / "clip")

    def test_of_an_odd_url(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """What a vendor forgot to escape is escaped, what is escaped stays."""
        fetch(local(http_of), server.url("/a b/ü%20c.mp4?s=%2F|"), tmp_path / "clip")
        assert "/a%20b/%C3%BC%20c.mp4?s=%2F%7C" == server.requests[0].target

    def test_a_disk_that_says_no(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """The disk's own error comes through as such, with the file's name."""
        with pytest.raises(FileNotFoundError) as caught:
            fetch(local(http_of), server.url(), tmp_path / "nowhere" / "clip")
        assert str(tmp_path / "nowhere" / "clip") == str(caught.value.filename)

    @pytest.mark.skipif(sys.platform != "linux", reason="memory is told in another unit elsewhere")
    def test_a_large_one_in_little_memory(self, http_of: HttpOf, tmp_path: Path) -> None:
        """Of 200 MB never more than a few are held at once."""

        def large(line: Line, asked: Asked) -> None:
            line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 200000000\r\n\r\n")
            for _ in range(2000):
                line.send(bytes(100_000))

        with Server(app=large) as server:
            fetch(local(http_of), server.url("/first"), tmp_path / "clip", most=10)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            found = fetch(local(http_of), server.url(), tmp_path / "clip")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert Download(200_000_000, "") == found and grown < 60_000


def short(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
    line.close()


def lost(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n" + bytes(5_000_000))
    line.reset()


def chunk_missing(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    line.close()


def endless(line: Line) -> None:
    line.ask()
    line.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        line.send(bytes(65_536))


class TestWhatIsNoFile:
    @pytest.mark.parametrize("take", [short, lost, chunk_missing], ids=lambda one: one.__name__)
    def test_a_cut_one(self, http_of: HttpOf, tmp_path: Path, take: Callable[[Line], None]) -> None:
        """What did not come whole is an error, may be tried again, and leaves nothing behind."""
        with Server(take=take) as server:
            error = fetch(local(http_of), server.url(), tmp_path / "clip")
        assert isinstance(error, ProviderFailed) and error.retryable and not (tmp_path / "clip").exists()

    @pytest.mark.parametrize("promised", [True, False], ids=["said", "endless"])
    def test_one_that_is_too_long(self, http_of: HttpOf, tmp_path: Path, promised: bool) -> None:
        """More bytes than allowed: refused at once where the server says so, and in time where it does not."""
        app = (lambda line, asked: line.reply(200, bytes(2000))) if promised else None
        with Server(**({"app": app} if app else {"take": endless})) as server:  # type: ignore[arg-type]
            error = fetch(local(http_of), server.url(), tmp_path / "clip", most=1999)
        assert isinstance(error, ProviderFailed) and "1,999" in error.message
        assert not error.retryable and not (tmp_path / "clip").exists()

    def test_one_that_stops(self, http_of: HttpOf, tmp_path: Path) -> None:
        """A server that goes silent is not waited for longer than `idle`."""

        def stops(line: Line, asked: Asked) -> None:
            line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")

        with Server(app=stops) as server:
            error = fetch(local(http_of), server.url(), tmp_path / "clip", idle=0.3)
        assert isinstance(error, ProviderFailed) and "nothing came for too long" in error.message

    def test_one_that_trickles(self, http_of: HttpOf, tmp_path: Path) -> None:
        """A server that sends a byte now and then is not waited for longer than `timeout`."""

        def trickles(line: Line, asked: Asked) -> None:
            line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
            while not server.over.wait(0.02):
                line.send(b"x")

        with Server(app=trickles) as server:
            error = fetch(local(http_of), server.url(), tmp_path / "clip", timeout=0.5, idle=10)
        assert isinstance(error, ProviderFailed) and "in time" in error.message

    @pytest.mark.parametrize(
        ("status", "again"), [(403, False), (404, False), (429, True), (500, True), (204, False)]
    )
    def test_another_status(
        self, http_of: HttpOf, tmp_path: Path, server: Server, status: int, again: bool
    ) -> None:
        """Its number is the error's code, and says whether it may be tried again."""
        server.app = lambda line, asked: line.reply(status, b"")
        error = fetch(local(http_of), server.url(), tmp_path / "clip")
        assert isinstance(error, ProviderFailed) and (str(status), again) == (error.code, error.retryable)


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_are_followed(self, http_of: HttpOf, tmp_path: Path, server: Server, status: int) -> None:
        """Relative ones, too."""

        def app(line: Line, asked: Asked) -> None:
            line.reply(200, b"clip") if asked.target == "/b" else line.reply(status, b"", location="/b")

        server.app = app
        assert Download(4, "application/json") == fetch(local(http_of), server.url("/a"), tmp_path / "clip")

    @pytest.mark.parametrize(("hops", "arrives"), [(5, True), (6, False)])
    def test_at_most_five(
        self, http_of: HttpOf, tmp_path: Path, server: Server, hops: int, arrives: bool
    ) -> None:
        """The sixth is one too many."""

        def app(line: Line, asked: Asked) -> None:
            done = int(asked.target[1:])
            line.reply(200, b"clip") if done == hops else line.reply(302, b"", location=f"/{done + 1}")

        server.app = app
        found = fetch(local(http_of), server.url("/0"), tmp_path / "clip")
        assert arrives == isinstance(found, Download)

    def test_never_from_https_to_http(
        self, http_of: HttpOf, tmp_path: Path, server: Server, certificates: Certificates
    ) -> None:
        """A result that came encrypted does not go on in the clear."""
        with Server(
            app=lambda line, asked: line.reply(302, b"", location=server.url()), tls=certificates.good()
        ) as first:
            error = fetch(local(http_of), first.url(), tmp_path / "clip")
        assert isinstance(error, ProviderFailed) and "plain http" in error.message and 0 == server.connections

    @pytest.mark.parametrize(
        "location", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "//", "data:,x"]
    )
    def test_to_something_else(self, http_of: HttpOf, tmp_path: Path, server: Server, location: str) -> None:
        """Only http and https are followed."""
        server.app = lambda line, asked: line.reply(302, b"", location=location)
        assert isinstance(fetch(local(http_of), server.url(), tmp_path / "clip"), VidorchError)

    def test_bring_no_credentials(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """User and password in a redirect are the server's idea, and are dropped."""

        def app(line: Line, asked: Asked) -> None:
            far = f"http://me:pw@127.0.0.1:{server.port}/b"
            line.reply(200, b"clip") if asked.target == "/b" else line.reply(302, b"", location=far)

        server.app = app
        fetch(local(http_of), server.url("/a"), tmp_path / "clip")
        assert "authorization" not in server.requests[1].headers


class TestCredentials:
    def test_go_to_the_endpoint_itself(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """To the base URL's scheme, host and port."""
        fetch(http_of(), server.url("/v1/x"), tmp_path / "clip", secret=SECRET, own=[server.url("/v1"), None])
        assert SECRET["Authorization"] == server.requests[0].headers["authorization"]

    def test_go_nowhere_else(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """Not to another host, nor to another port of the same."""
        fetch(
            local(http_of), server.url(), tmp_path / "clip", secret=SECRET, own=["https://api.vendor.test/v1"]
        )
        fetch(local(http_of), server.url(), tmp_path / "clip", secret=SECRET, own=["http://127.0.0.1:1/"])
        fetch(local(http_of), server.url(), tmp_path / "clip", secret=SECRET)
        assert [False] * 3 == ["authorization" in asked.headers for asked in server.requests]

    def test_are_dropped_on_a_redirect(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """`/content` of the vendor leads to a signed URL elsewhere; the other headers go along, the key does not."""
        with Server(app=lambda line, asked: line.reply(302, b"", location=server.url("/far"))) as first:
            fetch(
                local(http_of),
                first.url(),
                tmp_path / "clip",
                secret=SECRET,
                own=[first.url()],
                headers={"X-Kind": "clip"},
            )
            near, far = first.requests[0].headers, server.requests[0].headers
        assert (True, False, "clip") == ("authorization" in near, "authorization" in far, far["x-kind"])

    def test_come_back_at_home(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """A redirect from elsewhere to the endpoint finds them again."""
        with Server(app=lambda line, asked: line.reply(302, b"", location=server.url("/b"))) as first:
            fetch(local(http_of), first.url(), tmp_path / "clip", secret=SECRET, own=[server.url()])
        assert "authorization" in server.requests[0].headers


def names(table: dict[str, list[str]]) -> Callable[[str, int], Any]:
    """A name service that knows these."""

    async def lookup(host: str, port: int) -> list[str]:
        if host not in table:
            raise OSError("unknown")
        return table[host]

    return lookup


class TestPrivateAddresses:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1"]
    )
    def test_are_refused(self, http_of: HttpOf, tmp_path: Path, server: Server, host: str) -> None:
        """However they are written, and before anything is connected."""
        error = fetch(http_of(), server.url("/", host), tmp_path / "clip")
        assert isinstance(error, ProviderFailed) and "not public" in error.message and 0 == server.connections

    def test_are_refused_on_a_redirect(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """The endpoint's own address is fine; where it sends us is looked at all the same."""
        with Server(app=lambda line, asked: line.reply(302, b"", location=server.url())) as first:
            error = fetch(http_of(), first.url(), tmp_path / "clip", own=[first.url()])
        assert isinstance(error, ProviderFailed) and "not public" in error.message and 0 == server.connections

    def test_are_fine_at_home(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """A server of one's own has a private address, of course."""
        assert isinstance(fetch(http_of(), server.url(), tmp_path / "clip", own=[server.url()]), Download)

    @pytest.mark.parametrize(
        "addresses", [["10.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["::ffff:192.168.0.1"], ["fd00::1"]]
    )
    def test_behind_a_name(self, http_of: HttpOf, tmp_path: Path, addresses: list[str]) -> None:
        """A name of which any address is private is refused, and the message says how to allow it."""
        http = http_of(lookup=names({"cdn.test": addresses}))
        error = fetch(http, "http://cdn.test/", tmp_path / "clip")
        assert isinstance(error, ProviderFailed) and "private_hosts=['cdn.test']" in error.hint

    def test_allowed_by_network(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """The client's owner may name the network."""
        assert isinstance(fetch(local(http_of), server.url(), tmp_path / "clip"), Download)

    def test_allowed_by_name(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """Or the host."""
        http = http_of(private_hosts=["localhost"])
        assert isinstance(fetch(http, server.url("/", "localhost"), tmp_path / "clip"), Download)

    def test_a_name_that_changes_its_mind(self, tmp_path: Path, server: Server) -> None:
        """Looked up once, checked, and connected to as checked: a second answer is never asked for."""
        answers = [["127.0.0.2"], ["127.0.0.1"]]
        asked: list[str] = []

        async def lookup(host: str, port: int) -> list[str]:
            asked.append(host)
            return answers[min(len(asked), len(answers)) - 1]

        error = fetch(
            Http(lookup=lookup, private_hosts=["127.0.0.2"]),
            server.url("/", "rebinding.test"),
            tmp_path / "clip",
        )
        assert isinstance(error, ProviderFailed) and (["rebinding.test"], 0) == (asked, server.connections)

    def test_a_name_that_changes_its_mind_for_an_injected_client(
        self, tmp_path: Path, server: Server
    ) -> None:
        """httpx looks the name up again by itself: who answered is looked at before anything of the body is read."""
        import httpx

        server.app = lambda line, asked: line.send(answer(200, b"secret of the metadata service"))
        http = Http(httpx.AsyncClient(trust_env=False), lookup=names({"localhost": ["93.184.216.34"]}))
        error = fetch(http, server.url("/", "localhost"), tmp_path / "clip")
        assert (
            isinstance(error, ProviderFailed)
            and "not public" in error.message
            and not (tmp_path / "clip").exists()
        )

    def test_a_pooled_connection_opens_no_door(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """That the endpoint's own host is connected already does not let a stranger's URL in."""

        async def use(http: Http) -> VidorchError | Download:
            await http.request("GET", server.url())
            try:
                return await http.download(server.url(), tmp_path / "clip")
            except VidorchError as error:
                return error

        assert isinstance(with_http(http_of(), use), ProviderFailed) and 1 == len(server.requests)


class TestUnderAMock:
    def test_is_asked_on_a_redirect(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """A host that the mock allows does not lead to one that it does not."""
        server.app = lambda line, asked: line.reply(302, b"", location=server.url("/", "localhost"))
        before = connect_only_to(frozenset({"127.0.0.1"}))
        try:
            error = fetch(http_of(private_hosts=["127.0.0.1", "localhost"]), server.url(), tmp_path / "clip")
        finally:
            connect_only_to(before)
        assert isinstance(error, LiveCallInTest) and 1 == len(server.requests)


class TestAnUpload:
    @pytest.mark.parametrize("size", [0, 10, 5_000_000])
    @pytest.mark.parametrize("from_disk", [True, False], ids=["file", "bytes"])
    def test_arrives(self, http_of: HttpOf, tls: Any, tmp_path: Path, size: int, from_disk: bool) -> None:
        """Byte for byte, with its length in front, and the headers that were given."""
        content = os.urandom(size)
        source = tmp_path / "picture.png"
        source.write_bytes(content)
        with Server(tls=tls) as server:
            reply = with_http(
                http_of(),
                lambda h: h.upload("PUT", server.url("/p?sig=1"), source if from_disk else content, headers={"Content-Type": "image/png"}),
            )  # fmt: skip
            (asked,) = server.requests
        assert (200, "PUT", str(size), "image/png", hashlib.sha256(content).digest()) == (
            reply.status, asked.method, asked.headers.get("content-length", "0"), asked.headers["content-type"],
            hashlib.sha256(asked.body).digest(),
        )  # fmt: skip

    def test_of_a_file_that_is_gone(self, http_of: HttpOf, tmp_path: Path, server: Server) -> None:
        """Said before anything is connected."""
        from vidorch.errors import BadMedia

        with pytest.raises(BadMedia, match="cannot be read for sending"):
            with_http(http_of(), lambda h: h.upload("PUT", server.url(), tmp_path / "gone"))
        assert 0 == server.connections
