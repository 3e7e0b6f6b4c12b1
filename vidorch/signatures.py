"""Signatures of webhooks: what proves that a delivery comes from whom it names, and from now."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

from vidorch.errors import InvalidRequest, MissingCredentials, VidorchError

__all__ = ["SKEW", "Keys", "ed25519", "fresh", "standard", "token_in", "unproven"]

Key = TypeVar("Key")
Proof = TypeVar("Proof")

SHORTEST = 16
"""Bytes of a secret. With an empty one everybody could sign."""
SKEW = 300.0
"""Seconds that a delivery's own time may be from ours."""
KEPT_FOR = 86_400.0
"""Seconds that a vendor's keys are good for; fal's page on webhooks says so, and nobody says less."""
AGAIN_AFTER = 300.0
"""Seconds between two looks at a vendor's keys for deliveries that do not fit them: whoever forges some causes no more."""


def unproven(why: str, provider: str) -> InvalidRequest:
    """The error for a delivery that is not believed."""
    return InvalidRequest(
        f"This delivery is not believed: {why}. Nothing was changed.", hint="Answer it with 401.", field="signature",
        allowed=f"a delivery that {provider} signed", provider=provider,
    )  # fmt: skip


def fresh(timestamp: str, now: float, provider: str) -> None:
    """Hold a delivery's own time against ours.

    Raises:
        InvalidRequest: it is no number, or more than `SKEW` from now.
    """
    try:
        at = float(timestamp)
    except ValueError:
        raise unproven("it does not say when it was sent", provider) from None
    if not abs(now - at) <= SKEW:
        raise unproven("it was sent too long ago, or this machine's clock is wrong", provider)


def standard(secret: str, headers: Mapping[str, str], body: bytes, *, now: float, provider: str) -> str:
    """Verify a delivery as https://www.standardwebhooks.com has it (HMAC-SHA256), in constant time. Gives its id.

    Args:
        secret: `whsec_` and base64. headers: names in lower case. body: as it came, byte by byte.

    Raises:
        InvalidRequest: it is not signed with this secret, or too old.
    """
    name, at, given = (headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not (name and at and given):
        raise unproven("it is not signed", provider)
    fresh(at, now, provider)
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise unproven("the secret for webhooks is no base64", provider) from None
    if len(key) < SHORTEST:
        raise unproven("the secret for webhooks is too short to be one", provider)
    expected = base64.b64encode(hmac.digest(key, f"{name}.{at}.".encode() + body, "sha256")).decode()
    good = False
    for one in given.split(" "):
        version, _, signature = one.partition(",")
        good |= version == "v1" and hmac.compare_digest(signature.encode(), expected.encode())
    if not good:
        raise unproven("its signature is not that of its content", provider)
    return name


def ed25519(provider: str) -> Callable[[Iterable[str], str, bytes], bool]:
    """What says whether one of these public keys (raw, base64url) made this signature (hex) of this message. Loads a package.

    Raises:
        MissingCredentials: the package cryptography is not installed; names the extra.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise MissingCredentials(
            f"{provider} signs its webhooks with Ed25519, and the package cryptography, which verifies that, is not installed. "
            "Nothing was sent, and nothing is lost: the job is looked at all the same.",
            hint="pip install 'vidorch[webhooks]'", extra="webhooks", provider=provider,
        ) from None  # fmt: skip

    def verifies(keys: Iterable[str], signature: str, message: bytes) -> bool:
        try:
            given = bytes.fromhex(signature)
        except ValueError:
            return False
        for key in keys:
            try:
                raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
                Ed25519PublicKey.from_public_bytes(raw).verify(given, message)
            except (InvalidSignature, ValueError):
                continue
            return True
        return False

    return verifies


def token_in(url: str | None) -> str | None:
    """The job's token in the URL that a vendor called; None where there is none."""
    return next(iter(parse_qs(urlsplit(url or "").query).get("token", ())), None)


@dataclass(slots=True)
class _Kept(Generic[Key]):
    key: Key
    at: float
    doubted: float = float("-inf")


class Keys(Generic[Key]):
    """What deliveries are verified with, as vendors tell it: kept for a day, and read again when it does not fit any more."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept[Key]] = {}

    async def verify(
        self,
        owner: str,
        now: float,
        read: Callable[[], Awaitable[Key]],
        prove: Callable[[Key], Awaitable[Proof]],
    ) -> Proof:
        """Prove a delivery with an owner's key; where that fails with the one that is kept, with the one of this moment.

        Args:
            owner: whose key it is. now: seconds since 1970. read: asks the vendor for it. prove: raises `InvalidRequest` unless
                the delivery fits it.

        Raises:
            InvalidRequest: it fits neither. VidorchError: there was no key yet, and it could not be read.
        """
        kept = self._kept.get(owner)
        if kept is None or now - kept.at > KEPT_FOR:
            self._kept[owner] = kept = _Kept(await read(), now)
            return await prove(kept.key)
        try:
            return await prove(kept.key)
        except InvalidRequest as error:
            if now - kept.doubted < AGAIN_AFTER:
                raise
            kept.doubted = now
            try:
                key = await read()
            except VidorchError:
                raise error from None
        if key != kept.key:
            kept.key, kept.at = key, now
        return await prove(key)
