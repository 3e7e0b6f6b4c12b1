"""The vendor's memory: what was sent to it, what it took, what it bills. One SQLite file, for any number of processes."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.remote.fates import Fate

__all__ = ["Books", "Sent"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (
    number INTEGER PRIMARY KEY,
    remote_id TEXT UNIQUE,
    job_id TEXT NOT NULL,
    offer TEXT NOT NULL,
    settings TEXT NOT NULL,
    samples INTEGER NOT NULL,
    price INTEGER NOT NULL,
    at REAL NOT NULL,
    fate TEXT NOT NULL,
    cancelled_at REAL
);
CREATE INDEX IF NOT EXISTS sent_alike ON sent (offer, settings, at);
CREATE TABLE IF NOT EXISTS counts (remote_id TEXT, what TEXT, count INTEGER, PRIMARY KEY (remote_id, what));
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One submit as the vendor (and whoever watches the wire) knows it.

    Attributes:
        number: 1, 2, ... over all that was ever sent. remote_id: None when it was not taken.
        price: of the whole job in millionths of a dollar. at: when it left.
    """

    number: int
    remote_id: str | None
    job_id: str
    offer: str
    settings: Mapping[str, Any]
    samples: int
    price: int
    at: float
    fate: Fate
    cancelled_at: float | None

    @property
    def ends_at(self) -> float:
        """When the work is over, unless it was cancelled before."""
        return self.at + self.fate.reply + self.fate.latency

    @property
    def was_cancelled(self) -> bool:
        return self.cancelled_at is not None and self.cancelled_at < self.ends_at

    @property
    def made(self) -> list[int]:
        """Numbers of the clips that are handed over."""
        return list(range(self.samples - min(self.fate.withheld, self.samples)))

    @property
    def bill(self) -> int | None:
        """What it costs in the end, in millionths; None where only its vendor's rule of billing says it.

        Clips kept back are billed like the others; that is what the offers here say.
        """
        if not self.fate.arrives:
            return 0
        if self.was_cancelled:
            return 0
        if self.fate.tells:
            return self.price * self.fate.factor // 100
        if self.fate.ending in ("done", "gone"):
            return self.price
        return None if self.fate.charged is None else self.price * self.fate.charged


class Books:
    """The open books.

    Args:
        path: the file; None keeps them in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._db = sqlite3.connect(
            ":memory:" if path is None else path, isolation_level=None, timeout=30.0, check_same_thread=False
        )
        if path is not None:
            _write_ahead(self._db)
            self._db.execute("PRAGMA synchronous=OFF")  # a killed process loses nothing of what it wrote
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def clear(self) -> None:
        """Forget everything."""
        self._db.execute("DELETE FROM sent")
        self._db.execute("DELETE FROM counts")

    # -- what comes in --------------------------------------------------------------------------------------------------

    def send(
        self, fate_of: Any, job_id: str, offer: str, settings: Mapping[str, Any], samples: int, price: int, at: float
    ) -> Sent:  # fmt: skip
        """Note that a submit left, and what becomes of it: `fate_of(number, offer, samples)`."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            number = self._db.execute("SELECT coalesce(max(number), 0) + 1 FROM sent").fetchone()[0]
            fate: Fate = fate_of(number, offer, samples)
            remote_id = f"r-{number}" if fate.arrives else None
            self._db.execute(
                "INSERT INTO sent VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (number, remote_id, job_id, offer, _settings(settings), samples, price, at, fate.to_json()),
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return Sent(number, remote_id, job_id, offer, settings, samples, price, at, fate, None)

    def cancel(self, remote_id: str, at: float) -> None:
        self._db.execute(
            "UPDATE sent SET cancelled_at = ? WHERE remote_id = ? AND cancelled_at IS NULL", (at, remote_id)
        )

    def count(self, remote_id: str, what: str) -> int:
        """How often this has happened before now to that job; counts up."""
        row = self._db.execute(
            "INSERT INTO counts VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
            (remote_id, what),
        ).fetchone()
        return int(row[0]) - 1

    def now(self) -> float:
        """The vendor's time, seconds since 1970: it goes on by a hundredth whenever somebody asks for it, and stands still else.

        So how far a job is depends on how often it was looked at, by whichever process, and never on how fast a machine is.
        """
        self._db.execute("INSERT OR IGNORE INTO counts VALUES ('clock', 'began', ?)", (int(time.time()),))
        (began,) = self._db.execute(
            "SELECT count FROM counts WHERE remote_id = 'clock' AND what = 'began'"
        ).fetchone()
        return float(began) + self.count("clock", "asked") / 100

    # -- what can be asked ------------------------------------------------------------------------------------------------

    def job(self, remote_id: str) -> Sent | None:
        """What the vendor took under this id."""
        return self._first("WHERE remote_id = ?", (remote_id,))

    def of_job(self, job_id: str) -> list[Sent]:
        """Every submit under one of our ids, arrived or not."""
        return self._all("WHERE job_id = ?", (job_id,))

    def alike(self, offer: str, settings: Mapping[str, Any]) -> list[Sent]:
        """What the vendor took of one model with equal settings."""
        return self._all(
            "WHERE offer = ? AND settings = ? AND remote_id IS NOT NULL", (offer, _settings(settings))
        )

    def everything(self) -> list[Sent]:
        """All that was ever sent, in order."""
        return self._all("", ())

    def _first(self, where: str, values: tuple[Any, ...]) -> Sent | None:
        found = self._all(where, values)
        return found[0] if found else None

    def _all(self, where: str, values: tuple[Any, ...]) -> list[Sent]:
        rows = self._db.execute(f"SELECT * FROM sent {where} ORDER BY number", values).fetchall()
        return [
            Sent(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6], row[7], Fate.from_json(row[8]), row[9])
            for row in rows
        ]  # fmt: skip


def _settings(settings: Mapping[str, Any]) -> str:
    """What the vendor sees of a request, so that equal ones are equal text."""
    return json.dumps(
        {name: value for name, value in settings.items() if value is not None}, sort_keys=True, default=str
    )


def _write_ahead(db: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite's own patience does not hold for this one, and eight processes may begin together."""
    until = time.monotonic() + 30.0
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
        else:
            return
