"""Telling whether a credential has changed, without writing down anything from which it could be guessed.

A fingerprint is two bytes of an HMAC: one key in 65,536 has the same, so that no guess can be confirmed by it, and a changed
credential is taken for the old one as seldom. The HMAC's own key is made by chance and lies in a file of the home folder, never
in a ledger; what another machine has written says nothing here.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from vidorch.media.atomic import publish

__all__ = ["Fingerprints"]

NAME = "doors.key"
_BYTES = 32
_KEPT = 2


class Fingerprints:
    """Of the credentials that one home folder has seen. Blocks at the first use, for a small file."""

    def __init__(self, home: Path) -> None:
        self._path = home / NAME
        self._key: bytes | None = None

    def of(self, secret: str | None) -> str:
        """What stands for a credential, or for having none; empty where that cannot be told."""
        if self._key is None:
            with contextlib.suppress(OSError):
                self._key = self._made_or_read()
        if self._key is None:
            return ""
        whose = hashlib.sha256(self._key).hexdigest()[:8]
        mark = "-" if secret is None else hmac.digest(self._key, secret.encode(), "sha256")[:_KEPT].hex()
        return f"{whose}:{mark}"

    def _made_or_read(self) -> bytes | None:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".doors-", dir=self._path.parent)  # for its owner alone
            temporary = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(secrets.token_bytes(_BYTES))
                with contextlib.suppress(
                    FileExistsError
                ):  # another process was first: its key is everybody's
                    publish(temporary, self._path)
            finally:
                temporary.unlink(missing_ok=True)
        key = self._path.read_bytes()
        return key if len(key) == _BYTES else None
