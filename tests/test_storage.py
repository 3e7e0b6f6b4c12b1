"""What lies at a URL is whole, ours, and never replaced unasked: on a real S3 server, in memory and on a file server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import s3fs
from fsspec.config import conf

from tests.stores import DyingWire, denies_everything, make_bucket, s3_server, s3_settings
from vidorch import storage
from vidorch.errors import InvalidRequest, MissingCredentials, VidorchError

SECRET = "hunter2"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        make_bucket(address, "bucket")
        yield address


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder in a bucket, with nothing in it."""
    talk_to(server, monkeypatch)
    store = fsspec.filesystem("s3")
    for path in store.find("bucket", refresh=True):
        store.rm_file(path)
    return "s3://bucket/ads"


def talk_to(address: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    monkeypatch.setitem(conf, "s3", s3_settings(address) | more)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://ads"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(params=["s3", "memory"])
def folder(request: pytest.FixtureRequest) -> str:
    name = {"s3": "bucket", "memory": "memory"}[request.param]
    return str(request.getfixturevalue(name))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / ".job_1.part"
    path.write_bytes(b"a clip" * 1000)
    return path


def content(url: str) -> bytes:
    with fsspec.open(url) as file:
        data: bytes = file.read()
        return data


class TestUsableUrl:
    @pytest.mark.parametrize(
        "url",
        ["s3://bucket/ads/", "gs://bucket/a.mp4", "memory://ads/", "abfs://container@account.dfs.core.windows.net/ads/",
         "sftp://me@host/ads/a.mp4", "ftp://host:2121/a.mp4"],
    )  # fmt: skip
    def test_is_taken_as_it_is(self, url: str) -> None:
        """A URL without secrets is written down as it was given."""
        assert url == storage.usable_url(url)

    @pytest.mark.parametrize(
        "url",
        [f"sftp://me:{SECRET}@host/a.mp4", f"s3://{SECRET}@bucket/a.mp4", f"s3://key:{SECRET}@bucket/a.mp4",
         f"s3://bucket/a.mp4?X-Amz-Signature={SECRET}", f"gs://bucket/a.mp4#{SECRET}", f"s3://[{SECRET}/a.mp4"],
    )  # fmt: skip
    def test_with_a_secret_is_refused_without_repeating_it(self, url: str) -> None:
        """What would be written down with a password, query or fragment is refused, and the secret is in no message."""
        with pytest.raises(InvalidRequest) as caught:
            storage.usable_url(url)
        assert ("output", False) == (caught.value.field, SECRET in f"{caught.value} {caught.value.value!r}")

    @pytest.mark.parametrize(
        "url",
        ["https://example.com/a.mp4", "http://example.com/", "data://x", "zip://a.mp4::s3://bucket/a.zip", "s3:///a.mp4",
         "s3://", "s3://a b/", "local:///tmp/a.mp4", "simplecache::s3://bucket/a.mp4", "://x", "s3://bucket/a\n.mp4"],
    )  # fmt: skip
    def test_where_nothing_can_be_put_is_refused(self, url: str) -> None:
        """Places that only read, chains, and URLs that name no place are refused, saying what is allowed."""
        with pytest.raises(InvalidRequest, match=r"Nothing was sent|Allowed is"):
            storage.usable_url(url)

    def test_a_local_path_is_no_url(self) -> None:
        """Paths and file:// URLs are the file system's business."""
        assert [False, False, True] == [
            storage.is_url(x) for x in ("a/b.mp4", "file:///a.mp4", "s3://b/a.mp4")
        ]


class TestPut:
    def test_brings_the_whole_file(self, folder: str, clip: Path) -> None:
        """What lies there is what was sent; the local file stays."""
        storage.put(clip, f"{folder}/a.mp4", overwrite=False)
        assert clip.read_bytes() == content(f"{folder}/a.mp4")

    def test_never_replaces_unasked(self, folder: str, clip: Path, tmp_path: Path) -> None:
        """A name that is taken is an error, and what is there stays."""
        (other := tmp_path / "other").write_bytes(b"precious")
        storage.put(other, f"{folder}/a.mp4", overwrite=False)
        with pytest.raises(FileExistsError):
            storage.put(clip, f"{folder}/a.mp4", overwrite=False)
        assert b"precious" == content(f"{folder}/a.mp4")

    def test_replaces_when_asked(self, folder: str, clip: Path, tmp_path: Path) -> None:
        """`overwrite=True` replaces it."""
        (other := tmp_path / "other").write_bytes(b"old")
        storage.put(other, f"{folder}/a.mp4", overwrite=False)
        storage.put(clip, f"{folder}/a.mp4", overwrite=True)
        assert clip.read_bytes() == content(f"{folder}/a.mp4")

    def test_in_parts(self, bucket: str, tmp_path: Path) -> None:
        """A file of more than one part, whose tag is no checksum, is read back and compared."""
        (large := tmp_path / "large").write_bytes(bytes(range(256)) * 48_000)
        store = fsspec.filesystem("s3")
        store.put_file(str(large), "bucket/ads/large.mp4", chunksize=5 * 2**20)
        assert "-" in store.info("bucket/ads/large.mp4")["ETag"]
        assert storage.holds(f"{bucket}/large.mp4", large)

    def test_says_what_kind_of_file_it_is(self, bucket: str, clip: Path) -> None:
        """Browsers play what the store calls a video."""
        storage.put(clip, f"{bucket}/a.mp4", overwrite=False, media_type="video/mp4")
        assert "video/mp4" == fsspec.filesystem("s3").info("bucket/ads/a.mp4")["ContentType"]

    def test_where_a_put_takes_several_steps_it_is_moved_into_place(
        self, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a file server the name appears only with the whole file behind it."""
        monkeypatch.setattr(
            storage, "_open", lambda url, field="": (fsspec.filesystem("file"), str(tmp_path / "a" / "a.mp4"))
        )
        storage.put(clip, "sftp://host/a/a.mp4", overwrite=False)
        with pytest.raises(FileExistsError):
            storage.put(clip, "sftp://host/a/a.mp4", overwrite=False)
        storage.put(clip, "sftp://host/a/a.mp4", overwrite=True)
        assert [("a.mp4", clip.read_bytes())] == [
            (x.name, x.read_bytes()) for x in (tmp_path / "a").iterdir()
        ]

    def test_of_a_server_that_dies_in_the_middle_leaves_nothing(
        self, bucket: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing half is visible, the local file is whole, and the error says which place failed."""
        (clip := tmp_path / "clip").write_bytes(bytes(300_000))
        with DyingWire(server, after=100_000) as wire:
            talk_to(wire.address, monkeypatch)
            with pytest.raises(VidorchError, match=rf"could not be put at {bucket}/a\.mp4"):
                storage.put(clip, f"{bucket}/a.mp4", overwrite=False)
        talk_to(server, monkeypatch)
        store = fsspec.filesystem("s3")
        assert (True, [], 300_000) == (
            wire.dropped > 0,
            store.find("bucket", refresh=True),
            clip.stat().st_size,
        )

    def test_that_arrives_changed_is_an_error(
        self, memory: str, clip: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What lies there is compared with what was sent."""
        store = fsspec.filesystem("memory")
        honest = store.put_file

        def lossy(local: str, remote: str, **more: Any) -> None:
            honest(local, remote, **more)
            store.pipe_file(remote, b"B" + clip.read_bytes()[1:])

        monkeypatch.setattr(store, "put_file", lossy)
        with pytest.raises(VidorchError, match="not what was sent"):
            storage.put(clip, f"{memory}/a.mp4", overwrite=False)

    def test_at_a_store_without_conditions_looks_first(
        self, bucket: str, clip: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some servers that speak S3 refuse a conditional put; then the name is looked at before."""
        honest = s3fs.S3FileSystem._put_file

        async def refuses_conditions(self: Any, *args: Any, mode: str = "overwrite", **more: Any) -> None:
            if mode == "create":
                raise OSError("A header you provided implies functionality that is NotImplemented")
            await honest(self, *args, **more)

        monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", refuses_conditions)
        storage.put(clip, f"{bucket}/a.mp4", overwrite=False)
        with pytest.raises(FileExistsError):
            storage.put(clip, f"{bucket}/a.mp4", overwrite=False)


class TestCheck:
    def test_a_place_that_is_ready(self, folder: str) -> None:
        """A folder, and a file that is not there yet, pass."""
        storage.check(f"{folder}/", may_exist=False)
        storage.check(f"{folder}/a.mp4", may_exist=False)

    def test_a_file_that_is_there(self, folder: str, clip: Path) -> None:
        """A taken name stops the call before anything is made, unless it may be replaced."""
        storage.put(clip, f"{folder}/a.mp4", overwrite=False)
        storage.check(f"{folder}/a.mp4", may_exist=True)
        with pytest.raises(InvalidRequest, match="exists already. Nothing was made"):
            storage.check(f"{folder}/a.mp4", may_exist=False)

    def test_a_bucket_that_is_not_there(self, bucket: str) -> None:
        """A missing bucket is said by its name."""
        with pytest.raises(InvalidRequest, match="there is no 'elsewhere'.* Nothing was sent"):
            storage.check("s3://elsewhere/ads/", may_exist=False)

    def test_wrong_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store that denies us is said before anything is spent, and the key is not repeated."""
        with denies_everything() as address:
            talk_to(address, monkeypatch, secret=SECRET)
            with pytest.raises(InvalidRequest, match="Nothing was sent") as caught:
                storage.check("s3://bucket/ads/", may_exist=False)
        assert SECRET not in str(caught.value)

    def test_nobody_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store that cannot be reached is said before anything is spent."""
        talk_to("http://127.0.0.1:1", monkeypatch)
        with pytest.raises(
            InvalidRequest, match="Nothing can be published to s3://bucket/ads/.* Nothing was sent"
        ):
            storage.check("s3://bucket/ads/", may_exist=False)

    def test_no_credentials(self, memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store's own "no credentials" is `MissingCredentials`."""

        class NoCredentialsError(Exception):
            pass

        def nobody(*args: Any) -> bool:
            raise NoCredentialsError("Unable to locate credentials")

        monkeypatch.setattr(fsspec.filesystem("memory"), "info", nobody)
        with pytest.raises(
            MissingCredentials, match="no credentials for memory:// were found. Nothing was sent"
        ):
            storage.check(f"{memory}/a.mp4", may_exist=False)

    def test_an_unknown_scheme(self) -> None:
        """A scheme that fsspec does not know is a mistake in the request."""
        with pytest.raises(InvalidRequest, match="fsspec knows no nosuch://"):
            storage.check("nosuch://x/", may_exist=False)

    def test_a_missing_fsspec_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without fsspec the error says what to install."""
        monkeypatch.setitem(sys.modules, "fsspec", None)
        with pytest.raises(MissingCredentials, match="fsspec") as caught:
            storage.check("s3://bucket/", may_exist=False)
        assert ("storage", "pip install 'vidorch[storage]'") == (caught.value.extra, caught.value.hint)

    def test_a_missing_package_of_the_store_is_named(self) -> None:
        """Google's stores need gcsfs, and the error says so."""
        pytest.importorskip("fsspec")
        if "gcsfs" in sys.modules:
            pytest.skip("gcsfs is installed here")
        with pytest.raises(MissingCredentials, match="needs the package gcsfs") as caught:
            storage.check("gs://bucket/", may_exist=False)
        assert "pip install 'vidorch[storage]' gcsfs" == caught.value.hint


class TestLookingAndRemoving:
    def test_holds_compares_content(self, folder: str, clip: Path, tmp_path: Path) -> None:
        """Only exactly the same content counts, and nothing there is no content."""
        storage.put(clip, f"{folder}/a.mp4", overwrite=False)
        (other := tmp_path / "other").write_bytes(b"b" + clip.read_bytes()[1:])
        assert [True, False, False] == [
            storage.holds(f"{folder}/a.mp4", clip), storage.holds(f"{folder}/a.mp4", other), storage.holds(f"{folder}/b.mp4", clip),
        ]  # fmt: skip

    def test_fetch_brings_it_back(self, folder: str, clip: Path, tmp_path: Path) -> None:
        """What was put can be had again."""
        storage.put(clip, f"{folder}/a.mp4", overwrite=False)
        storage.fetch(f"{folder}/a.mp4", tmp_path / "back.mp4")
        assert clip.read_bytes() == (tmp_path / "back.mp4").read_bytes()

    def test_fetch_of_nothing_is_an_error(self, folder: str, tmp_path: Path) -> None:
        """What is not there is said with its place."""
        with pytest.raises(VidorchError, match=rf"{folder}/none\.mp4 could not be read"):
            storage.fetch(f"{folder}/none.mp4", tmp_path / "back.mp4")

    def test_remove_twice(self, folder: str, clip: Path) -> None:
        """Removing what is gone already is as good."""
        storage.put(clip, f"{folder}/a.mp4", overwrite=False)
        storage.remove(f"{folder}/a.mp4")
        storage.remove(f"{folder}/a.mp4")
        assert not storage.holds(f"{folder}/a.mp4", clip)
