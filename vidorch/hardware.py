"""What an hour of one's own hardware costs: by the endpoint's word, else by the card that is here. Torch is not loaded for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from vidorch.contract import Endpoint
from vidorch.offer import Offer
from vidorch.price import Hour
from vidorch.tables import Source, Table, parse

__all__ = ["CPU", "Device", "Gpus", "class_of", "devices", "gpus", "hour_of"]

CPU = "cpu"
"""The class of a machine without a card."""
Gpus = Callable[[], tuple[str, ...]]
"""Gives the names of the cards in this machine, such as `"NVIDIA H100 80GB HBM3"`."""

_DATA = Path(__file__).parent / "catalog" / "hardware.toml"
_DRIVER = Path("/proc/driver/nvidia/gpus")
_PATIENCE = 5.0
"""Seconds for `nvidia-smi`, which takes one or two where the driver sleeps."""


@dataclass(frozen=True, slots=True)
class Device:
    """A class of machines, and what an hour of one costs where nobody says better.

    Attributes:
        matches: a pattern that is looked for in the card's name; empty for a machine without one.
    """

    name: str
    matches: str
    usd_per_hour: Decimal
    source: str
    as_of: date
    confirmed: bool


@lru_cache(maxsize=1)
def devices() -> tuple[Device, ...]:
    """The classes that are known, in the order in which they are looked through."""
    source = Source(str(_DATA), _DATA.read_text("utf-8"), rooted=True)
    top = Table(source, parse(source))
    found = tuple(_device(table) for table in top.tables("device"))
    top.done()
    return found


@lru_cache(maxsize=1)
def gpus() -> tuple[str, ...]:
    """Names of the NVIDIA cards in this machine, in the order of their buses; looked for once in a process."""
    return _by_driver(_DRIVER) or _by_command()


def class_of(card: str) -> str:
    """The class of a card by its name; one that is not known is a class of its own: `"nvidia-titan-v"`."""
    known = next((one.name for one in devices() if one.matches and re.search(one.matches, card)), None)
    return known or re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")


def hour_of(offer: Offer, endpoint: Endpoint | None, cards: Gpus = gpus) -> Hour:
    """What an hour of the hardware costs that an offer runs on.

    The endpoint's `usd_per_hour` goes before everything. Without it, work inside this process costs what the class of its card
    does; what a server elsewhere costs only its endpoint can say.

    Args:
        endpoint: None for one that nobody configured. cards: gives the names of the cards that are here.
    """
    here = not offer.outlives_caller and (offer.weights is None or offer.weights.is_here)
    name = _class_here(endpoint, cards) if here else ""
    if endpoint is not None and endpoint.usd_per_hour is not None:
        return Hour(endpoint.usd_per_hour, name, f"usd_per_hour of the endpoint {endpoint.name}")
    known = next((one for one in devices() if one.name == name), None)
    if known is None:
        return Hour(None, name)
    return Hour(known.usd_per_hour, name, known.source, known.as_of, known.confirmed)


def _class_here(endpoint: Endpoint | None, cards: Gpus) -> str:
    device = (endpoint.device if endpoint is not None else None) or ""
    kind, _, place = device.partition(":")
    if kind in ("cpu", "mps"):
        return CPU
    found = cards()
    if not found:  # whoever names a card, or what an hour costs, means a machine that is not seen from here
        return (
            ""
            if kind not in ("", "auto") or (endpoint is not None and endpoint.usd_per_hour is not None)
            else CPU
        )
    at = int(place) if place.isdecimal() and int(place) < len(found) else 0
    return class_of(found[at])


def _by_driver(folder: Path) -> tuple[str, ...]:
    """What the driver's own files say, which costs nothing to read."""
    names = []
    try:
        for card in sorted(folder.iterdir()):
            said = re.search(
                r"^Model:\s*(\S.*?)\s*$", (card / "information").read_text("utf-8"), re.MULTILINE
            )
            names += [said[1]] if said else []
    except OSError:
        return ()
    return tuple(names)


def _by_command() -> tuple[str, ...]:
    """What `nvidia-smi -L` says: in containers and under WSL the driver's files are not always there."""
    import shutil  # only where it is needed: a plan is made without
    import subprocess

    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        said = subprocess.run(  # noqa: S603  (found on the user's own PATH, and given nothing of anybody's)
            [command, "-L"], capture_output=True, text=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(re.findall(r"^GPU \d+: (.+?) \(UUID", said.stdout, re.MULTILINE))


def _device(table: Table) -> Device:
    device = Device(
        name=table.text("name"),
        matches=table.text("matches", ""),
        usd_per_hour=table.number("usd_per_hour"),
        source=table.text("source"),
        as_of=table.day("as_of"),
        confirmed=table.flag("confirmed", False),
    )
    table.done()
    return device
