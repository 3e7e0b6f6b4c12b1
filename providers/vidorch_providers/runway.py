"""Runway's API: its own models (gen4.5, gen4_turbo, aleph2, act_two, upscale) and those that it resells.

What decides the design: the create reply says the most that the task may cost (`estimatedCost`), and the ended task what it
did (`cost.credits`); both are the truth, in credits that the catalog prices. THROTTLED is a queue, not an error. Moderated
generations are billed like others. Links expire after 24 to 48 hours and a new look gives fresh ones. There is no list, no
external id and no callback, so a submit whose reply was lost cannot be found again.

Sources: runwayml 5.24.0; docs.dev.runwayml.com (errors/task-failures, assets/inputs, assets/uploads, usage/tiers), read
2026-11-22. Not confirmed: the exact keys of a 400 body, which is read defensively.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from vidorch.contract import (
    Accepted,
    Admission,
    Billed,
    Cancelled,
    Context,
    Done,
    ErrorRow,
    Failed,
    Health,
    Output,
    Polled,
    Prepared,
    Progress,
)
from vidorch.errors import ProviderFailed, VidorchError
from vidorch.hosted import Hosted, Said, is_public
from vidorch.http import Part, Reply
from vidorch.inputs import Media
from vidorch.offer import Offer
from vidorch.request import Request
from vidorch.told import kind_of, moment, number, suffix_of

__all__ = ["Runway"]

VERSION = "2024-11-06"
_HTTP = "docs.dev.runwayml.com/errors; runwayml 5.24.0, _exceptions.py"
_TASK = "docs.dev.runwayml.com/errors/task-failures"
_MODERATION = "docs.dev.runwayml.com/api-details/moderation: billed like a success"
LIFETIME = 86_400.0
"""Seconds after which a link may be over: 24 to 48 hours."""
_POOR = re.compile(r"(not have enough|insufficient|no) credits", re.IGNORECASE)


class Runway(Hosted):
    """Speaks to `api.dev.runwayml.com`."""

    name = "runway"
    title = "Runway"
    url = "https://api.dev.runwayml.com"
    errors = (
        ErrorRow("400", "InvalidRequest", True, False, False, _HTTP),
        ErrorRow("422", "InvalidRequest", True, False, False, _HTTP),
        ErrorRow("401", "MissingCredentials", True, False, False, _HTTP, hint="Check RUNWAYML_API_SECRET."),
        ErrorRow("403", "Unsupported", True, False, False, _HTTP, hint="This account may not use this model."),
        ErrorRow("404", "Unsupported", True, False, False, _HTTP),
        ErrorRow("credits", "OverBudget", True, False, False, _HTTP, hint="Buy credits at dev.runwayml.com."),
        ErrorRow("429", "Throttled", True, False, True, "docs.dev.runwayml.com/usage/tiers: the daily cap"),
        ErrorRow("SAFETY.INPUT*", "Refused", False, True, False, _MODERATION),
        ErrorRow("SAFETY.OUTPUT*", "Refused", False, True, False, _MODERATION, stage="output"),
        ErrorRow("SAFETY*", "Refused", False, True, False, _MODERATION),
        ErrorRow("INPUT_PREPROCESSING.SAFETY*", "Refused", False, None, False, "gh:60225242097: users report no charge"),
        ErrorRow("INPUT_PREPROCESSING*", "InvalidRequest", False, None, False, _TASK),
        ErrorRow("ASSET*", "InvalidRequest", False, None, False, _TASK, hint="Change the input."),
        ErrorRow("NO_FACE_FOUND", "InvalidRequest", False, None, False, "gh:60225242097", hint="Use a picture with a face."),
        ErrorRow("INTERNAL.BAD_OUTPUT*", "ProviderFailed", False, None, True, _TASK, hint="Another input may do better."),
        ErrorRow("INTERNAL*", "ProviderFailed", False, None, True, _TASK),
        ErrorRow("failed", "ProviderFailed", False, None, True, f"{_TASK}: without a code"),
        ErrorRow("cancelled", "ProviderFailed", False, None, False, "runwayml 5.24.0, tasks.delete"),
    )  # fmt: skip

    def __init__(self) -> None:
        self._deleted: set[str] = set()

    def signed(self, context: Context) -> dict[str, str]:
        """`Authorization: Bearer`, and the version that every call has to name."""
        return {"authorization": f"Bearer {self.secret(context)}", "x-runway-version": VERSION}

    def said(self, reply: Reply) -> Said | None:
        """`{"error": "...", "issues": [...]}`, as far as it is known. A `message` alone is what Amazon's gateway says."""
        try:
            body = reply.json()
        except VidorchError:
            return None
        if not isinstance(body, dict) or not isinstance(body.get("error"), str) or reply.status >= 500:
            return None
        words = str(body["error"])
        issues = body.get("issues")
        if isinstance(issues, list) and issues:
            words = f"{words}: {'; '.join(_issue(one) for one in issues[:5])}"
        poor = reply.status in (400, 402, 403) and _POOR.search(words)
        return Said("credits" if poor else "", words, "", reply.headers.get("x-request-id"))

    def admit(self, request: Request, offer: Offer) -> Admission:
        """Runway counts a prompt in UTF-16 units."""
        route = offer.routes.get(request.task)
        most = None if route is None else route.capabilities.limits.prompt_characters
        units = len(request.prompt.encode("utf-16-le")) // 2
        if most is not None and units > most:
            return Admission(f"prompt of {units:,} UTF-16 units: takes {most:,}")
        return Admission()

    async def hand_over(self, context: Context, media: Media, field: str) -> Any:
        """A public URL as it is; everything else by an ephemeral upload, which lives for 24 hours. References are objects."""
        uri = await self._uri(context, media)
        return {"uri": uri} if field == "reference_images" else uri

    async def _uri(self, context: Context, media: Media) -> str:
        if media.url is not None and is_public(media) and len(media.url) <= 2048:
            return media.url
        content = await self.bring(context, media)
        kind = media.media_type or f"{media.kind}/*"
        filename = f"input.{suffix_of(kind)}"
        given = (
            await self.ask(context, "POST", "v1/uploads", json={"filename": filename, "type": "ephemeral"})
        ).json()
        parts = [Part(name, str(value)) for name, value in given["fields"].items()]
        sent = await context.http.request(
            "POST",
            str(given["uploadUrl"]),
            parts=[*parts, Part("file", content, filename, kind)],
            timeout=1800,
            own=[context.endpoint.base_url],
        )
        if not sent.ok:
            raise ProviderFailed(f"Runway's storage answered an upload with {sent.status}.", charged=False, retryable=True,
                                 provider=self.name, code=str(sent.status))  # fmt: skip
        return str(given["runwayUri"])

    # -- one job's life -------------------------------------------------------------------------------------------------

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """POST the task, once. The reply names the most that it may cost."""
        assert context.route is not None
        reply = await self.send(context, context.route.path, json=prepared.body)
        task = reply.json()
        remote_id = self.id_in(task.get("id") if isinstance(task, dict) else None)
        return Accepted(remote_id, _credits(task.get("estimatedCost")))

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """GET the task."""
        reply = await self.ask(context, "GET", f"v1/tasks/{accepted.remote_id}", well=(404,))
        if reply.status == 404:
            error = self.wrong(reply)
            if accepted.remote_id not in self._deleted or self.said(reply) is None:
                raise error
            return Failed(self.typed(Said("cancelled", "deleted")), cancelled=True)
        task = reply.json()
        status = str(task.get("status") or "")
        cost = _credits(task.get("cost"))
        if status == "SUCCEEDED":
            return Done(_outputs(task), cost)
        if status in ("FAILED", "CANCELLED"):
            code = str(task.get("failureCode") or "")
            known = code if code and self.row(code) else status.lower()
            error = self.typed(Said(known, str(task.get("failure") or status), code or status))
            error.remote_id = accepted.remote_id
            if cost is not None:
                error.charged = cost.amount > 0
            return Failed(error, cancelled=status == "CANCELLED", cost=cost)
        fraction = task.get("progress")
        waits = status in ("PENDING", "THROTTLED")
        return Progress(
            "queued" if waits else "running",
            number(fraction),
            detail=status.lower(),
        )

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Download; the links carry their own signature, and no credential goes there."""
        await context.http.download(output.ref, path, own=[context.endpoint.base_url])

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        """DELETE the task: refunded where it had not begun to run, charged where it had.

        A finished task would be deleted with its result, so it is looked at first.
        """
        task = (await self.ask(context, "GET", f"v1/tasks/{accepted.remote_id}")).json()
        status = str(task.get("status") or "")
        if status in ("SUCCEEDED", "FAILED", "CANCELLED"):
            return Cancelled(False, None)
        await self.ask(context, "DELETE", f"v1/tasks/{accepted.remote_id}")
        self._deleted.add(accepted.remote_id)
        return Cancelled(True, None)

    async def delete_job(self, context: Context, accepted: Accepted) -> bool:
        """DELETE, once it is seen to be over: what runs would be cancelled, and charged. Nothing is refunded."""
        path = f"v1/tasks/{accepted.remote_id}"
        reply = await self.ask(context, "GET", path, well=(404,))
        if reply.status == 404:
            if self.said(reply) is None:
                raise self.wrong(reply)
            return False
        if str(reply.json().get("status") or "") not in ("SUCCEEDED", "FAILED", "CANCELLED"):
            raise self.still_at_work(accepted.remote_id)
        return (await self.ask(context, "DELETE", path, well=(404,))).ok

    async def check(self, context: Context) -> Health:
        """Ask for the organization: free, and it tells the balance."""
        try:
            body = (await self.ask(context, "GET", "v1/organization")).json()
        except VidorchError as error:
            return Health(False, str(error))
        balance = body.get("creditBalance")
        return Health(True, f"Runway takes the key; {balance} credits are left.")


def _credits(said: object) -> Billed | None:
    amount = said.get("credits") if isinstance(said, dict) else None
    known = number(amount)
    return Billed(Decimal(str(amount)), "credit") if known is not None and known >= 0 else None


def _issue(issue: object) -> str:
    if not isinstance(issue, dict):
        return str(issue)
    path = issue.get("path")
    where = ".".join(map(str, path)) if isinstance(path, list) else str(path or "")
    return f"{where} {issue.get('message', '')}".strip()


def _outputs(task: Mapping[str, Any]) -> tuple[Output, ...]:
    links = [one for one in task.get("output") or () if isinstance(one, str)]
    made = moment(task.get("createdAt"))
    until = None if made is None else made + LIFETIME
    return tuple(
        Output(place, link, kind_of(link, "video/mp4"), expires_at=until) for place, link in enumerate(links)
    )
