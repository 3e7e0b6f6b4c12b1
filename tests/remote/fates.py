"""What happens to one submit: decided when it is sent, and kept in the vendor's books."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field
from typing import Literal

__all__ = ["Fate", "random_fate"]

Answer = Literal["accepted", "silent", "vanished", "throttled", "rejected", "refused"]
Ending = Literal["done", "failed", "refused", "gone"]


@dataclass(frozen=True, slots=True)
class Fate:
    """The script of one submit. The default is a job that succeeds.

    Attributes:
        answer: `silent`: taken, and the reply is lost. `vanished`: lost on its way there; nobody can tell the two apart.
            `throttled`: not taken, and taken again after `retry_after` seconds. `rejected`: not taken at all.
            `refused`: the input is refused by policy, at no cost.
        reply: seconds until the answer comes. latency: seconds from arrival to the end.
        ending: `gone`: it is finished, and its result cannot be had any more.
        charged: what the vendor says of a job that ended without a clip; None when it says nothing.
        withheld: how many of its clips are made and kept back.
        factor: the bill, as a multiple of the price in percent, when the vendor `tells` it; else it is the price.
        lost_polls: looks that get no answer, from the first one on. odd_polls: looks answered with an unknown status.
        bad_files: downloads that are cut before a good one comes; all of them at -1.
        link: `expired` ones are renewed by `refresh`; `dead` ones are not, for good.
    """

    answer: Answer = "accepted"
    reply: float = 0.0
    retry_after: float = 1.0
    latency: float = 2.0
    ending: Ending = "done"
    charged: bool | None = False
    withheld: int = 0
    factor: int = 100
    tells: bool = False
    lost_polls: int = 0
    odd_polls: int = 0
    bad_files: int = 0
    link: Literal["good", "expired", "dead"] = "good"

    @property
    def arrives(self) -> bool:
        """Whether the vendor has, or had, it."""
        return self.answer in ("accepted", "silent")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Fate:
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Odds:
    """How often what goes wrong, in percent of submits."""

    throttled: int = 8
    rejected: int = 4
    refused: int = 4
    silent: int = 8
    vanished: int = 4
    failed: int = 8
    withheld: int = 6
    gone: int = 1
    told: int = 30
    slow: int = 10
    polls: int = 15
    files: int = 8
    links: int = 8
    endings: tuple[Ending, ...] = field(default=("failed", "refused"))


def random_fate(chance: random.Random, samples: int = 1, odds: Odds | None = None) -> Fate:
    """A fate drawn by `chance`. Every field that can matter may come with every other."""
    odds = odds or Odds()

    def happens(percent: int) -> bool:
        return chance.random() * 100 < percent

    answer: Answer = "accepted"
    draw = chance.random() * 100
    for name in ("throttled", "rejected", "refused", "silent", "vanished"):
        draw -= getattr(odds, name)
        if draw < 0:
            answer = name  # type: ignore[assignment]
            break
    ending: Ending = "done"
    if happens(odds.failed):
        ending = chance.choice(odds.endings)
    elif happens(odds.gone):
        ending = "gone"
    tells = happens(odds.told)
    return Fate(
        answer=answer,
        reply=chance.choice((0.0, 0.0, 0.05, 3.0, 90.0 if happens(odds.slow) else 1.0)),
        retry_after=chance.choice((0.5, 1.0, 20.0)),
        latency=chance.choice((0.0, 1.0, 5.0, 40.0, 200.0)),
        ending=ending,
        charged=chance.choice((True, False, None)),
        withheld=chance.randint(1, samples) if happens(odds.withheld) else 0,
        factor=chance.choice((50, 100, 100, 140)) if tells else 100,
        tells=tells,
        lost_polls=chance.randint(1, 3) if happens(odds.polls) else 0,
        odd_polls=chance.randint(1, 2) if happens(odds.polls) else 0,
        bad_files=chance.choice((1, 2, -1)) if happens(odds.files) else 0,
        link=chance.choice(("expired", "expired", "dead")) if happens(odds.links) else "good",
    )
