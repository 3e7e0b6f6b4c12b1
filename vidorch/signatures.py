"""Signatures of webhooks: what proves that a delivery comes from whom it names, and from now."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from vidorch.errors import InvalidRequest

__all__ = ["SKEW", "fresh", "standard", "token_in", "unproven"]

SHORTEST = 16
"""Bytes of a secret. With an empty one everybody could sign."""
SKEW = 300.0
"""Seconds that a delivery's own time may be from ours."""


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


def token_in(url: str | None) -> str | None:
    """The job's token in the URL that a vendor called; None where there is none."""
    return next(iter(parse_qs(urlsplit(url or "").query).get("token", ())), None)
