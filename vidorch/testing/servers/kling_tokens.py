"""The JWTs of Kling's legacy line: HS256, `typ` present, `iss` the access key; `exp` and `nbf` in seconds since 1970."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

__all__ = ["minted", "token_problem"]

_HEAD = {"alg": "HS256", "typ": "JWT"}


def minted(access_key: str, secret_key: str, *, expires: float, starts: float) -> str:
    """A token of these times."""
    claims = {"iss": access_key, "exp": expires, "nbf": starts}
    body = ".".join(_encoded(json.dumps(part).encode()) for part in (_HEAD, claims))
    return f"{body}.{_encoded(_signed(body, secret_key))}"


def token_problem(token: str, access_key: str, secret_key: str, *, now: float) -> int:
    """Kling's code for what is wrong with a token: 1002 invalid, 1003 not yet valid, 1004 expired; 0 for nothing."""
    body, _, signature = token.rpartition(".")
    try:
        head, claims = (json.loads(_decoded(part)) for part in body.split("."))
        signed = hmac.compare_digest(_decoded(signature), _signed(body, secret_key))
        good = head == _HEAD and claims["iss"] == access_key
        expires, starts = float(claims["exp"]), float(claims.get("nbf", 0))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 1002
    if not signed or not good:
        return 1002
    if starts > now:
        return 1003
    return 1004 if expires <= now else 0


def _signed(body: str, secret_key: str) -> bytes:
    return hmac.new(secret_key.encode(), body.encode(), hashlib.sha256).digest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
