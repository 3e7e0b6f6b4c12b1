"""What came back: a status, headers and a whole body. What it means is the provider's business."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vidorch.errors import ProviderFailed

__all__ = ["Reply"]


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """A complete reply, whatever its status. Its repr shows neither headers nor body.

    Attributes:
        status: such as 200. headers: names in lower case; of a name that came twice, both, joined by a comma.
        body: the bytes. url: what was called, without query.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ProviderFailed: it is none: a gateway's page, say. Its `charged` is None, so a submit that ends so is `unknown`.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):  # also bytes that are no UTF-8
            raise ProviderFailed(
                f"{self.url} answered {self.status} with {len(self.body)} bytes that are not JSON.",
                charged=None,
            ) from None

    def text(self) -> str:
        """The body as text. What is no UTF-8 in it is replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def date(self) -> float | None:
        """When it was sent by the server's own clock, in seconds since 1970; None where it does not say."""
        return _time(self.headers.get("date", ""))

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait; None where it does not say. A day in it is read by the server's own clock."""
        said = self.headers.get("retry-after", "").strip()
        try:
            seconds = float(said)
        except ValueError:
            at, now = _time(said), self.date
            return None if at is None or now is None else max(at - now, 0.0)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


def _time(text: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
