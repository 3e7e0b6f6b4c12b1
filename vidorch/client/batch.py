"""Many requests as one call. Each line is read and weighed before the first is sent; what is kept of it then is a few numbers."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from vidorch.call import Call, RequestOptions
from vidorch.engine.asked import Asked
from vidorch.errors import InvalidRequest, KeyConflict, VidorchError, shown
from vidorch.estimating import BatchEstimate, BatchOffer, Estimate
from vidorch.money import from_micros, to_micros
from vidorch.offloop import in_thread
from vidorch.planning import Plan, PlannedOffer
from vidorch.price import FREE, Range
from vidorch.request import Request

if TYPE_CHECKING:
    from vidorch.ledger.ledger import Ledger

__all__ = ["AT_ONCE", "Batch", "Line", "ToSend"]

Line = str | Request | Mapping[str, object]
"""One request of a batch: a prompt, a `Request`, or a mapping of options with `prompt` among them."""
Parse = Callable[[Any, Mapping[str, Any]], tuple[Request, Call]]
Prepare = Callable[[Request, Call], tuple[Plan, Estimate]]
T = TypeVar("T")

AT_ONCE = 256
"""Lines of a batch that are under way at the same time."""
MOST_AT_ONCE = 10_000
OF_ALL = ("max_cost", "scope", "detach")
"""Options that hold for the call, and so for all of its lines."""
SLICE = 64
"""Lines that are looked at before anybody else gets a turn."""
HASH = 32


@dataclass(slots=True)
class _Sum:
    """What goes to one offer."""

    lines: int = 0
    clips: int = 0
    cost: Range[Decimal] = FREE
    confirmed: bool = True
    needs: tuple[str, ...] = ()
    imputed: Range[Decimal] = FREE


@dataclass(frozen=True, slots=True)
class ToSend:
    """What of a batch is still to be sent: all of it, or what the calls before with its keys left.

    Attributes:
        lines: that have something to send. first: USD that their first submits may cost. most: the same with everything that
            they allow.
    """

    lines: int
    first: Decimal
    most: Decimal


@dataclass(slots=True)
class Batch:
    """The lines of one call, and what they come to.

    Attributes:
        lines: as they were given; each is read anew when its turn comes. options: for every line that says nothing else.
        numbers: what people call the lines; empty where they are counted from 1.
        call: the options of the whole. at_once: lines under way at the same time.
        under_way: by line, the run that it has begun and that is waited for.
        free, unpriced, hosted: whether all cost nothing, the price of any is not known, any is made elsewhere than in here.
    """

    lines: Sequence[Line]
    options: Mapping[str, Any]
    call: Call
    at_once: int = AT_ONCE
    numbers: Sequence[int] = ()
    under_way: dict[int, str] = field(default_factory=dict)
    free: bool = True
    hosted: bool = False
    unpriced: bool = False
    _parse: Parse = field(kw_only=True)
    _first: array[int] = field(default_factory=lambda: array("q"))
    _most: array[int] = field(default_factory=lambda: array("q"))
    _hashes: bytearray = field(default_factory=bytearray)
    _keys: dict[int, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _sums: dict[str, _Sum] = field(default_factory=dict)
    _left_out: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        lines: Iterable[Line],
        options: Mapping[str, Any],
        parse: Parse,
        at_once: int = AT_ONCE,
        numbers: Sequence[int] = (),
    ) -> Batch:
        """A batch of which no line was looked at yet.

        Raises:
            InvalidRequest: an option of the whole is wrong, or `lines` are no lines.
        """
        allowed = "a list of prompts, Requests or mappings of options"
        if isinstance(lines, (str, bytes, Mapping, Request)) or not isinstance(lines, Iterable):
            raise InvalidRequest(
                f"prompts={shown(lines)} cannot be used. Allowed is {allowed}.", field="prompts", value=lines, allowed=allowed
            )  # fmt: skip
        if not isinstance(at_once, int) or isinstance(at_once, bool) or not 1 <= at_once <= MOST_AT_ONCE:
            allowed = f"a whole number from 1 to {MOST_AT_ONCE:,}"
            raise InvalidRequest(
                f"at_once={shown(at_once)} cannot be used. Allowed is {allowed}.", field="at_once", value=at_once,
                allowed=allowed,
            )  # fmt: skip
        whole = {name: value for name, value in options.items() if name not in RequestOptions.__annotations__}
        _, call = parse(Request(prompt="a batch"), whole)
        if call.detach:
            raise InvalidRequest(
                "detach=True goes with submit, which hands back one run; a batch waits.", field="detach", value=True,
                allowed="submit(..., detach=True)",
            )  # fmt: skip
        # A list may be changed while we wait; another sequence may make its lines as they are asked for.
        plain = not isinstance(lines, Sequence) or isinstance(lines, list)
        kept: Sequence[Line] = tuple(lines) if plain else lines  # type: ignore[assignment]
        return cls(kept, dict(options), call, at_once, numbers, _parse=parse)

    def number(self, place: int) -> int:
        """What people call a line."""
        return self.numbers[place] if self.numbers else place + 1

    def asks_at_most(self, max_cost: Decimal) -> None:
        """From now on the lines may cost that together, and no more."""
        self.call, self.options = (
            replace(self.call, max_cost=max_cost),
            {**self.options, "max_cost": max_cost},
        )

    # -- reading a line -------------------------------------------------------------------------------------------------

    def read(self, place: int) -> tuple[Request, Call]:
        """One line with its options, under its own key.

        Raises:
            VidorchError: it is wrong; the message begins with its number.
        """
        return self._said_of(place, lambda: self._read(place))

    def _read(self, place: int) -> tuple[Request, Call]:
        line, own = self.lines[place], {}
        if isinstance(line, Mapping):
            own = {name: value for name, value in line.items() if value is not None}
            for name in OF_ALL:
                if name in own:
                    raise InvalidRequest(
                        f"{name}= holds for all lines together, and no line has one of its own.", field=name, value=own[name],
                        allowed=f"{name}= beside the lines",
                    )  # fmt: skip
        prompt = own.pop("prompt", "") if isinstance(line, Mapping) else line
        instead: tuple[str, ...] = () if "size" not in own else ("resolution", "aspect_ratio")
        if "resolution" in own or "aspect_ratio" in own:  # one way to say the shape instead of the other
            instead = ("size",)
        options = {name: value for name, value in self.options.items() if name not in instead} | own
        key = own.get("key")
        if key is None and self.call.key is not None:
            options["key"] = f"{self.call.key}/{place + 1}"
        return self._parse(prompt, options)

    def _said_of(self, place: int, work: Callable[[], T]) -> T:
        try:
            return work()
        except VidorchError as error:
            error.args = (f"Line {self.number(place)}: {error.message}", *error.args[1:])
            raise

    # -- weighing all -----------------------------------------------------------------------------------------------------

    async def weigh(
        self, prepare: Prepare, *, gather: bool = False, tell: Callable[[int, int], object] | None = None
    ) -> None:
        """Look at every line, and keep what they come to.

        Args:
            gather: go on after a line that cannot be served, and keep why. tell: told now and then how many of how many are done.

        Raises:
            VidorchError: of the first line that cannot be served. Nothing was sent.
        """
        for first in range(0, len(self.lines), SLICE):
            await in_thread(
                self._weigh_some, range(first, min(first + SLICE, len(self.lines))), prepare, gather
            )
            if tell is not None:
                tell(min(first + SLICE, len(self.lines)), len(self.lines))

    def weigh_now(self, prepare: Prepare, *, gather: bool = False) -> None:
        """`weigh` without a loop. Blocks."""
        self._weigh_some(range(len(self.lines)), prepare, gather)

    def _weigh_some(self, places: Iterable[int], prepare: Prepare, gather: bool) -> None:
        for place in places:
            try:
                self._weigh(place, prepare)
            except VidorchError as error:
                if not gather:
                    raise
                why = str(error).removeprefix(f"Line {self.number(place)}: ")
                self._left_out.setdefault(why, []).append(self.number(place))

    def _weigh(self, place: int, prepare: Prepare) -> None:
        from vidorch.engine.rows import asked_hash

        request, call = self.read(place)
        plan, estimate = self._said_of(place, lambda: prepare(request, call))
        self._said_of(place, lambda: self._must_be_alone(place, call))
        asked = Asked(request, call, plan, estimate)
        self._first.append(to_micros(asked.at_first, up=True))
        self._most.append(to_micros(asked.at_most, up=True))
        if call.key is not None:
            self._hashes += bytes.fromhex(asked_hash(request, call))
            if self.call.key is None or call.key != f"{self.call.key}/{place + 1}":
                self._keys[place] = call.key
        else:
            self._hashes += bytes(HASH)
        self.free = self.free and not plan.entries[0].spending
        self.hosted = self.hosted or any(entry.offer.outlives_caller for entry in plan.entries)
        self.unpriced = self.unpriced or any(entry.unpriced for entry in plan.entries)
        self._add(plan.entries[0], request.candidates)

    def _must_be_alone(self, place: int, call: Call) -> None:
        """Two lines of one key would be one run, and of one file one clip."""
        if call.key is not None and call.key != f"{self.call.key}/{place + 1}":
            if self._is_taken(call.key):
                raise InvalidRequest(
                    f"key={call.key!r} is the key of another line, or of all.", field="key", value=call.key,
                    allowed="a key that no other line has",
                )  # fmt: skip
            self._taken.add(call.key)
        if call.output is not None and len(self.lines) > 1 and self._is_a_file(call.output):
            if (file := f"file {call.output}") in self._taken or call.output == self.call.output:
                raise InvalidRequest(
                    f"output={call.output!r} is one file, and more than one line would go there.",
                    hint="Name a folder, or give each line a file of its own.", field="output", value=call.output,
                    allowed="an existing folder, or a new one written with a slash at its end",
                )  # fmt: skip
            self._taken.add(file)

    def _is_taken(self, key: str) -> bool:
        head, _, tail = key.rpartition("/")
        derived = head == self.call.key and tail.isdecimal() and 1 <= int(tail) <= len(self.lines)
        return derived or key == self.call.key or key in self._taken

    @staticmethod
    def _is_a_file(output: str) -> bool:
        from pathlib import Path

        return not output.endswith(("/", "\\")) and ("://" in output or not Path(output).is_dir())

    def _add(self, entry: PlannedOffer, candidates: int) -> None:
        so_far = self._sums.setdefault(entry.offer.name, _Sum())
        so_far.lines += 1
        so_far.clips += candidates
        so_far.cost = _plus(so_far.cost, entry.cost.times(candidates))
        if entry.imputed is not None:
            so_far.imputed = _plus(so_far.imputed, entry.imputed.times(candidates))
        so_far.confirmed &= entry.priced.row is None or entry.priced.row.confirmed
        so_far.needs = tuple(dict.fromkeys((*so_far.needs, *entry.needs)))

    @property
    def estimate(self) -> BatchEstimate:
        """What all lines come to that were looked at."""
        offers = [
            BatchOffer(name, one.lines, one.clips, one.cost, one.confirmed, one.needs, one.imputed)
            for name, one in self._sums.items()
        ]
        total = imputed = FREE
        for one in offers:
            total, imputed = _plus(total, one.cost), _plus(imputed, one.imputed)
        return BatchEstimate(
            lines=len(self.lines),
            clips=sum(one.clips for one in offers),
            cost=total,
            offers=tuple(sorted(offers, key=lambda one: (-one.cost.expected, one.offer))),
            left_out={why: tuple(places) for why, places in self._left_out.items()},
            imputed=imputed,
        )

    # -- what was done before ----------------------------------------------------------------------------------------------

    def to_send(self, ledger: Ledger | None) -> ToSend:
        """What is still to be sent, by what the runs of these keys have come to. Blocks.

        Raises:
            KeyConflict: a line is not the one that its key belongs to. Nothing was sent.
        """
        keyed = ledger is not None and (
            bool(self._keys)
            or (self.call.key is not None and ledger.run_by_key(self.call.scope, self.call.key) is not None)
        )
        lines = first = most = 0
        for place in range(len(self._first)):
            part, of = self._unsent(place, ledger) if keyed and ledger is not None else (1, 1)
            lines += part > 0
            first += self._first[place] * part // of
            most += self._most[place] * part // of
        return ToSend(lines, from_micros(first), from_micros(most))

    def _unsent(self, place: int, ledger: Ledger) -> tuple[int, int]:
        """Of how many candidates of a line nothing was ever sent, of how many."""
        from vidorch.engine.deciding import unsent_of

        key = self._key_of(place)
        run = None if key is None else ledger.run_by_key(self.call.scope, key)
        if run is None:
            return 1, 1
        if run["request_hash"] != self._hashes[place * HASH : (place + 1) * HASH].hex():
            raise KeyConflict(
                f"Line {self.number(place)}: the key {key!r} belongs to another request of scope {self.call.scope!r}. "
                "Nothing was sent.",
                hint="With key=, lines are known by their place: add new ones at the end and change none, or give each a key of "
                "its own.",
                run_id=run["id"],
            )  # fmt: skip
        if run["state"] == "cancelled":
            return 0, 1
        return unsent_of(run["candidates"], ledger.jobs(run_id=run["id"])), run["candidates"]

    def _key_of(self, place: int) -> str | None:
        if place in self._keys:
            return self._keys[place]
        return None if self.call.key is None else f"{self.call.key}/{place + 1}"

    # -- how far it is ------------------------------------------------------------------------------------------------------

    def how_to_go_on(self, parent: str, done: int) -> str:
        """What becomes of a batch that nobody waits for any more."""
        said = f"{done} of {len(self.lines)} lines had ended. "
        if self.under_way:
            said += (
                f"What is at a vendor of the {len(self.under_way)} that were under way goes on and is paid for; get it back with "
                f"client.resume({parent!r}), or from anywhere with: vidorch jobs resume {parent}. "
            )
        if self._key_of(0) is None:
            return f"{said}The others were not begun; without key= the same call would make all lines anew."
        return f"{said}The others were not begun; the same call with its key joins what was and sends only what was not."


def _plus(one: Range[Decimal], other: Range[Decimal]) -> Range[Decimal]:
    return Range(one.low + other.low, one.expected + other.expected, one.high + other.high)
