"""A vendor that does what it is told, keeps books of its own, and takes its time on the mock's clock."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, cast
from weakref import WeakSet

from vidorch.contract import (
    Accepted,
    Cancelled,
    Context,
    Done,
    Failed,
    FoundJob,
    Health,
    LookFor,
    Output,
    Polled,
    Prepared,
    Progress,
    Provider,
    Rejected,
)
from vidorch.errors import ProviderFailed, Refused, Throttled, VidorchError
from vidorch.inputs import Media
from vidorch.offloop import in_thread
from vidorch.request import RESOLUTIONS, Request
from vidorch.testing.clock import VirtualClock
from vidorch.testing.rules import Behaviour, Rules, Submission

__all__ = ["Order", "Remote"]

QUEUED = 0.1
"""Share of its time that a job stands in the queue."""
SEARCH_LAG = 10.0
"""Seconds after which a search shows what was accepted."""


@dataclass(frozen=True, slots=True)
class Goods:
    """What a job yields: its files can be made again from this alone, in any process."""

    size: tuple[int, int]
    seconds: float
    sound: bool
    seed: int
    seeded: bool
    still: bool
    samples: int


@dataclass(slots=True)
class Order:
    """One accepted job, as the vendor's books have it.

    Attributes:
        at: when it was accepted. latency: seconds that it takes. cancelled: whether it was called off before it was done.
        looks: how often it was polled. watchers: tasks that poll it while it is held. fetches: by output.
    """

    submission: Submission
    behaviour: Behaviour
    goods: Goods
    at: float
    latency: float
    cancelled: bool = False
    looks: int = 0
    watchers: WeakSet[asyncio.Task[Any]] = field(default_factory=WeakSet)
    fetches: dict[int, int] = field(default_factory=dict)

    @property
    def remote_id(self) -> str:
        return cast(str, self.submission.remote_id)

    def accepted(self) -> Accepted:
        """The answer to its submit; with it, another process can go on."""
        goods, behaviour = self.goods, self.behaviour
        return Accepted(
            self.remote_id,
            details={
                "at": self.at, "latency": self.latency, "end": behaviour.end, "charged": behaviour.charged,
                "code": behaviour.code, "cost": None if behaviour.cost is None else str(behaviour.cost), "size": list(goods.size),
                "seconds": goods.seconds, "sound": goods.sound, "seed": goods.seed, "seeded": goods.seeded,
                "still": goods.still, "samples": goods.samples,
            },
        )  # fmt: skip

    @classmethod
    def of_details(cls, submission: Submission, told: Mapping[str, Any]) -> Order:
        """A job that another process submitted to a mock of its own, by what its answer says."""
        goods = Goods(
            (told["size"][0], told["size"][1]), told["seconds"], told["sound"], told["seed"], told["seeded"], told["still"],
            told["samples"],
        )  # fmt: skip
        cost = None if told["cost"] is None else Decimal(told["cost"])
        behaviour = Behaviour(end=told["end"], charged=told["charged"], code=told["code"], cost=cost)
        return cls(submission, behaviour, goods, told["at"], told["latency"])


class Remote(Provider):
    """Stands in for every hosted provider.

    Args:
        clock: whose time its jobs take. rules: what they meet with.
        books: file for the jobs of which nobody but the vendor knows, since the answer to their submit was lost: another
            process looks them up there, as it would at the vendor.
    """

    name: ClassVar[str] = "test"
    simulated: ClassVar[bool] = True

    def __init__(self, clock: VirtualClock, rules: Rules, books: Path) -> None:
        self._clock = clock
        self._books = books
        self._rules = rules
        self._lock = threading.Lock()
        self.submissions: list[Submission] = []
        """Every submit that was made, in order, whatever came of it."""
        self.orders: dict[str, Order] = {}
        """What was accepted, by remote id."""

    # -- submit ---------------------------------------------------------------------------------------------------------

    async def prepare(self, context: Context, request: Request, offer: Any) -> Prepared:
        return Prepared(request, offer, await in_thread(_goods, request, context))

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        request, offer = prepared.request, prepared.offer
        submission = Submission(
            offer.model, offer.endpoint, request.prompt or "", request.describe(), context.samples, context.scope,
            context.job_id, self._clock.now(),
        )  # fmt: skip
        behaviour = self._rules.meet(submission)
        if (refusal := _refusal(behaviour)) is not None:
            answer, rejected = refusal
            self._enter(replace(submission, answer=answer))
            raise rejected
        if behaviour.end == "lose the submit":
            self._enter(replace(submission, answer="never arrived"))
            raise _broken_off()
        lost = behaviour.lose_reply
        accepted = replace(
            submission, answer="accepted, reply lost" if lost else "accepted", remote_id=f"mock-{context.job_id}"
        )  # fmt: skip
        latency = behaviour.latency
        if latency is None:
            latency = offer.latency.expected + offer.latency.per_output_second * (request.duration or 0.0)
        order = Order(accepted, behaviour, prepared.body, self._clock.now(), latency)
        self._enter(accepted)
        with self._lock:
            self.orders[order.remote_id] = order
        if lost:
            await in_thread(self._write_down, order)
            raise _broken_off()
        return order.accepted()

    def _write_down(self, order: Order) -> None:
        line = {"submission": asdict(order.submission), "details": dict(order.accepted().details)}
        with self._lock:
            self._books.parent.mkdir(parents=True, exist_ok=True)
            with self._books.open("a", encoding="utf-8") as books:
                books.write(json.dumps(line, default=str) + "\n")

    def _look_up(self) -> None:
        """Learn of the jobs that other processes submitted, and had no answer for."""
        with self._lock:
            if not self._books.is_file():
                return
            whole = self._books.read_text("utf-8").rpartition("\n")[0]  # the last line may be half written
            for line in whole.splitlines():
                told = json.loads(line)
                submission = Submission(**told["submission"])
                if submission.remote_id not in self.orders:
                    order = Order.of_details(submission, told["details"])
                    self.orders[order.remote_id] = order

    def _enter(self, submission: Submission) -> None:
        with self._lock:
            self.submissions.append(submission)

    # -- look -----------------------------------------------------------------------------------------------------------

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        order, task = await self._order(accepted, context), asyncio.current_task()
        self._clock.release(task)
        order.looks += 1
        if order.looks <= order.behaviour.lost_looks:
            raise ConnectionResetError("the connection was reset (mock)")
        if order.cancelled:
            return Failed(ProviderFailed("The job was cancelled (mock)."), cancelled=True)
        elapsed = self._clock.now() - order.at
        if order.behaviour.held:
            rule = order.behaviour.rule
            assert rule is not None
            self._clock.hold(task)
            if task is not None:
                order.watchers.add(task)
            rule.when_released(order.remote_id, lambda: self._let_go(order))
            return _progress(elapsed, max(order.latency, elapsed * 1.25))
        if elapsed < order.latency:
            return _progress(elapsed, order.latency)
        return _end(order)

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        order = await self._order(accepted, context)
        done = self._clock.now() - order.at >= order.latency and not order.behaviour.held
        order.cancelled = not done
        self._let_go(order)
        return Cancelled(not done)

    def _let_go(self, order: Order) -> None:
        for task in list(order.watchers):
            self._clock.release(task)

    def find_mode(self, offer: Any) -> Any:
        return offer.find

    async def find(self, context: Context, job: LookFor) -> list[FoundJob]:
        await in_thread(self._look_up)
        with self._lock:
            orders = list(self.orders.values())
        seen = [order for order in orders if self._clock.now() >= order.at + SEARCH_LAG]
        if job.offer.find == "exact":
            return [
                FoundJob(one.accepted(), one.at, exact=True) for one in seen if one.submission.job_id == job.job_id
            ]  # fmt: skip
        wanted = _comparable(job.settings)
        return [
            FoundJob(one.accepted(), one.at)
            for one in seen
            if (one.submission.endpoint, one.submission.model) == (job.offer.endpoint, job.offer.model)
            and _comparable(one.submission.settings) == wanted
        ]

    async def check(self, context: Context) -> Health:
        return Health(True, "mock: nothing was asked")

    # -- fetch ----------------------------------------------------------------------------------------------------------

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        remote_id, renewed = _read_ref(output.ref)
        with self._lock:
            order = self.orders[remote_id]
            if renewed < order.behaviour.expired:
                raise ProviderFailed("The link of the result has expired (mock).", code="expired")
            fetched = order.fetches[output.index] = order.fetches.get(output.index, 0) + 1
        bad = order.behaviour.bad
        await in_thread(_write, order, output.index, path, cut=bad < 0 or fetched <= bad)

    async def refresh(self, context: Context, accepted: Accepted, output: Output) -> Output:
        remote_id, renewed = _read_ref(output.ref)
        return replace(output, ref=_ref(remote_id, output.index, renewed + 1))

    async def _order(self, accepted: Accepted, context: Context) -> Order:
        remote_id, told = accepted.remote_id, accepted.details
        if remote_id not in self.orders and "latency" not in told:  # adopted by hand: nobody had an answer
            await in_thread(self._look_up)
        with self._lock:
            order = self.orders.get(remote_id)
            if order is None:
                if "latency" not in told:
                    raise ProviderFailed(
                        f"There is no job {remote_id!r} (mock).", charged=None, code="not_found"
                    )
                submission = Submission(
                    "", context.endpoint.name, "", {}, told["samples"], "", context.job_id, told["at"], "accepted", remote_id
                )  # fmt: skip
                order = self.orders[remote_id] = Order.of_details(submission, told)
            return order


def _refusal(behaviour: Behaviour) -> tuple[str, Rejected] | None:
    """The word for the books, and what `submit` raises, where nothing is accepted and the vendor says so."""
    if behaviour.retry_after is not None:
        patience = Throttled(
            f"Too many requests; again in {behaviour.retry_after:g} s (mock).",
            retry_after=behaviour.retry_after,
        )
        return "throttled", Rejected(patience, retry_after=behaviour.retry_after)
    if behaviour.end == "refuse the input":
        return "refused", Rejected(Refused("The prompt was refused by policy (mock).", stage="input"))
    if behaviour.end == "reject":
        error = ProviderFailed("The request was not accepted (mock).", charged=False, code=behaviour.code)
        return "rejected", Rejected(error)
    return None


def _broken_off() -> VidorchError:
    return ProviderFailed("The connection broke off before an answer came (mock).", charged=None)


def _progress(elapsed: float, latency: float) -> Progress:
    fraction = min(elapsed / latency, 0.99) if latency > 0 else 0.99
    return Progress("queued" if fraction < QUEUED else "running", fraction, eta=max(0.0, latency - elapsed))


def _end(order: Order) -> Polled:
    behaviour, goods = order.behaviour, order.goods
    if behaviour.end == "fail":
        return Failed(
            ProviderFailed("The job failed (mock).", charged=behaviour.charged, code=behaviour.code)
        )
    if behaviour.end == "refuse the output":
        return Done((), filtered=goods.samples, filter_reasons=("withheld by policy (mock)",))
    outputs = tuple(
        Output(
            index, _ref(order.remote_id, index, 0), "image/png" if goods.still else "video/mp4",
            goods.seed + index if goods.seeded else None,
        )
        for index in range(goods.samples)
    )  # fmt: skip
    timings = {"queue": order.latency * QUEUED, "run": order.latency * (1 - QUEUED)}
    return Done(outputs, cost=behaviour.cost, timings=timings)


def _ref(remote_id: str, index: int, renewed: int) -> str:
    return f"mock://{remote_id}/{index}/{renewed}"


def _read_ref(ref: str) -> tuple[str, int]:
    remote_id, _, renewed = ref.removeprefix("mock://").split("/")
    return remote_id, int(renewed)


def _comparable(settings: Mapping[str, Any]) -> str:
    """As the ledger would give it back: what is bought, without what is done with it here."""
    bought = {name: value for name, value in settings.items() if name != "trim_to"}
    return json.dumps(bought, sort_keys=True, default=str)


def _goods(request: Request, context: Context) -> Goods:
    """What was bought, in pixels and seconds."""
    route = context.route
    sound = bool(request.audio) or (route is not None and route.capabilities.audio == "on")
    seeded = request.seed is not None
    seed = request.seed if request.seed is not None else sum(context.job_id.encode())
    return Goods(
        request.size or _pixels(request), request.duration or 5.0, sound, seed, seeded,
        route is not None and route.task == "image", context.samples,
    )  # fmt: skip


def _pixels(request: Request) -> tuple[int, int]:
    """Where a vendor names no pixels: its resolution, in the shape that was asked for or that the image has."""
    from vidorch import media

    short = RESOLUTIONS[request.resolution] if request.resolution else 720
    if request.aspect_ratio:
        wide, high = (float(side) for side in request.aspect_ratio.split(":"))
    elif isinstance(image := request.image, Media) and image.url is None:
        picture = media.load_still(image.path if image.path is not None else image.read())
        high, wide = float(picture.shape[0]), float(picture.shape[1])
    else:
        wide, high = 16.0, 9.0
    scale = short / min(wide, high)
    return round(wide * scale / 2) * 2, round(high * scale / 2) * 2


def _write(order: Order, index: int, path: Path, *, cut: bool) -> None:
    from vidorch.testing.clips import clip_bytes, still_bytes

    goods = order.goods
    content = order.behaviour.clip
    if content is None and goods.still:
        content = still_bytes(goods.size, seed=goods.seed + index)
    elif content is None:
        content = clip_bytes(
            goods.size,
            goods.seconds,
            seed=goods.seed + index,
            sound=goods.sound,
            name=f"{order.remote_id}/{index}",
        )
    path.write_bytes(content[: len(content) // 2] if cut else content)
