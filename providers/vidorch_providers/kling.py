"""Kling's own platform: the Bearer API of July 2026, Kling 4.0 on it, and the older `/v1/videos/*` line where a route names it.

What decides the design: a reply's meaning is in `code`, not in its status (429 is also an account in arrears, an empty pack
and a wrong IP); our job id goes along as `external_task_id`, by which a submit whose reply was lost is found again (not on
4.0, which takes none); `billing[]` of the ended task says what was charged; callbacks are not signed and only ever a hint;
there is no cancel.

A key that holds a colon (`ACCESS:SECRET`) signs the older line's JWT; any other goes as it is.

Sources: kling.ai/document-api (gh:69459728824, gh:69225242297, gh:60065098894), its error codes (gh:71141630213, ComfyUI's
KlingErrorResponse), docs.comfy.org, vercel/ai packages/klingai; read 2026-11-22. Not confirmed: callbacks and external ids on
4.0 (none are sent), that failed tasks are free (`billing[]` decides), and the status of code 5002.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vidorch.contract import (
    Accepted,
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
)
from vidorch.errors import InvalidRequest, MissingCredentials, ProviderFailed, VidorchError
from vidorch.hosted import Hosted, Said, is_public
from vidorch.http import Reply
from vidorch.inputs import Media
from vidorch.offer import FindMode, Offer, Route
from vidorch.offloop import in_thread
from vidorch.signatures import token_in

__all__ = ["Kling"]

_CODES = "kling.ai/document-api, apiReference commonInfo (gh:71141630213)"
_POLICY = re.compile(r"risk control|content|sensitive|violat|policy|nsfw", re.IGNORECASE)
_KEPT = 30 * 86_400.0
"""Seconds after which results are cleared."""


class Kling(Hosted):
    """Speaks to `api-singapore.klingai.com`; in China an endpoint's `base_url` is `https://api-beijing.klingai.com`."""

    name = "kling"
    title = "Kling"
    url = "https://api-singapore.klingai.com"
    errors = (
        ErrorRow("1000", "MissingCredentials", True, False, False, _CODES, hint="Check KLINGAI_API_KEY."),
        ErrorRow("1001", "MissingCredentials", True, False, False, _CODES, hint="Check KLINGAI_API_KEY."),
        ErrorRow("1002", "MissingCredentials", True, False, False, _CODES, hint="Check KLINGAI_API_KEY."),
        ErrorRow("1003", "MissingCredentials", True, False, True, _CODES, hint="Check this machine's clock."),
        ErrorRow("1004", "MissingCredentials", True, False, True, _CODES, hint="Check this machine's clock."),
        ErrorRow("1100", "OverBudget", True, False, False, _CODES, hint="Look at the account at kling.ai."),
        ErrorRow("1101", "OverBudget", True, False, False, _CODES, hint="The account is in arrears."),
        ErrorRow("1102", "OverBudget", True, False, False, _CODES, hint="The resource pack is used up or expired."),
        ErrorRow("1103", "Unsupported", True, False, False, _CODES, hint="This account may not use this model."),
        ErrorRow("1200", "InvalidRequest", True, False, False, _CODES),
        ErrorRow("1201", "InvalidRequest", True, False, False, _CODES),
        ErrorRow("1202", "Unsupported", True, False, False, _CODES),
        ErrorRow("1203", "Unsupported", True, False, False, _CODES, hint="The model does not exist here (any more)."),
        ErrorRow("1300", "Refused", True, False, False, _CODES),
        ErrorRow("1301", "Refused", True, False, False, _CODES),
        ErrorRow("1302", "Throttled", True, False, True, _CODES),
        ErrorRow("1303", "Throttled", True, False, True, _CODES, hint="More tasks at once than the account's pack allows."),
        ErrorRow("1304", "Unsupported", True, False, False, _CODES, hint="This address is not on the account's list of IPs."),
        ErrorRow("5000", "ProviderFailed", False, None, True, _CODES),
        ErrorRow("5001", "ProviderFailed", False, None, True, _CODES),
        ErrorRow("5002", "ProviderFailed", False, None, True, _CODES),
        ErrorRow("refused", "Refused", False, None, False, "free text of failed tasks", stage="output"),
        ErrorRow("failed", "ProviderFailed", False, None, False, _CODES),
    )  # fmt: skip

    # -- the wire -----------------------------------------------------------------------------------------------------

    def signed(self, context: Context) -> dict[str, str]:
        """`Authorization: Bearer`: the key itself, or a JWT made of `ACCESS:SECRET` at this moment."""
        key = self.secret(context)
        access, colon, secret = key.partition(":")
        return {"authorization": f"Bearer {_jwt(access, secret, int(context.clock.now())) if colon else key}"}

    def said(self, reply: Reply) -> Said | None:
        """`{"code": 1303, "message": ..., "request_id": ...}`."""
        try:
            body = reply.json()
        except VidorchError:
            return None
        if not isinstance(body, dict) or not isinstance(body.get("code"), int) or body["code"] == 0:
            return None
        return Said(
            str(body["code"]), str(body.get("message") or ""), "", str(body.get("request_id") or "") or None
        )

    async def hand_over(self, context: Context, media: Media, field: str) -> Any:
        """A public URL as it is, everything else as base64 without the `data:` in front of it. Videos have to be URLs.

        References are items of `contents`.
        """
        given = await self._given(context, media, field)
        return {"type": "refer_image", "url": given} if field == "reference_images" else given

    async def _given(self, context: Context, media: Media, field: str) -> str:
        if media.url is not None and is_public(media):
            return media.url
        if media.kind != "image":
            raise InvalidRequest(
                f"{field}: Kling takes a {media.kind} as a public https URL only. Nothing was sent.", field=field,
                allowed="an https URL", provider=self.name,
            )  # fmt: skip
        content = await self.bring(context, media)
        data = content if isinstance(content, bytes) else await in_thread(content.read_bytes)
        return base64.b64encode(data).decode()

    def find_mode(self, offer: Offer) -> FindMode:
        """By our id where the route sends it; not on 4.0."""
        return "exact" if any("job_id" in route.fields for route in offer.routes.values()) else "none"

    # -- one job's life -------------------------------------------------------------------------------------------------

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """POST the task, once."""
        assert context.route is not None
        path = context.route.path
        reply = await self.send(context, path, json=prepared.body)
        said = self.said(reply)
        if said is not None:  # 200 with an error's code is an answer, too
            raise self.thrown_back(reply)
        data = reply.json().get("data")
        remote_id = self.id_in(data.get("id") or data.get("task_id") if isinstance(data, dict) else None)
        return Accepted(remote_id, details={"path": path} if _is_old(path) else {})

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """GET the task: of a list of one, or at the older line under the path that made it."""
        path = accepted.details.get("path") or (context.route.path if context.route is not None else "")
        if _is_old(str(path)):
            reply = await self.ask(context, "GET", f"{str(path).rstrip('/')}/{accepted.remote_id}")
        else:
            reply = await self.ask(context, "GET", f"tasks?task_ids={quote(accepted.remote_id)}")
        if self.said(reply) is not None:
            raise self.wrong(reply)
        task = _task(reply.json().get("data"), accepted.remote_id)
        if task is None:
            raise ProviderFailed(
                f"Kling does not name the task {accepted.remote_id}.", charged=None, provider=self.name
            )
        return self._standing(context, accepted, task)

    def _standing(self, context: Context, accepted: Accepted, task: Mapping[str, Any]) -> Polled:
        status = str(task.get("status") or task.get("task_status") or "").lower()
        cost = _cost(task.get("billing"))
        if status in ("succeeded", "succeed"):
            result = task.get("task_result")
            files = (
                task.get("outputs")
                or (result.get("videos") or result.get("images") if isinstance(result, dict) else None)
                or ()
            )
            links = [one for one in files if isinstance(one, dict) and isinstance(one.get("url"), str)]
            until = context.clock.now() + _KEPT
            return Done(
                tuple(Output(number, one["url"], expires_at=until) for number, one in enumerate(links)), cost
            )
        if status == "failed":
            words = str(task.get("message") or task.get("task_status_msg") or "")
            error = self.typed(
                Said("refused" if _POLICY.search(words) else "failed", words or status, status)
            )
            error.remote_id = accepted.remote_id
            if cost is not None:
                error.charged = cost > 0
            return Failed(error, cost=cost)
        return Progress("queued" if status == "submitted" else "running", detail=status)

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Download from Kling's CDN: no credential goes there."""
        await context.http.download(output.ref, path, own=[context.endpoint.base_url])

    async def find(self, context: Context, job: LookFor) -> list[FoundJob]:
        """Ask for our own id."""
        route = job.offer.routes.get(str(job.settings.get("task")))
        if route is not None and _is_old(route.path):
            reply = await self.ask(
                context, "GET", f"{route.path.rstrip('/')}/{quote(job.job_id)}", well=(404,)
            )
            if not reply.ok or self.said(reply) is not None:
                return []
            task = _task(reply.json().get("data"), "")
            details = {"path": route.path}
        else:
            reply = await self.ask(context, "GET", f"tasks?external_task_ids={quote(job.job_id)}")
            task = _task(reply.json().get("data"), "", job.job_id)
            details = {}
        remote_id = str((task or {}).get("id") or (task or {}).get("task_id") or "")
        if not remote_id:
            return []
        created = (task or {}).get("create_time", (task or {}).get("created_at"))
        at = created / 1000 if isinstance(created, (int, float)) and created > 10**11 else None
        return [FoundJob(Accepted(remote_id, details=details), at, exact=True)]

    async def check(self, context: Context) -> Health:
        """Ask for a task that is not there: free, and it needs the key."""
        try:
            reply = await self.ask(context, "GET", "tasks?task_ids=0", well=(400, 404))
        except VidorchError as error:
            return Health(False, str(error))
        said = self.said(reply)
        if said is not None and self.row(said.code) is not None and said.code.startswith(("10", "11")):
            return Health(False, str(self.typed(said, reply)))
        return Health(True, "Kling answers and takes the key.")

    def takes_webhook(self, route: Route) -> bool:
        """Where the row of the catalog says under which name: Kling 4.0 takes none."""
        return "webhook" in route.fields

    async def parse_webhook(
        self, context: Context, headers: Mapping[str, str], body: bytes, url: str | None = None
    ) -> Delivery:
        """Read a callback. It is not signed: what it is worth is the job's token in the URL, and a look at the task."""
        try:
            task = json.loads(body)
        except ValueError:
            task = None
        if not isinstance(task, dict):
            raise InvalidRequest(
                "This is no callback of Kling's: not a JSON object.",
                field="body",
                allowed="a callback of Kling's",
            )
        inner = task.get("data")
        if isinstance(inner, dict):
            task = inner
        remote_id = str(task.get("id") or task.get("task_id") or "")
        token = token_in(url)
        if token is None:
            raise MissingCredentials(
                "The callback's URL carries no token of a job, and Kling signs nothing.", provider=self.name
            )
        status = str(task.get("status") or task.get("task_status") or "")
        digest = hashlib.sha256(body).hexdigest()[:16]
        return Delivery(f"{remote_id}:{status}:{digest}", remote_id or None, token)


def _is_old(path: str) -> bool:
    return path.strip("/").startswith("v1/videos")


def _task(data: object, remote_id: str, job_id: str = "") -> dict[str, Any] | None:
    """One task of a reply's `data`: it alone, a list, or a list under `tasks`. None that names another id of ours."""
    if isinstance(data, dict) and isinstance(data.get("tasks"), list):
        data = data["tasks"]
    many = data if isinstance(data, list) else [data]
    for one in many:
        if not isinstance(one, dict) or (remote_id and str(one.get("id") or one.get("task_id")) != remote_id):
            continue
        if not job_id or one.get("external_id", one.get("external_task_id")) in (None, job_id):
            return one
    return None


def _cost(billing: object) -> Decimal | None:
    """USD that was taken, where it was cash in USD; units of a prepaid pack have no price of their own."""
    if not isinstance(billing, list) or not billing:
        return None
    total = Decimal(0)
    for line in billing:
        if (
            not isinstance(line, dict)
            or line.get("charge_type") != "cash"
            or str(line.get("currency") or "USD").upper() != "USD"
        ):
            return None
        try:
            total += Decimal(str(line.get("amount")))
        except InvalidOperation:
            return None
    return total if total.is_finite() and total >= 0 else None


def _jwt(access: str, secret: str, now: int) -> str:
    """HS256, as the older line wants it: `typ` has to be there, and it is good for half an hour."""
    head, claims = ({"alg": "HS256", "typ": "JWT"}, {"iss": access, "exp": now + 1800, "nbf": now - 5})
    text = ".".join(_url64(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    return f"{text}.{_url64(hmac.digest(secret.encode(), text.encode(), 'sha256'))}"


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
