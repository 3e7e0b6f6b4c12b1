"""Replicate's predictions: Kling, Veo, Wan, Runway Gen-4, Hailuo, PixVerse, and any model there.

What decides the design: `aborted` is an end like the others; input, output and files of a prediction made by the API are gone
an hour after its end, so results are fetched at once; no money is reported, only `metrics`, which the catalog's price turns
into a cost; there is no idempotency key and no external id, so a lost submit is looked for in the list.

Sources: Replicate's HTTP API reference and lifecycle page; replicate 1.0.7 and 2.0.0b4; read 2026-11-22. Not confirmed:
whether a failed or cancelled run of an official model is free, and that (E005) always means a refusal.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vidorch.contract import (
    Accepted,
    Billed,
    Cancelled,
    Context,
    Delivery,
    Done,
    ErrorRow,
    Failed,
    FoundJob,
    Health,
    LookFor,
    Output,
    Polled,
    Prepared,
    Progress,
    RemoteJob,
)
from vidorch.errors import ProviderFailed, VidorchError
from vidorch.hosted import Hosted, Said, is_public
from vidorch.http import Part, Reply
from vidorch.inputs import Media
from vidorch.mapping import was_sent_as
from vidorch.signatures import Keys, standard, token_in
from vidorch.told import kind_of, moment, number, suffix_of

__all__ = ["Replicate"]

_HTTP = "replicate.com/docs/reference/http"
_CODES = "replicate.com/docs/reference/error-codes"
LIFETIME = 3600.0
"""Seconds after its end that a prediction made by the API keeps its output: replicate.com/docs, data retention."""
_REFUSAL = re.compile(r"\bE005\b|flagged as sensitive|content polic|safety|nsfw|moderat", re.IGNORECASE)
_CODE = re.compile(r"\((E\d{4})\)|\b(E\d{3,4})\b")
_STATES = {"starting": "queued", "processing": "running", "succeeded": "done", "failed": "failed", "canceled": "cancelled",
           "aborted": "cancelled"}  # fmt: skip
_SECONDS = re.compile(r"resets? in ~?(\d+(?:\.\d+)?) ?s")


class Replicate(Hosted):
    """Speaks to `api.replicate.com/v1`."""

    name = "replicate"
    title = "Replicate"
    url = "https://api.replicate.com/v1"
    errors = (
        ErrorRow("401", "MissingCredentials", True, False, False, _HTTP, hint="Check REPLICATE_API_TOKEN."),
        ErrorRow(
            "402",
            "OverBudget",
            True,
            False,
            False,
            _HTTP,
            hint="Add credit at replicate.com/account/billing.",
        ),
        ErrorRow("403", "Unsupported", True, False, False, _HTTP, hint="This token may not use this model."),
        ErrorRow("404", "Unsupported", True, False, False, _HTTP, hint="Check the model's name."),
        ErrorRow("400", "InvalidRequest", True, False, False, _HTTP),
        ErrorRow("422", "InvalidRequest", True, False, False, _HTTP),
        ErrorRow("429", "Throttled", True, False, True, _HTTP),
        ErrorRow(
            "refused",
            "Refused",
            False,
            None,
            False,
            "widely reported text of failed predictions; not on that page",
        ),
        ErrorRow("E1000", "ProviderFailed", False, None, True, _CODES),
        ErrorRow(
            "E1001",
            "ProviderFailed",
            False,
            None,
            False,
            _CODES,
            hint="The model ran out of memory: ask for less.",
        ),
        ErrorRow("E6716", "ProviderFailed", False, None, True, _CODES),
        ErrorRow("E*", "ProviderFailed", False, None, False, _CODES),
        ErrorRow("failed", "ProviderFailed", False, None, False, _HTTP),
        ErrorRow(
            "canceled",
            "ProviderFailed",
            False,
            None,
            False,
            "changelog 2025-10-16: billed for the time it ran, free before; of models that are priced by output nothing is said",
        ),
        ErrorRow(
            "aborted",
            "ProviderFailed",
            False,
            False,
            True,
            "changelog 2025-10-16: before it ran",
        ),
    )

    def __init__(self) -> None:
        self._secrets = Keys[str]()

    # -- the wire -----------------------------------------------------------------------------------------------------

    def base(self, context: Context) -> str:
        """Base URL with `/v1` at its end."""
        base = super().base(context)
        return base if re.search(r"/v\d+$", base) else f"{base}/v1"

    def signed(self, context: Context) -> dict[str, str]:
        """`Authorization: Bearer`."""
        return {"authorization": f"Bearer {self.secret(context)}"}

    def said(self, reply: Reply) -> Said | None:
        """Problem JSON: `{title, detail, status}`."""
        try:
            body = reply.json()
        except VidorchError:
            return None
        if not isinstance(body, dict) or not isinstance(body.get("detail"), str) or reply.status >= 500:
            return None  # a 5xx of Replicate's proves nothing, whoever wrote it
        wait = _SECONDS.search(body["detail"])
        seconds = float(wait[1]) if wait else None
        title = str(body.get("title") or "")
        return Said("", body["detail"], title, reply.headers.get("x-request-id"), retry_after=seconds)

    async def hand_over(self, context: Context, media: Media, field: str) -> Any:
        """A public URL as it is; everything else goes up to Replicate's files, which only this account can read."""
        if is_public(media):
            return media.url
        content = await self.bring(context, media)
        kind = media.media_type or f"{media.kind}/*"
        part = Part("content", content, f"input.{suffix_of(kind)}", kind)
        reply = await context.http.request(
            "POST", self.at(context, "files"), parts=[part], headers=self.signed(context), timeout=1800
        )
        if not reply.ok:
            raise self.wrong(reply)
        return str(reply.json()["urls"]["get"])

    # -- one job's life -------------------------------------------------------------------------------------------------

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """POST the input, once; without waiting for the end in the same reply."""
        assert context.route is not None
        path, version = _create(context.route.path)
        body: dict[str, Any] = {"input": prepared.body} | ({"version": version} if version else {})
        if context.webhook:
            body |= {"webhook": context.webhook, "webhook_events_filter": ["completed"]}
        reply = await self.send(context, path, json=body)
        prediction = reply.json()
        return Accepted(self.id_in(prediction.get("id") if isinstance(prediction, dict) else None))

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """GET the prediction."""
        reply = await self.ask(context, "GET", f"predictions/{accepted.remote_id}")
        prediction = reply.json()
        status = str(prediction.get("status") or "")
        billed = _billed(prediction.get("metrics"))
        if status == "succeeded":
            if prediction.get("data_removed"):
                gone = ProviderFailed(
                    "Replicate removed the result: it keeps them for an hour after the end.", charged=True,
                    provider=self.name, remote_id=accepted.remote_id,
                )  # fmt: skip
                return Failed(gone, cost=billed)
            return Done(_outputs(prediction), billed, timings=_timings(prediction))
        if status in ("failed", "canceled", "aborted"):
            return self._failed(accepted, prediction, status, billed)
        return Progress(
            "queued" if status == "starting" else "running", _fraction(prediction.get("logs")), detail=status
        )

    def _failed(
        self, accepted: Accepted, prediction: Mapping[str, Any], status: str, billed: Billed | None
    ) -> Failed:
        words = str(prediction.get("error") or "")
        code = next((one[1] or one[2] for one in [_CODE.search(words)] if one is not None), "")
        kind = "refused" if status == "failed" and _REFUSAL.search(words) else code or status
        error = self.typed(Said(kind, words or status, code or status))
        error.remote_id = accepted.remote_id
        if billed is not None:
            error.charged = billed.amount > 0
        elif status == "canceled" and _never_ran(prediction):
            error.charged = False
        return Failed(error, cancelled=status == "canceled", cost=billed if status != "aborted" else None)

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Download from replicate.delivery, without the credential; with it only from the API's own files."""
        await context.http.download(output.ref, path, own=[self.base(context)], secret=self.signed(context))

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        """POST .../cancel: what runs is billed for the time it ran; what has not begun is free."""
        reply = await self.ask(context, "POST", f"predictions/{accepted.remote_id}/cancel")
        prediction = reply.json()
        status = str(prediction.get("status") or "")
        free = status == "aborted" or (status == "canceled" and _never_ran(prediction))
        return Cancelled(status not in ("succeeded", "failed"), False if free else None)

    async def find(self, context: Context, job: LookFor) -> list[FoundJob]:
        """Read the list, the newest first, back to a minute before the submit."""
        found: list[FoundJob] = []
        async for prediction in self._listed(context):
            created = moment(prediction.get("created_at"))
            if created is not None and created < job.sent_at - 60:
                break
            if _is_like(prediction, job):
                found.append(FoundJob(Accepted(str(prediction["id"])), created))
        return found

    async def list_jobs(self, context: Context, limit: int) -> list[RemoteJob]:
        """The account's predictions. The words of one are gone an hour after its end."""
        found: list[RemoteJob] = []
        async for prediction in self._listed(context):
            word, asked = str(prediction.get("status") or ""), prediction.get("input")
            found.append(
                RemoteJob(
                    str(prediction["id"]), word, _STATES.get(word, ""), moment(prediction.get("created_at")),
                    model=str(prediction.get("model") or ""),
                    prompt=str(asked.get("prompt") or "") if isinstance(asked, dict) else "",
                )
            )  # fmt: skip
            if len(found) >= limit:
                break
        return found

    async def _listed(self, context: Context) -> AsyncIterator[dict[str, Any]]:
        """The predictions of the list, the newest first, from at most 20 pages."""
        path, base = "predictions", self.base(context)
        for _ in range(20):
            page = (await self.ask(context, "GET", path)).json()
            for prediction in page.get("results") or ():
                if isinstance(prediction, dict) and prediction.get("id"):
                    yield prediction
            following = page.get("next")
            if not isinstance(following, str) or urlsplit(following)[:2] != urlsplit(base)[:2]:
                return
            path = following

    async def check(self, context: Context) -> Health:
        """Ask who we are: free, and it needs the token."""
        try:
            reply = await self.ask(context, "GET", "account")
        except VidorchError as error:
            return Health(False, str(error))
        return Health(True, f"Replicate takes the token of {reply.json().get('username', 'this account')}.")

    async def parse_webhook(
        self, context: Context, headers: Mapping[str, str], body: bytes, url: str | None = None
    ) -> Delivery:
        """Verify a delivery (Standard Webhooks) with the account's secret, which the API itself tells."""
        now = context.clock.now()

        async def read() -> str:
            return str((await self.ask(context, "GET", "webhooks/default/secret")).json()["key"])

        async def prove(secret: str) -> str:
            return standard(secret, headers, body, now=now, provider=self.title)

        name = await self._secrets.verify(context.secret or "", now, read, prove)
        try:
            prediction = json.loads(body)
        except ValueError:
            prediction = None
        remote_id = prediction.get("id") if isinstance(prediction, dict) else None
        return Delivery(name, str(remote_id) if remote_id else None, token_in(url))


def _create(path: str) -> tuple[str, str]:
    """Where a model's predictions are made, and the version that goes into the body: `owner/name`, `owner/name:version`,
    `deployments/owner/name`."""
    path = path.strip("/")
    name, colon, version = path.partition(":")
    if colon:
        return "predictions", version
    return (
        f"{path}/predictions"
        if path.startswith(("deployments/", "models/"))
        else f"models/{name}/predictions"
    ), ""


def _outputs(prediction: Mapping[str, Any]) -> tuple[Output, ...]:
    every = list(_links(prediction.get("output")))
    # A model may put stills and data beside its clip.
    links = [link for link in every if kind_of(link).startswith("video/")] or every
    ended = moment(prediction.get("completed_at"))
    until = None if ended is None else ended + LIFETIME
    return tuple(
        Output(place, link, kind_of(link, "video/mp4"), expires_at=until) for place, link in enumerate(links)
    )


def _links(value: object) -> Iterator[str]:
    """Every link in an output, however deep."""
    if isinstance(value, str) and "://" in value:
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _links(one)


def _billed(metrics: object) -> Billed | None:
    """Seconds of output where the model tells them, else how many clips it counts."""
    if not isinstance(metrics, dict):
        return None
    for name in ("video_output_duration_seconds", "video_output_count"):
        value = metrics.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                return Billed(Decimal(str(value)), "second" if name.endswith("seconds") else "clip")
            except InvalidOperation:
                return None
    return None


def _never_ran(prediction: Mapping[str, Any]) -> bool:
    """Whether one that is over never came to run: what is billed of it is the time that it did."""
    metrics = prediction.get("metrics")
    seconds = number(metrics.get("predict_time")) if isinstance(metrics, dict) else None
    return seconds == 0 if seconds is not None else not prediction.get("started_at")


def _timings(prediction: Mapping[str, Any]) -> dict[str, float]:
    metrics = prediction.get("metrics")
    run = number(metrics.get("predict_time")) if isinstance(metrics, dict) else None
    return {} if run is None else {"run": run}


def _fraction(logs: object) -> float | None:
    """From the last line of a progress bar in the logs."""
    lines = re.findall(r"^\s*(\d+)%\s*\|.+?\|", logs, re.MULTILINE) if isinstance(logs, str) else []
    return min(int(lines[-1]) / 100, 1.0) if lines else None


def _is_like(prediction: Mapping[str, Any], job: LookFor) -> bool:
    """Whether a prediction of the list may be the one: of this model, with this input, which is gone an hour after its end."""
    asked = prediction.get("input")
    route = job.offer.routes.get(str(job.settings.get("task")))
    if not isinstance(asked, dict) or route is None or not was_sent_as(asked, job.settings, route):
        return False
    model = prediction.get("model")
    path = route.path.strip("/").removeprefix("models/").partition(":")[0]
    return not isinstance(model, str) or path.startswith("deployments/") or model == path
