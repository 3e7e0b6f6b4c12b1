"""Finished files at a URL, through fsspec: object stores and file servers. Only the publishing of clips comes here.

    usable_url(value)                   what may stand in `output=`; nothing is loaded and nobody is asked
    check(url)                          whether the store is there and lets us look, before anything is spent
    put(path, url)                      one file, whole or not at all, and read back where the store names no checksum
    holds(url, path)                    whether exactly this content lies there
    fetch(url, path), remove(url)

Credentials are those of the store's own package: its environment variables, its files, or fsspec's configuration.
Everything here blocks: call it from a worker thread.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vidorch.errors import InvalidRequest, MissingCredentials, VidorchError
from vidorch.inputs import without_query
from vidorch.live import must_not_be_mocked

__all__ = ["check", "fetch", "holds", "is_url", "put", "remove", "usable_url"]

# A put there is one step: nobody sees half an object. Elsewhere the file is written beside its name and moved.
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci", "memory"})
_BUCKETS = OBJECT_STORES - {"memory"}
# What fsspec opens too, and where nothing can be put; file:// and plain paths are the file system's own business.
_NOT_WRITABLE = frozenset(
    {"http", "https", "data", "local", "github", "git", "zip", "tar", "libarchive", "reference", "dir", "filecache",
     "blockcache", "simplecache", "cached"}
)  # fmt: skip
# Where `name@host` is part of the address and no secret.
_NAMED_USERS = frozenset({"abfs", "abfss", "sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs"})
_CHUNK = 2**20


def is_url(text: str) -> bool:
    """Whether this is a place for fsspec rather than a local path. file:// is local."""
    return "://" in text and not text.lower().startswith("file://")


def usable_url(url: str, field: str = "output") -> str:
    """The URL, once it can be written down as it is: with a host, and without password, query or fragment.

    Raises:
        InvalidRequest: it cannot be used, or it holds what might be a secret.
    """
    scheme, _, rest = url.partition("://")
    safe = without_query(url)
    allowed = "a URL that fsspec can write to, such as 's3://bucket/clips/' or 'gs://bucket/clip.mp4'"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _wrong(field, safe, "It is malformed.", allowed) from None
    if "::" in url or scheme.lower() in _NOT_WRITABLE or not scheme.replace("+", "").isalnum():
        raise _wrong(field, safe, f"Nothing can be put at {scheme}://.", allowed)
    user, at, _ = parts.netloc.rpartition("@")
    if "?" in rest or "#" in rest or ":" in user or (at and scheme.lower() not in _NAMED_USERS):
        raise _wrong(
            field, safe, "A place that clips go to is written down, so it may hold no password, query or fragment.",
            f"{safe} with the credentials in the environment",
        )  # fmt: skip
    if (not parts.netloc and scheme != "memory") or not url.isprintable() or " " in parts.netloc:
        raise _wrong(field, safe, "It names no host or bucket.", allowed)
    return url


def check(url: str, *, may_exist: bool, field: str = "output") -> None:
    """Find out before anything is spent whether files can go to `url`. A URL with a slash at its end is a folder.

    Raises:
        MissingCredentials: fsspec or the store's own package is not installed, or the store knows no credentials.
        InvalidRequest: no such scheme or bucket, no answer, no permission to look, or a file that is there already.
    """
    allowed = "a place that can be reached and looked at"
    with _talking(url, f"Nothing can be published to {url}", field, allowed):
        store, path = _open(url, field)
        store.invalidate_cache()
        bucket = path.strip("/").partition("/")[0]
        if url.partition("://")[0].lower() in _BUCKETS and not _is_there(store, bucket):
            raise InvalidRequest(
                f"{url} cannot be used: there is no {bucket!r}, or these credentials do not see it. Nothing was sent.",
                hint="Make the bucket, or choose another place with output=.", field=field, value=url, allowed=allowed,
            )  # fmt: skip
        if not url.endswith("/") and _is_there(store, path) and not may_exist:
            raise InvalidRequest(
                f"{url} exists already. Nothing was made.", hint="Pass overwrite=True (--overwrite), or another name.",
                field=field, value=url, allowed="a file that does not exist yet",
            )  # fmt: skip


def put(path: Path, url: str, *, overwrite: bool, media_type: str = "") -> None:
    """Copy a local file to `url`: whole, or not at all. What then lies there is compared with the file.

    Raises:
        FileExistsError: something is there and `overwrite` is False.
        VidorchError: the store said no, or what lies there is not what was sent. The local file is untouched.
    """
    with _talking(url, f"The clip could not be put at {url}"):
        store, target = _open(url)
        store.invalidate_cache()
        if url.partition("://")[0].lower() in OBJECT_STORES:
            _put_object(store, path, target, overwrite, media_type)
        else:
            _put_and_move(store, path, target, overwrite)
        if not _holds(store, target, path):
            raise OSError("what lies there now is not what was sent")


def holds(url: str, path: Path) -> bool:
    """Whether exactly the content of `path` lies at `url`.

    Raises:
        VidorchError: the store cannot be read.
    """
    with _talking(url, f"{url} could not be read"):
        store, target = _open(url)
        store.invalidate_cache()
        return _holds(store, target, path)


def fetch(url: str, path: Path) -> None:
    """Copy what lies at `url` to the local `path`.

    Raises:
        VidorchError: it is not there, or the store cannot be read.
    """
    with _talking(url, f"{url} could not be read"):
        store, target = _open(url)
        store.get_file(target, str(path))


def remove(url: str) -> None:
    """Remove the file at `url`; none there is as good.

    Raises:
        VidorchError: the store said no.
    """
    with _talking(url, f"{url} could not be removed"), contextlib.suppress(FileNotFoundError):
        store, target = _open(url)
        store.invalidate_cache()
        store.rm_file(target)


# -- the store ------------------------------------------------------------------------------------------------------------


def _open(url: str, field: str = "output") -> tuple[Any, str]:
    """fsspec's file system and the path in it. fsspec keeps the file system itself, one a thread."""
    scheme = url.partition("://")[0].lower()
    if scheme != "memory":
        must_not_be_mocked(urlsplit(url).netloc)
    try:
        import fsspec
        from fsspec.registry import get_filesystem_class, known_implementations
    except ModuleNotFoundError:
        raise MissingCredentials(
            f"{scheme}:// needs the package fsspec, which is not installed. Nothing was sent.",
            hint="pip install 'vidorch[storage]'", extra="storage",
        ) from None  # fmt: skip
    try:
        get_filesystem_class(scheme)
    except ValueError:
        raise _wrong(
            field, url, f"fsspec knows no {scheme}://.", "a scheme such as s3://, gs:// or abfs://"
        ) from None
    except ImportError:
        package = known_implementations.get(scheme, {}).get("class", scheme).partition(".")[0]
        raise MissingCredentials(
            f"{scheme}:// needs the package {package}, which is not installed or cannot be loaded. Nothing was sent.",
            hint=f"pip install 'vidorch[storage]' {package}", extra="storage",
        ) from None  # fmt: skip
    store, path = fsspec.core.url_to_fs(url)
    return store, path


def _put_object(store: Any, path: Path, target: str, overwrite: bool, media_type: str) -> None:
    amazon = "s3" in store.protocol
    more = {"ContentType": media_type} if amazon and media_type else {}
    if overwrite:
        store.put_file(str(path), target, **more)
        return
    if not amazon:  # the others have no put that refuses, or one of their own
        _must_be_free(store, target)
        store.put_file(str(path), target, **more)
        return
    try:
        store.put_file(str(path), target, mode="create", **more)  # If-None-Match: of two writers one wins
    except Exception as error:
        if "NotImplemented" not in f"{error!r} {error.__cause__!r}":
            raise
        _must_be_free(store, target)  # a store that speaks S3 without conditions
        store.put_file(str(path), target, **more)


def _put_and_move(store: Any, path: Path, target: str, overwrite: bool) -> None:
    folder, _, name = target.rpartition("/")
    beside = f"{folder}/.{name}.{secrets.token_hex(4)}.part"
    try:
        store.makedirs(folder, exist_ok=True)
        store.put_file(str(path), beside)
        if not overwrite:
            _must_be_free(store, target)
        elif _is_there(store, target):  # many servers do not rename over a file
            store.rm_file(target)
        store.mv(beside, target)
    except BaseException:
        with contextlib.suppress(Exception):
            store.rm_file(beside)
        raise


def _must_be_free(store: Any, target: str) -> None:
    if _is_there(store, target):
        raise FileExistsError(target)


def _is_there(store: Any, target: str) -> bool:
    """fsspec's own `exists` takes every error for a no."""
    try:
        store.info(target)
    except FileNotFoundError:
        return False
    return True


def _holds(store: Any, target: str, path: Path) -> bool:
    try:
        info = store.info(target)
    except FileNotFoundError:
        return False
    if info.get("size") != path.stat().st_size:
        return False
    with path.open("rb") as file:
        ours = hashlib.file_digest(
            file, "md5"
        )  # stores name it; it guards against accidents, not against people
    etag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    if ours.hexdigest() == etag or base64.b64encode(ours.digest()).decode() == info.get("md5Hash"):
        return True
    # An object in parts or under a key of its own has another tag: then the content itself is asked for.
    with store.open(target, "rb") as there, path.open("rb") as here:
        while (block := here.read(_CHUNK)) == there.read(_CHUNK):
            if not block:
                return True
    return False


@contextlib.contextmanager
def _talking(url: str, what: str, field: str = "", allowed: str = "") -> Iterator[None]:
    """Turn what a store raises into our errors; each one raises what it likes. With a field it is the caller's mistake."""
    try:
        yield
    except (VidorchError, FileExistsError):
        raise
    except Exception as error:
        reason = _reason(error)
        if type(error).__name__ in _NO_CREDENTIALS:
            raise MissingCredentials(
                f"{what}: no credentials for {url.partition('://')[0]}:// were found.{' Nothing was sent.' if field else ''}",
                hint="Set them as the store's own tools expect them: environment variables, files, or fsspec's configuration.",
            ) from error  # fmt: skip
        if field:
            raise InvalidRequest(
                f"{what}: {reason}. Nothing was sent.", hint="Look at the address and the credentials, or choose another place.",
                field=field, value=url, allowed=allowed,
            ) from error  # fmt: skip
        raise VidorchError(f"{what}: {reason}.", charged=None, retryable=True) from error


_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"})


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, PermissionError):
        said = f"the store denied it ({said})"
    elif isinstance(error, FileNotFoundError):
        said = f"the store knows no such place ({said})"
    return " ".join(str(said).split()).rstrip(".")[:300]


def _wrong(field: str, value: str, why: str, allowed: str) -> InvalidRequest:
    return InvalidRequest(
        f"{field}={value!r} cannot be used. {why} Allowed is {allowed}. Nothing was sent.", field=field, value=value,
        allowed=allowed,
    )  # fmt: skip
