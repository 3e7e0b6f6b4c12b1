"""What a client says before anything is spent: which offers can serve a request, what it costs, whether it can be made at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from vidorch.call import Call, EstimateOptions, Options
from vidorch.catalog import Catalog
from vidorch.client.batch import Batch, Line
from vidorch.client.market import Credentials
from vidorch.client.opening import Opening
from vidorch.errors import OverBudget
from vidorch.estimating import BatchEstimate, Estimate
from vidorch.money import show_usd
from vidorch.naming import ANY
from vidorch.offer import Offer
from vidorch.offloop import in_thread
from vidorch.planning import Plan, estimate_of
from vidorch.request import Request

__all__ = ["Weighing"]


class Weighing(Opening):
    """The calls of a client that only compute."""

    _credentials: Credentials | None

    def __init__(self) -> None:
        super().__init__()
        self._planned_once: set[tuple[Any, ...]] = set()

    @property
    def catalog(self) -> Catalog:
        """All offers, in their layers."""
        return self._market.catalog

    async def estimate(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
        """What a request would cost and how long it would take. Spends nothing, needs no key and no network.

        Raises:
            InvalidRequest, Unsupported, Retired: as `generate` would.
            OverBudget: the high estimate does not fit `max_cost`.
        """
        return await in_thread(lambda: self.estimate_now(prompt, **options))

    def estimate_now(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
        """`estimate` without a loop: it only computes."""
        request, call = self._market.parse(prompt, options)
        plan = self._market.plan(request, call, to_run=False)
        plan.require()
        estimate = estimate_of(plan)
        if call.max_cost is not None and estimate.cost is not None and estimate.cost.high > call.max_cost:
            raise OverBudget(
                f"This may cost up to {show_usd(estimate.cost.high)} and max_cost is {show_usd(call.max_cost)}. "
                "Nothing was sent.",
                needed=estimate.cost.high, available=call.max_cost,
            )  # fmt: skip
        return estimate

    def compared(self) -> tuple[Offer, ...]:
        """What a comparison is over: the catalog's offers, and what servers of one's own make. A second account adds none."""
        shared = {offer.name for offer in self.catalog.offers}
        return tuple(
            offer
            for offer in self._market.offers.values()
            if offer.model != ANY and (offer.name in shared or offer.price.rule == "hours")
        )

    def compare(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
        """The estimate for every model of the catalog that can serve a request (or for those named), cheapest first."""
        request, call = self._market.parse(prompt, options)
        models = call.models or tuple(offer.name for offer in self.compared())
        estimate = estimate_of(self._market.plan(request, replace(call, models=models), to_run=False))
        lines = sorted(estimate.lines, key=lambda line: (line.in_all.expected, line.offer))
        return replace(estimate, lines=tuple(lines))

    async def estimate_many(
        self, prompts: Iterable[Line], **options: Unpack[EstimateOptions]
    ) -> BatchEstimate:
        """What a batch would cost, each line on its first offer. Spends nothing, needs no key and no network.

        Args:
            prompts, options: as for `generate_many`.

        Returns:
            The sum, by offer, and which lines cannot be served and why: `generate_many` sends nothing as long as there are any.

        Raises:
            InvalidRequest: an option for all lines is wrong. OverBudget: the high estimate does not fit `max_cost`.
        """
        return await in_thread(lambda: self.estimate_many_now(prompts, **options))

    def estimate_many_now(
        self, prompts: Iterable[Line], *, numbers: Sequence[int] = (), **options: Unpack[Options]
    ) -> BatchEstimate:
        """`estimate_many` without a loop: it only computes. `numbers`: what the lines are called. Default: 1, 2, ..."""

        def prepare(request: Request, call: Call) -> tuple[Plan, Estimate]:
            plan = self._market.plan(request, call, to_run=False)
            plan.require()
            return plan, Estimate()

        batch = Batch.of(prompts, options, self._market.parse, numbers=numbers)
        batch.weigh_now(prepare, gather=True)
        estimate, most = batch.estimate, batch.call.max_cost
        if most is not None and estimate.cost.high > most:
            raise OverBudget(
                f"These {estimate.lines} lines may cost up to {show_usd(estimate.cost.high)} together and max_cost is "
                f"{show_usd(most)}. Nothing was sent.",
                needed=estimate.cost.high, available=most,
            )  # fmt: skip
        return estimate

    async def plan(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Plan:
        """The offers that can serve a request, in order, and for each one left out the reason. Spends nothing."""
        request, call = self._market.parse(prompt, options)
        return await in_thread(self._market.plan, request, call, to_run=False)

    def parse(self, prompt: str | Request, options: Mapping[str, Any]) -> tuple[Request, Call]:
        """A request and how it is to be carried out, with what the configuration says where the options say nothing.

        Raises:
            InvalidRequest, Unsupported: an option is wrong, or an input is of a kind that may not be used here.
        """
        return self._market.parse(prompt, options)

    def prepare(self, request: Request, call: Call) -> tuple[Plan, Estimate]:
        """Everything `submit` checks before it writes or sends anything: what a face needs before it asks its user. Blocks.

        Raises:
            VidorchError: as `submit` would.
        """
        from vidorch.engine.targets import target_of

        plan = self._market.plan(request, call, to_run=True)
        plan.require()
        if self._world is not None:
            self._world.planned(plan)
        _look_inside(request)
        # A taken name is said before anybody is asked to pay; the run of a key may have put its own clip there.
        target_of(
            call.output,
            call.overwrite,
            self._home,
            again=call.key is not None,
            stills=request.task == "image",
        )
        return plan, estimate_of(plan)

    async def _planned(self, request: Request, call: Call) -> tuple[Plan, Estimate]:
        """`prepare`, on this thread where that is certain to take less than going to another one and back."""
        if not self._is_quick(request, call):
            planned = await in_thread(self.prepare, request, call)
            if _names_alone(call):
                self._planned_once.add((call.models, call.scope))
            return planned
        return self.prepare(request, call)

    def _is_quick(self, request: Request, call: Call) -> bool:
        """Whether a plan opens no file and asks nobody: what has to be loaded for its models was loaded for one like it."""
        return (
            self._credentials is None
            and call.output is None
            and _names_alone(call)
            and (call.models, call.scope) in self._planned_once
            and not any(request.media())
        )


def _names_alone(call: Call) -> bool:
    """Whether its models are plain names; a `Choice` may bring media of its own."""
    return all(isinstance(model, str) for model in call.models)


def _look_inside(request: Request) -> None:
    """Decode what lies here before anything is spent on it: a file can start like a picture and not be one."""
    from vidorch import media

    for _, item in request.media():
        if item.url is not None:
            continue
        source = item.path if item.path is not None else item.read()
        if item.kind == "image":
            media.load_still(source)
        else:
            media.probe(source)
