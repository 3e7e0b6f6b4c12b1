"""The `/v1/videos` protocol: what OpenAI defined for Sora, and what vLLM-Omni, SGLang, LiteLLM's proxy and gateways speak now.

OpenAI itself switched it off on 2026-09-24; the catalog's `sora-2` rows are retired. Every other server is reached by an
endpoint's `base_url` (with or without `/v1` at its end) and a catalog row of one's own.

One adapter serves all dialects by sending what the openai package sends, which every server of the protocol has to take: a
multipart form, in which an integer and a string are the same. `options={"body": "json"}` of an endpoint sends JSON to
gateways that take nothing else; the types are then those of the route's field maps. Everything else is told by the replies:
failed jobs as HTTP errors, jobs that come finished, `url`, `urls` or `data[].url` in place of `/content`, and redirects.

vLLM-Omni also has `/v1/videos/sync`, which holds the connection until the clip is made and answers with its bytes. It is not
used: such a reply has no id, so that a connection that is lost a second before the end loses what was paid for, and nobody
can look how far it is or cancel it. The asynchronous way gives the same clip. NVIDIA Dynamo answers `/v1/videos` itself in
that way; its link is taken from the reply, and a reply that is lost stays unknown.

Sources: the openai 3.54.0 package (resources/videos.py); vLLM-Omni 0.30.0 (entrypoints/openai); SGLang diffusion 0.5.23
(runtime/entrypoints/openai/video_api.py); LiteLLM 1.109.1, all read 2026-11-22. What is not confirmed: whether a failed job
was billed, and whether an unlisted error proves that nothing was accepted; both are left open.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vidorch.contract import (
    Accepted,
    Cancelled,
    Context,
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
from vidorch.hosted import Hosted, Said, data_uri, is_public
from vidorch.http import Reply
from vidorch.inputs import Media, without_query
from vidorch_providers import _videos as wire

__all__ = ["Openai"]

_PACKAGE = "openai 3.54.0, _exceptions.py and types/video_create_error.py"
_FASTAPI = "vLLM-Omni 0.30.0 and SGLang 0.5.23: FastAPI's {'detail': ...}"
_AT_ONCE = "at-once-"
_CUT = (
    "The server named the clip's link in its reply to the submit alone, and what stood behind its question mark is in no ledger: "
    "where it was a signature, another process than the first cannot fetch the clip. Ask whoever runs the server for it."
)
"""Begins the ids of jobs that came finished in the reply to their submit and have none of their server's."""
GONE_AFTER = 60.0
"""Seconds for which a server has to say that it knows no such job before that is believed."""

_KEY = 'Check the key, or, where the endpoint has none, name the variable that holds it: key = "VARIABLE".'


class Openai(Hosted):
    """Speaks `/v1/videos`."""

    name = "openai"
    title = "The video server"
    url = "https://api.openai.com/v1"
    sends_files = True
    many_hosts = True
    errors = (
        ErrorRow("moderation_blocked", "Refused", True, False, False, _PACKAGE),
        ErrorRow("content_policy_violation", "Refused", True, False, False, _PACKAGE),
        ErrorRow("sentinel_block", "Refused", True, False, False, "gh:TheSmallHanCat/sora2api#59"),
        ErrorRow("invalid_api_key", "MissingCredentials", True, False, False, _PACKAGE, hint=_KEY),
        ErrorRow("401", "MissingCredentials", True, False, False, _PACKAGE, hint=_KEY),
        ErrorRow("403", "Unsupported", True, False, False, _PACKAGE, hint="This key may not use this model."),
        ErrorRow(
            "404", "Unsupported", True, False, False, _PACKAGE, hint="Check base_url and the model's name."
        ),
        ErrorRow(
            "model_not_found", "Unsupported", True, False, False, _PACKAGE, hint="Check the model's name."
        ),
        ErrorRow(
            "insufficient_quota", "OverBudget", True, False, False, _PACKAGE, hint="Fill the account up."
        ),
        ErrorRow(
            "billing_hard_limit_reached",
            "OverBudget",
            True,
            False,
            False,
            _PACKAGE,
            hint="Fill the account up.",
        ),
        ErrorRow("400", "InvalidRequest", True, False, False, _PACKAGE),
        ErrorRow("422", "InvalidRequest", True, False, False, _FASTAPI),
        ErrorRow(
            "415",
            "Unsupported",
            True,
            False,
            False,
            "RFC 9110, 15.5.16",
            hint='The server takes no form: give its endpoint options={"body": "json"}.',
        ),
        ErrorRow("429", "Throttled", True, False, True, _PACKAGE),
        ErrorRow("409", "ProviderFailed", False, None, True, _PACKAGE),
        ErrorRow("5*", "ProviderFailed", False, None, True, _PACKAGE),
        ErrorRow("server_error", "ProviderFailed", False, None, True, _PACKAGE),
    )
    """By `error.code` where it is listed here, else by the status of a reply that is an error object of the protocol."""

    def __init__(self) -> None:
        self._deleted: set[str] = set()
        self._at_once: dict[str, list[str]] = {}
        self._missing: dict[str, float] = {}

    # -- the wire -----------------------------------------------------------------------------------------------------

    def base(self, context: Context) -> str:
        """Base URL with `/v1` at its end, as the openai package has it."""
        return _with_version(super().base(context))

    def signed(self, context: Context) -> dict[str, str]:
        """`Authorization: Bearer`; nothing for a server of one's own that has no key."""
        if context.secret is None and context.endpoint.base_url is not None:
            return {}
        key = self.secret(context)
        return (
            {"api-key": key}
            if ".openai.azure.com" in self.base(context)
            else {"authorization": f"Bearer {key}"}
        )

    def said(self, reply: Reply) -> Said | None:
        """`{"error": {...}}` or FastAPI's `{"detail": ...}`. LiteLLM wraps the first into the second."""
        try:
            body = reply.json()
        except VidorchError:
            return None
        error = body.get("error", body.get("detail")) if isinstance(body, dict) else None
        if isinstance(error, dict) and isinstance(error.get("error"), dict):
            error = error["error"]
        request_id = reply.headers.get("x-request-id")
        if isinstance(error, dict):
            code, kind = (str(error.get(name) or "") for name in ("code", "type"))
            words = sorted((code, kind), key=str.isdigit)  # some servers repeat the status as their code
            known = next((word for word in words if word and self.row(word)), "")
            return Said(known, str(error.get("message") or ""), code or kind, request_id)
        if isinstance(error, list):
            lines = [
                f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', '')}"
                for one in error
                if isinstance(one, dict)
            ]
            return Said("", "; ".join(lines), "", request_id)
        own = isinstance(error, str) and "error" not in body  # that word with a text is a gateway's
        return Said("", str(error), "", request_id) if own else None

    # -- one job's life -------------------------------------------------------------------------------------------------

    async def hand_over(self, context: Context, media: Media, field: str) -> Any:
        """A file goes as a part of the form; a public URL as `{"image_url": ...}` where the body is JSON."""
        if context.endpoint.options.get("body") == "json":
            link = media.url if is_public(media) else await data_uri(await self.bring(context, media), media)
            return {f"{media.kind}_url": link}
        return wire.File(await self.bring(context, media), media.media_type or f"{media.kind}/*", field)

    def by_id(self, context: Context, remote_id: str) -> Any:
        """`{"id": ...}`."""
        return wire.EarlierJob(id=remote_id)

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """POST the form, once."""
        assert context.route is not None
        path, body = self._path(context, prepared.body)
        # An earlier job is named in JSON (developers.openai.com/api/reference, videos/edits); the openai package cannot do it.
        names_a_job = "{" in context.route.path or any(
            isinstance(one, wire.EarlierJob) for one in body.values()
        )
        try:
            if names_a_job or context.endpoint.options.get("body") == "json":
                reply = await self.send(context, path, json=body)
            else:
                reply = await self.send(context, path, parts=list(wire.parts_of(body)))
        finally:
            if any(prepared.request.media()):
                await self.tidy(context)
        video = reply.json()
        if (
            isinstance(video, dict)
            and not video.get("id")
            and wire.word_of(video) in wire.DONE
            and (links := wire.links_of(video))
        ):
            remote_id = f"{_AT_ONCE}{context.job_id}"
            self._at_once[remote_id] = links
            plain = [without_query(link) for link in links]
            return Accepted(remote_id, details={"path": "videos", "links": plain, "cut": plain != links})
        remote_id = self.id_in(video.get("id") if isinstance(video, dict) else None)
        return Accepted(remote_id, details={"path": "videos"})

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """GET the job. vLLM-Omni answers for a failed one with an HTTP error whose body is the job."""
        if accepted.remote_id.startswith(_AT_ONCE):  # the reply to the submit was all that there is
            known = self._at_once.get(accepted.remote_id)
            links = known or accepted.details.get("links") or ()
            notes = () if known or not accepted.details.get("cut") else (_CUT,)
            return Done(tuple(Output(number, link) for number, link in enumerate(links)), notes=notes)
        reply = await context.http.request(
            "GET", self.at(context, f"videos/{accepted.remote_id}"), headers=self.signed(context)
        )
        video = wire.video_in(reply)
        if video is not None and not reply.ok and str(video["id"]) != accepted.remote_id:
            video = None  # an error that has an id and a status of its own
        if video is None:
            error = self.wrong(reply)
            if self._is_missing(context, accepted, reply):
                return self._gone(accepted, error)
            raise error
        self._missing.pop(accepted.remote_id, None)
        status = wire.word_of(video)
        if status in wire.DONE:
            return Done(tuple(self._outputs(context, accepted, video)), timings=wire.timings_of(video))
        if status in wire.FAILED or status in wire.CANCELLED:
            return self._failed(accepted, video, cancelled=status in wire.CANCELLED)
        percent = video.get("progress")
        fraction = (
            float(percent) / 100
            if isinstance(percent, (int, float)) and not isinstance(percent, bool)
            else None
        )
        return Progress(
            "queued" if status in wire.QUEUED else "running",
            fraction,
            detail=status,
            poll_after=wire.wanted_pause(reply),
        )

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Download the bytes, from `/content` or from where the job says that they are."""
        await context.http.download(output.ref, path, own=[self.base(context)], secret=self.signed(context))

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        """DELETE, where that ends what runs: vLLM-Omni (ids begin with `video_gen_`), and endpoints with `{"cancel": True}`.

        A finished job would be deleted with its clip, so it is looked at first. OpenAI deletes finished jobs only, and
        SGLang forgets the job while its work goes on; neither is asked.
        """
        if not (accepted.remote_id.startswith("video_gen_") or context.endpoint.options.get("cancel")):
            return await super().cancel(context, accepted)
        if isinstance(await self.poll(context, accepted), Done | Failed):
            return Cancelled(False, None)
        # 409 is vLLM-Omni's word for an end that takes longer than it waits: the job is seen to end, or not.
        reply = await self.ask(context, "DELETE", f"videos/{accepted.remote_id}", well=(409,))
        self._deleted.add(accepted.remote_id)
        return Cancelled(reply.ok, None)

    async def find(self, context: Context, job: LookFor) -> list[FoundJob]:
        """Read the list, the newest first, back to a minute before the submit."""
        found: list[FoundJob] = []
        async for video in self._listed(context, 100):
            created = video.get("created_at")
            if isinstance(created, (int, float)) and created < job.sent_at - 60:
                break
            if wire.is_like(video, job):
                found.append(FoundJob(Accepted(str(video["id"]), details={"path": "videos"}), created))
        return found

    async def _listed(self, context: Context, size: int) -> AsyncIterator[dict[str, Any]]:
        """The jobs of the list, the newest first, from at most 20 pages."""
        after = ""
        for _ in range(20):
            page = (await self.ask(context, "GET", f"videos?limit={size}&order=desc{after}")).json()
            data = page.get("data") if isinstance(page, dict) else None
            videos = [one for one in data or () if isinstance(one, dict) and one.get("id")]
            for video in videos:
                yield video
            if not videos or not page.get("has_more"):
                return
            after = f"&after={quote(str(videos[-1]['id']), safe='')}"

    async def list_jobs(self, context: Context, limit: int) -> list[RemoteJob]:
        """The list, page after page."""
        found: list[RemoteJob] = []
        async for video in self._listed(context, min(limit, 100)):
            found.append(wire.listed(video))
            if len(found) >= limit:
                break
        return found

    async def delete_job(self, context: Context, accepted: Accepted) -> bool:
        """DELETE, once it is seen to be over: vLLM-Omni would end what runs."""
        path = f"videos/{accepted.remote_id}"
        reply = await context.http.request("GET", self.at(context, path), headers=self.signed(context))
        video = wire.video_in(reply)
        if video is None or str(video["id"]) != accepted.remote_id:
            if reply.status == 404 and self.said(reply) is not None:
                return False
            raise self.wrong(reply)
        if wire.word_of(video) not in wire.DONE | wire.FAILED | wire.CANCELLED:
            raise self.still_at_work(accepted.remote_id)
        return (await self.ask(context, "DELETE", path, well=(404,))).ok

    async def check(self, context: Context) -> Health:
        """List one job: free, and it needs the key."""
        try:
            await self.ask(context, "GET", "videos?limit=1")
        except VidorchError as error:
            return Health(False, str(error))
        return Health(True, f"{self.base(context)} answers and takes the key.")

    # -- in its own words -----------------------------------------------------------------------------------------------

    def _path(self, context: Context, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The route's path with what it names of the body in it (`/v1/videos/{video_id}/remix`), and the rest of the body."""
        assert context.route is not None
        body = dict(given)
        path = re.sub(r"^/?(v\d+/)?", "", context.route.path) or "videos"
        return re.sub(r"\{(\w+)\}", lambda name: quote(str(body.pop(name[1], "")), safe=""), path), body

    def _outputs(self, context: Context, accepted: Accepted, video: Mapping[str, Any]) -> list[Output]:
        expires = video.get("expires_at")
        until = float(expires) if isinstance(expires, (int, float)) else None
        links = wire.links_of(video)
        if not links:
            content = self.at(context, f"videos/{accepted.remote_id}/content")
            count = video.get("num_outputs") or 1
            links = (
                [content] if count == 1 else [f"{content}?variant={number}" for number in range(int(count))]
            )
        return [Output(number, link, expires_at=until) for number, link in enumerate(links)]

    def _failed(self, accepted: Accepted, video: Mapping[str, Any], *, cancelled: bool) -> Failed:
        error = video.get("error")
        error = error if isinstance(error, dict) else {"message": str(error or "")}
        code = str(error.get("code") or error.get("type") or "")
        row = self.row(code) if code and not code.isdigit() else None
        # The status in it speaks of the work, not of the submit, which was taken.
        said = Said(
            code if row is not None and row.error == "Refused" else "server_error",
            str(error.get("message") or ""),
            code,
        )
        typed = self.typed(said, charged=None)
        typed.remote_id = accepted.remote_id
        return Failed(typed, cancelled=cancelled or accepted.remote_id in self._deleted)

    def _is_missing(self, context: Context, accepted: Accepted, reply: Reply) -> bool:
        """Whether a server of one's own knows the job no more. One look proves nothing: a replica may not know it yet."""
        said = self.said(reply)
        if reply.status != 404 or said is None or context.endpoint.base_url is None:
            return False
        if said.message == "Not Found" and not said.shown:  # FastAPI's word for a path, not for a job
            return False
        now = context.clock.now()
        since = self._missing.setdefault(accepted.remote_id, now)
        return accepted.remote_id in self._deleted or now - since >= GONE_AFTER

    def _gone(self, accepted: Accepted, error: VidorchError) -> Failed:
        cancelled = accepted.remote_id in self._deleted
        why = (
            "It was deleted."
            if cancelled
            else "Such servers keep jobs in memory: it was restarted, or the job was deleted."
        )
        return Failed(
            ProviderFailed(
                f"{error.message} {why}", charged=None, provider=self.name, remote_id=accepted.remote_id
            ),
            cancelled=cancelled,
        )


@lru_cache(maxsize=64)
def _with_version(base: str) -> str:
    return base if re.search(r"/v\d+$", base) else f"{base}/v1"
