"""Requests to a protocol server with nothing between: by urllib, no redirects, no retries."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

__all__ = ["Reply", "send"]


@dataclass(frozen=True)
class Reply:
    """What came back; header names in lower case."""

    status: int
    content: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


_opener = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))


def send(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
    """Send a request; `body` is bytes, or what becomes JSON."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers or {}, method=method)
    try:
        with _opener.open(request, timeout=60) as response:
            return Reply(response.status, response.read(), _lower(response.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(), _lower(error.headers))


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
