"""Words for tables of fields: what the models of fal and Replicate take, said in one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from vidorch.testing.servers.checks import Check, Problem, problems

__all__ = [
    "COUNT", "FLAG", "NEED_URL", "PROMPT", "REAL", "SEED", "SHARE", "TEXT", "URL", "Fields", "Model", "Rule", "either",
    "many", "need",
    "one", "span", "together",
]  # fmt: skip

Fields = dict[str, Check]
Rule = Callable[[dict[str, Any]], list[Problem]]


@dataclass(frozen=True, slots=True)
class Model:
    """What one model takes and gives.

    Attributes:
        fields: of its input. rules: what holds between fields. makes: of its output. length: seconds where none is asked for.
        sound: always, never, or the switch's name and what it is by default. gives: further fields of its output.
    """

    fields: Mapping[str, Check]
    rules: tuple[Rule, ...] = ()
    makes: Literal["video", "images"] = "video"
    length: float = 5
    sound: bool | tuple[str, bool] = False
    gives: tuple[str, ...] = ()

    def problems(self, body: Any, *, where: tuple[str | int, ...] = ()) -> list[Problem]:
        """Everything that is wrong with an input. `where` is its own path."""
        found = problems(body, self.fields, where=where)
        if isinstance(body, dict):
            for rule in self.rules:
                found += [replace(one, where=(*where, *one.where)) for one in rule(body)]
        return found

    def seconds(self, body: Mapping[str, Any]) -> float:
        """How long the clip will be: of several shots, their sum."""
        shots = body.get("multi_prompt")
        if isinstance(shots, list) and shots:
            return sum(float(shot.get("duration", 5)) for shot in shots)
        if "num_frames" in body and "frames_per_second" in self.fields:
            return float(body["num_frames"] / (body.get("frames_per_second") or 16))
        given = str(body.get("duration") or "").rstrip("s")
        return float(given) if given.isdigit() and given != "0" else self.length

    def sounds(self, body: Mapping[str, Any]) -> bool:
        """Whether the clip will have sound."""
        return self.sound if isinstance(self.sound, bool) else bool(body.get(*self.sound))


def _link(text: str) -> str:
    return "" if text.startswith(("http://", "https://", "data:")) else "has to be a URL or a data URI"


TEXT = Check(nullable=True)
PROMPT = Check(required=True, least=1)
FLAG = Check("boolean")
SEED = Check("integer", nullable=True)
COUNT = Check("integer", least=1)
REAL = Check("number")
SHARE = Check("number", least=0, most=1)
URL = Check(rule=_link, nullable=True)
NEED_URL = Check(rule=_link, required=True)


def need(check: Check) -> Check:
    """The same, but required and never null."""
    return replace(check, required=True, nullable=False)


def one(*values: Any, required: bool = False) -> Check:
    """One of these."""
    return Check("integer" if isinstance(values[0], int) else "string", required=required, choices=values)


def span(first: int, last: int) -> Check:
    """A whole number from `first` to `last`, as a string."""
    return one(*map(str, range(first, last + 1)))


def many(item: Check, least: int | None = None, most: int | None = None) -> Check:
    """A list of `least` to `most` items, or null."""
    return Check("list", items=need(item), least=least, most=most, nullable=True)


def either(*names: str) -> Rule:
    """Exactly one of them is given."""

    def rule(body: dict[str, Any]) -> list[Problem]:
        given = [name for name in names if body.get(name) is not None]
        if len(given) == 1:
            return []
        return [Problem((), "rule", f"exactly one of {' and '.join(names)} has to be given", given)]

    return rule


def together(name: str, other: str) -> Rule:
    """The one only together with the other."""

    def rule(body: dict[str, Any]) -> list[Problem]:
        alone = body.get(name) is not None and body.get(other) is None
        return [Problem((name,), "rule", f"needs {other}", body.get(name))] if alone else []

    return rule
