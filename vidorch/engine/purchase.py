"""What one job buys: the offer, the way it is asked, and what may come of it. Made from a plan, or again from a job's row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from vidorch.frozen import changed
from vidorch.mapping import goes_by_its_job
from vidorch.naming import uncatalogued
from vidorch.offer import Offer, Price, Route
from vidorch.planning import PlannedOffer
from vidorch.request import Request
from vidorch.result import Job

__all__ = ["Purchase", "sources_for"]


@dataclass(frozen=True, slots=True)
class Purchase:
    """One submission's worth.

    Attributes:
        request: as bought; None where only the ledger is left of it, and then nothing can be submitted any more.
        settings: the request as it is written down. samples: clips that this one job is to yield.
        duration: seconds of each clip, None where the inputs decide. size: pixels. trim_to: seconds to cut to.
        low, expected, high: USD for the whole job. fingerprint: of the request as bought.
        webhook: where the vendor is to call when it ends; the job's token goes behind it.
    """

    offer: Offer
    route: Route | None
    request: Request | None
    settings: Mapping[str, Any]
    samples: int
    duration: float | None
    size: tuple[int, int] | None
    trim_to: float | None
    low: Decimal
    expected: Decimal
    high: Decimal
    fingerprint: str
    webhook: str | None = None

    @property
    def calls_back(self) -> bool:
        """Whether word from the vendor may come, whoever asked for it."""
        return self.webhook is not None or bool(self.settings.get("webhook"))

    @classmethod
    def of_plan(
        cls, planned: PlannedOffer, *, samples: int, seed: int | None, webhook: str | None = None,
        made_from: Mapping[str, str] | None = None,
    ) -> Purchase:  # fmt: skip
        """What is bought for `samples` candidates, the first of them with `seed`."""
        request = planned.request
        if seed is not None and request.seed != seed:
            request = changed(request, seed=seed)
        settings = request.describe()
        fingerprint = request.fingerprint(settings)
        if planned.device:
            settings["device"] = planned.device
        if planned.trim_to is not None:
            settings["trim_to"] = planned.trim_to
        if webhook is not None:
            settings["webhook"] = True
        if named := sources_for(planned, made_from or {}):
            settings["made_from"] = named
        cost = planned.cost.times(samples)
        return cls(
            planned.offer, planned.route, request, settings, samples, request.duration, request.size, planned.trim_to,
            cost.low, cost.expected, cost.high, fingerprint, webhook,
        )  # fmt: skip

    @classmethod
    def of_job(cls, job: Job, offers: Mapping[str, Offer]) -> Purchase:
        """What a job of the ledger bought, whoever bought it.

        An offer that the catalog dropped meanwhile is made up from the row.
        """
        offer = offers.get(f"{job.endpoint}/{job.model}")
        if offer is None and "/" in job.model:  # a vendor's own id, which was never in the catalog
            offer = uncatalogued(f"{job.endpoint}:{job.model}", offers.values())
        if offer is None or offer.provider != job.provider:
            offer = Offer(
                job.model, job.endpoint, job.provider, job.model, {}, Price("table" if job.billed else "free"), find=_find(job),
                outlives_caller=job.outlives_caller,
            )  # fmt: skip
        settings, size = dict(job.settings), job.settings.get("size")
        if isinstance(size, str):
            size = [int(side) for side in size.split("x")]
        return cls(
            replace(offer, outlives_caller=job.outlives_caller), offer.routes.get(job.task), None, settings, job.samples,
            settings.get("duration"), (int(size[0]), int(size[1])) if size else None, settings.get("trim_to"),
            job.estimate_low, job.estimate, job.estimate_high, job.settings_hash,
        )  # fmt: skip


def sources_for(planned: PlannedOffer, made_from: Mapping[str, str]) -> dict[str, str]:
    """The ids that an offer's route takes instead of a file, of those that are known and are its endpoint's."""
    offer, route = planned.offer, planned.route
    return {
        name: made_from[name]
        for name, media in planned.request.media()
        if name in made_from and name in route.fields and route.fields[name].type in ("job", "job_or_video")
        and goes_by_its_job(media, offer, route)
    }  # fmt: skip


def _find(job: Job) -> Any:
    return job.find if job.find in ("exact", "list") else "none"
