"""What a selection says: of each clip, and of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Report", "Selection"]


@dataclass(frozen=True, slots=True)
class Report:
    """What one selector found in one clip.

    Attributes:
        selector: its name.
        score: 0 to 1, larger is better; comparable within one selection only. None when the clip could not be read.
        parts: what the score is made of, each 0 to 1, by name.
        notes: what was found, in words, with times.
    """

    selector: str
    score: float | None
    parts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, rounded to four digits."""
        return {
            "selector": self.selector,
            "score": None if self.score is None else round(self.score, 4),
            "parts": {name: round(value, 4) for name, value in self.parts.items()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """The outcome of choosing among clips.

    Attributes:
        chosen: the index of the clip to take. reports: one for each clip, None where nothing was looked at.
        notes: what the caller should know of the choice.
    """

    chosen: int
    reports: tuple[Report | None, ...]
    notes: tuple[str, ...] = ()
