"""Plain requests to a protocol server, without any package of a vendor or our own client."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Reply", "call"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    method: str, url: str, body: Any = None, *, key: str = "", headers: Mapping[str, str] | None = None
) -> Reply:
    """One request on a connection of its own. `body`: bytes as they are, anything else as JSON; `key`: all of `Authorization`."""
    parts = urlsplit(url)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} if content is not None and content is not body else {}
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(
            method,
            target,
            content,
            {**sent, **({"Authorization": key} if key else {}), **(headers or {})},
        )
        reply = connection.getresponse()
        return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
    finally:
        connection.close()
