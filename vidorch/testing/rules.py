"""What a scripted vendor is to do, and to which submits: `mock.on(model=...).throttle().fail()`."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

from vidorch.errors import InvalidRequest, shown
from vidorch.money import usd
from vidorch.request import is_real, nearest_name

__all__ = ["Behaviour", "Rule", "Rules", "Submission"]

Prompt = str | re.Pattern[str] | Callable[[str], object]

ENDS = ("succeed", "fail", "refuse the input", "refuse the output", "reject", "lose the submit")
NOTHING_ARRIVES = frozenset({"refuse the input", "reject", "lose the submit"})
NO_FILE = frozenset({"fail", "refuse the output"})
NEEDS_A_JOB = frozenset({"lose the reply", "hold", "crash_poll"})
NEEDS_A_FILE = frozenset({"expire_url", "bad_file"})


@dataclass(frozen=True, slots=True)
class Submission:
    """One submit as the vendor saw it.

    Attributes:
        model, endpoint: the offer. settings: the request as bought, media as hash, size and kind. samples: clips it asks for.
        job_id: ours. at: seconds since 1970, on the mock's clock.
        answer: "accepted", "accepted, reply lost", "never arrived", "throttled", "rejected" or "refused".
        remote_id: the vendor's; None where it accepted nothing.
    """

    model: str
    endpoint: str
    prompt: str
    settings: dict[str, Any]
    samples: int
    scope: str
    job_id: str
    at: float
    answer: str = ""
    remote_id: str | None = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one submit meets with.

    Attributes:
        end: one of `ENDS`. retry_after: seconds of patience that are asked for; then nothing else happens.
        charged, code: of a failure or a rejection. cost: USD as the vendor reports it. latency: seconds until it is done.
        clip: the file to hand out. lose_reply: whether it is accepted without an answer.
        lost_looks, expired, bad: how many polls fail, links are stale, and fetches are cut (-1: all).
        rule: whose it is; while that one holds, nothing is done.
    """

    end: str = "succeed"
    retry_after: float | None = None
    charged: bool | None = None
    code: str | None = None
    cost: Decimal | None = None
    latency: float | None = None
    clip: bytes | None = None
    lose_reply: bool = False
    lost_looks: int = 0
    expired: int = 0
    bad: int = 0
    rule: Rule | None = None

    @property
    def held(self) -> bool:
        """Whether it waits for `release()`."""
        return self.rule is not None and self.rule.held


@dataclass(slots=True)
class Rule:
    """What happens to the submits that match. Each method adds something and gives the rule back.

    At most one says how it ends: `succeed` (the default), `fail`, `refuse` or `reject`; the others go with it where both can
    happen, and raise at once where they cannot.
    """

    model: str | None = None
    prompt: Prompt | None = None
    scope: str | None = None
    call: int | None = None
    held: bool = False
    _words: dict[str, dict[str, Any]] = field(default_factory=dict)
    _seen: int = 0
    _throttles_left: int = 0
    _released: dict[str, Callable[[], None]] = field(default_factory=dict)

    # -- what may happen ------------------------------------------------------------------------------------------------

    def succeed(
        self,
        *,
        cost: str | int | Decimal | None = None,
        latency: float | None = None,
        clip: str | os.PathLike[str] | bytes | None = None,
    ) -> Self:
        """It comes.

        Args:
            cost: USD that the vendor reports; by default it reports nothing and the catalog says what it costs.
            latency: seconds until it is done, instead of the catalog's.
            clip: a file, or its bytes, instead of a made one. It is checked like any other: length and size have to fit.
        """
        content = None
        if clip is not None:
            content = bytes(clip) if isinstance(clip, (bytes, bytearray)) else _content(clip)
        return self._add(
            "succeed",
            cost=None if cost is None else usd(cost, "cost"),
            latency=None if latency is None else _seconds("latency", latency),
            clip=content,
        )

    def fail(self, *, charged: bool | None = None, code: str | None = None) -> Self:
        """It is accepted and fails. `charged`: what the vendor says of it; None: nothing, so that its billing rule decides."""
        return self._add("fail", charged=_flag("charged", charged), code=_word("code", code))

    def refuse(self, *, stage: Literal["input", "output"] = "input") -> Self:
        """Policy: the prompt is refused at once ("input"), or all that was made is withheld ("output")."""
        if stage not in ("input", "output"):
            raise _bad("stage", stage, "'input' or 'output'")
        return self._add(f"refuse the {stage}")

    def reject(self, *, code: str | None = None) -> Self:
        """It is not accepted, for good: nothing is paid, and the next model of a list is tried."""
        return self._add("reject", code=_word("code", code))

    def throttle(self, *, retry_after: float = 5.0, times: int = 1) -> Self:
        """The first `times` submits are asked to come again after `retry_after` seconds."""
        count = _count("times", times)
        self._add("throttle", retry_after=_seconds("retry_after", retry_after))
        self._throttles_left = count
        return self

    def lose_reply(self, *, accepted: bool = True) -> Self:
        """The connection breaks before an answer comes: after the vendor accepted it, or (False) before it got there."""
        if not isinstance(accepted, bool):
            raise _bad("accepted", accepted, "True or False")
        return self._add("lose the reply" if accepted else "lose the submit")

    def crash_poll(self, *, times: int = 1) -> Self:
        """The first `times` looks at the job get no answer."""
        return self._add("crash_poll", lost_looks=_count("times", times))

    def expire_url(self, *, times: int = 1) -> Self:
        """The link of the result is stale; the `times`-th renewed one works."""
        return self._add("expire_url", expired=_count("times", times))

    def bad_file(self, *, times: int | None = None) -> Self:
        """What is fetched is cut off in the middle: the first `times` times, or always."""
        return self._add("bad_file", bad=-1 if times is None else _count("times", times))

    def hold(self) -> Self:
        """It is not done before `release()`. Meanwhile time does not pass for it, but with `advance` and with other jobs."""
        self._add("hold")
        self.held = True
        return self

    def release(self) -> None:
        """Let what is held go on.

        Raises:
            InvalidRequest: nothing is held by this rule.
        """
        if "hold" not in self._words:
            raise _bad("release()", None, "a rule with hold()")
        self.held = False
        listeners, self._released = self._released, {}
        for listener in listeners.values():
            listener()

    # -- how it is read -------------------------------------------------------------------------------------------------

    def matches(self, submission: Submission) -> bool:
        """Whether it speaks of this submit."""
        named = self.model in (None, submission.model, f"{submission.endpoint}/{submission.model}")
        return named and self.scope in (None, submission.scope) and _says(self.prompt, submission.prompt)

    def behaviour(self) -> Behaviour:
        """For the next submit."""
        if self._throttles_left:
            self._throttles_left -= 1
            return Behaviour(retry_after=self._words["throttle"]["retry_after"], rule=self)
        data: dict[str, Any] = {}
        for word, more in self._words.items():
            if word != "throttle":
                data |= more
        end = next((word for word in self._words if word in ENDS), "succeed")
        return Behaviour(end=end, lose_reply="lose the reply" in self._words, rule=self, **data)

    def when_released(self, remote_id: str, listener: Callable[[], None]) -> None:
        """Call `listener`, the one of that job, at the next release."""
        self._released[remote_id] = listener

    def _add(self, word: str, **data: Any) -> Self:
        for other in self._words:
            if word == other or _excludes(word, other) or _excludes(other, word):
                both = f"{word!r} twice" if word == other else f"{word!r} beside {other!r}"
                raise InvalidRequest(
                    f"A rule cannot say {both}.", field=word, allowed="what can happen to one and the same job",
                    hint="Make another rule, with call= for one certain submit.",
                )  # fmt: skip
        self._words[word] = data
        return self


def _excludes(one: str, other: str) -> bool:
    both_end = one in ENDS and other in ENDS
    no_job = one in NOTHING_ARRIVES and other in NEEDS_A_JOB | NEEDS_A_FILE
    return both_end or no_job or (one in NO_FILE and other in NEEDS_A_FILE)


class Rules:
    """All rules of a mock. The last that matches wins, and those for one certain submit go before the others."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def on(
        self,
        known: Collection[str],
        *,
        model: str | None = None,
        prompt: Prompt | None = None,
        scope: str | None = None,
        call: int | None = None,
    ) -> Rule:
        """A new rule. See `Mock.on`.

        Args:
            known: names of models and offers that there are.
        """
        if model is not None and model not in known:
            near = nearest_name(model, known) if isinstance(model, str) else None
            meant = f" (did you mean {near!r}?)" if near else ""
            raise _bad("model", model, f"a model or 'endpoint/model' of the catalog{meant}")
        if prompt is not None and not (isinstance(prompt, (str, re.Pattern)) or callable(prompt)):
            raise _bad(
                "prompt", prompt, "a part of the prompt, a compiled pattern, or a function of the prompt"
            )
        rule = Rule(model, prompt, _word("scope", scope), None if call is None else _count("call", call))
        with self._lock:
            self._rules.append(rule)
        return rule

    def meet(self, submission: Submission) -> Behaviour:
        """What a submit meets with. Counts it."""
        with self._lock:
            matching = [rule for rule in self._rules if rule.matches(submission)]
            for rule in matching:
                rule._seen += 1
            certain = [rule for rule in matching if rule.call is not None and rule.call == rule._seen]
            chosen: Sequence[Rule] = certain or [rule for rule in matching if rule.call is None]
            return chosen[-1].behaviour() if chosen else Behaviour()


def _says(wanted: Prompt | None, prompt: str) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return wanted in prompt
    if isinstance(wanted, re.Pattern):
        return wanted.search(prompt) is not None
    return bool(wanted(prompt))


def _content(clip: str | os.PathLike[str]) -> bytes:
    try:
        return Path(clip).read_bytes()
    except (OSError, TypeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidRequest(
            f"clip={shown(clip)} cannot be read: {why}.", field="clip", value=clip, allowed="a video file, or its bytes"
        ) from error  # fmt: skip


def _seconds(name: str, value: Any) -> float:
    if not is_real(value) or not 0 <= float(value) < 1e9:
        raise _bad(name, value, "seconds, 0 or more")
    return float(value)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _bad(name, value, "a whole number from 1")
    return value


def _flag(name: str, value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise _bad(name, value, "True, False or None")
    return value


def _word(name: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise _bad(name, value, "a word")
    return value


def _bad(name: str, value: Any, allowed: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name}={shown(value)} cannot be used. Allowed is {allowed}.", field=name, value=value, allowed=allowed
    )  # fmt: skip
