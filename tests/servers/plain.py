"""Plain HTTP to a protocol server, without any package: one connection a request, and nothing is sent again."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Reply", "send", "spoiled"]


@dataclass(frozen=True)
class Reply:
    """Status, body as it came, and header names in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


def send(
    method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, *, key: str = ""
) -> Reply:
    """One request; `body` is sent as JSON unless it is bytes. `key`: all of `Authorization`."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        usual = {"Content-Type": "application/json"} | ({"Authorization": key} if key else {})
        connection.request(method, path, content, {**usual, **(headers or {})})
        reply = connection.getresponse()
        return Reply(reply.status, reply.read(), {name.lower(): value for name, value in reply.getheaders()})
    finally:
        connection.close()


JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1.5,
    "",
    "x",
    "\ud83c",
    [],
    [None],
    [[]],
    {},
    {"type": []},
    [{"type": {}}],
    [{"uri": 1}],
)


def spoiled(body: Any, chance: random.Random) -> Any:
    """A copy in which one thing, at any depth, is something else."""
    found = copy.deepcopy(body)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        inner = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for name, item in inner:
            places.append((value, name))
            walk(item)

    walk(found)
    holder, name = chance.choice(places)
    holder[name] = chance.choice(JUNK)
    return found
