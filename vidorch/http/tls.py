"""Whom to believe: one TLS context for all connections, from the system's store or a bundle of one's own."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path

from vidorch.errors import InvalidRequest

__all__ = ["checked_bundle", "context"]

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def checked_bundle(given: str | os.PathLike[str] | None) -> str | None:
    """The file or folder of certificates to trust, from the option or else the environment; None for the system's store.

    Raises:
        InvalidRequest: nothing is there. (OpenSSL would say nothing, and trust nobody.)
    """
    name, value = "ca_bundle", None if given is None else os.fspath(given)
    if given is None:
        name, value = next(((one, os.environ[one]) for one in VARIABLES if os.environ.get(one)), ("", None))
    if value is None:
        return None
    path = Path(value).expanduser()
    if not path.exists():
        allowed = "a file of certificates in PEM, or a folder of them as OpenSSL names them"
        raise InvalidRequest(
            f"{name}={value!r} cannot be used: nothing is there. Allowed is {allowed}.",
            field=name,
            value=value,
            allowed=allowed,
        )
    return str(path)


@lru_cache(maxsize=8)
def context(bundle: str | None) -> ssl.SSLContext:
    """The context for connections to servers, made once. Reading the system's store takes tens of milliseconds.

    Raises:
        InvalidRequest: there are no certificates in the bundle.
    """
    try:
        if bundle is None:
            made = ssl.create_default_context()
        elif Path(bundle).is_dir():
            made = ssl.create_default_context(capath=bundle)
        else:
            made = ssl.create_default_context(cafile=bundle)
    except ssl.SSLError as error:
        raise InvalidRequest(
            f"ca_bundle={bundle!r} cannot be read: {error.reason or error}.", field="ca_bundle", value=bundle,
            allowed="a file of certificates in PEM",
        ) from None  # fmt: skip
    if bundle is None and not made.cert_store_stats()["x509_ca"] and not _system_has_a_folder():
        import certifi

        made.load_verify_locations(certifi.where())
    made.set_alpn_protocols(["http/1.1"])
    return made


def _system_has_a_folder() -> bool:
    """Whether OpenSSL has a folder of certificates, which it looks into only when it needs one."""
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and any(Path(folder).iterdir())
