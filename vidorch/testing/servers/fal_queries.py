"""What stands in the paths and queries that fal's server is called with."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from vidorch.testing.servers.base import Ask, VendorError

__all__ = ["app_of", "cursor", "endpoints_in", "moment_of", "page_of"]

_NAMESPACES = frozenset({"workflows", "comfy"})


def app_of(endpoint: str) -> str:
    """The part of an endpoint id that requests are found under: two segments, three in a namespace."""
    parts = endpoint.split("/")
    return "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])


def endpoints_in(ask: Ask) -> list[str]:
    """Repeated, or separated by commas."""
    return [one for name, value in ask.pairs if name == "endpoint_id" for one in value.split(",") if one]


def page_of(cursor: str | None) -> int:
    if cursor is None:
        return 1
    try:
        return max(1, int(base64.b64decode(cursor, validate=True)))
    except ValueError:
        raise VendorError(400, "bad_request", "The cursor is not one of ours") from None


def cursor(number: int) -> str:
    return base64.b64encode(str(number).encode()).decode()


def moment_of(text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise VendorError(400, "bad_request", f"{text!r} is not a date of ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
