"""A vendor that misbehaves and remembers: its books are an SQLite file that outlives every client."""

from tests.remote.books import Books, Sent
from tests.remote.fates import Fate, random_fate
from tests.remote.offers import catalog, offer
from tests.remote.provider import Remote

__all__ = ["Books", "Fate", "Remote", "Sent", "catalog", "offer", "random_fate"]
