"""What providers of hosted services have in common: the body by the route, one paid request, and what a reply proves.

A provider that derives from `Hosted` says how it signs its calls, how it reads its vendor's errors, and what its vendor's
words for queued, running and done are. Everything else is here, so that no adapter decides on its own what is a rejection.
"""

from __future__ import annotations

import abc
import base64
import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from vidorch import errors
from vidorch.contract import Accepted, Context, Done, ErrorRow, Output, Prepared, Provider, Rejected
from vidorch.errors import (
    InvalidRequest,
    MissingCredentials,
    ProviderFailed,
    Refused,
    Throttled,
    Unsupported,
    VidorchError,
)
from vidorch.http import Part, Reply
from vidorch.inputs import Media, without_query
from vidorch.mapping import body_of
from vidorch.offer import Offer
from vidorch.offloop import in_thread
from vidorch.request import Request

__all__ = ["Hosted", "Said", "data_uri"]

_ID = re.compile(r"(?!.*(?:^|/)\.{0,2}(?:/|$))[A-Za-z0-9._:=@+~/-]{1,500}")
"""Ids that can stand in a URL as they are: no empty segment, nor one of dots alone."""
AGAIN_AFTER = 5.0
"""Seconds after which a submit goes again that its vendor threw back for a moment and named no time."""


@dataclass(frozen=True, slots=True)
class Said:
    """A vendor's own, structured error: a body of the shape that it gives its errors, and nobody in front of it.

    Attributes:
        code: the vendor's own, by which the table of errors is read; empty where it names none.
        message: the vendor's words. shown: the code as people know it, if another.
        retryable: where the reply itself says so. retry_after: seconds, likewise.
    """

    code: str = ""
    message: str = ""
    shown: str = ""
    request_id: str | None = None
    retryable: bool | None = None
    retry_after: float | None = None


class Hosted(Provider):
    """A provider that speaks HTTP to its vendor.

    Attributes:
        url: the vendor's own base URL, without a slash at its end; the endpoint's `base_url` goes before it.
        title: the vendor's name, for messages. sends_files: whether the submit itself carries files, so that what `bring` made
            has to last until then; the adapter calls `tidy` itself.
    """

    url: ClassVar[str] = ""
    hosts: ClassVar[tuple[str, ...]] = ()
    """Further hosts of the vendor that get the credential, unless the endpoint has a base URL of its own."""
    title: ClassVar[str] = ""
    sends_files: ClassVar[bool] = False

    # -- what a vendor's adapter says ---------------------------------------------------------------------------------

    @abc.abstractmethod
    def signed(self, context: Context) -> dict[str, str]:
        """The headers that every call to the vendor's own hosts carries: the credential."""

    @abc.abstractmethod
    def said(self, reply: Reply) -> Said | None:
        """The vendor's own structured error in a reply that is no success. None: somebody else's page."""

    async def hand_over(self, context: Context, media: Media, field: str) -> Any:
        """What the body holds for one input. Here: its URL, or its content as a data URI."""
        if is_public(media):
            return media.url
        return await data_uri(await self.bring(context, media), media)

    def by_id(self, context: Context, remote_id: str) -> Any:
        """What the body holds for a clip that an earlier job of this vendor made, where a file could stand as well."""
        return {"id": remote_id}

    # -- what all of them do ------------------------------------------------------------------------------------------

    def base(self, context: Context) -> str:
        """Base URL of the endpoint, without a slash at its end.

        Raises:
            MissingCredentials: its key is for a server of somebody else's, and where that is was not said.
        """
        if self.many_hosts and context.endpoint.base_url is None and context.endpoint.name != self.name:
            raise MissingCredentials(
                f"Endpoint {context.endpoint.name!r} has no base URL, and its key is for no other server. Nothing was sent.",
                provider=self.name, hint="Give it one.",
            )  # fmt: skip
        return (context.endpoint.base_url or self.url).rstrip("/")

    def secret(self, context: Context) -> str:
        """The credential.

        Raises:
            MissingCredentials: there is none.
        """
        if not context.secret:
            raise MissingCredentials(
                f"{self.title} needs a key, and there is none for endpoint {context.endpoint.name!r} and scope "
                f"{context.scope!r}.", provider=self.name,
            )  # fmt: skip
        return context.secret

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        """Hand the inputs over and build the body."""
        if context.route is None:
            raise Unsupported(
                f"{offer.name} has no route for {request.task}. Nothing was sent.", provider=self.name
            )
        media: dict[str, Any] = {}
        for name, item in request.media():
            field, bracket, _ = name.partition("[")
            mapped = context.route.fields.get(field)
            kind = "" if mapped is None else mapped.type
            remote_id = context.made_from.get(field) if kind in ("job", "job_or_video") else None
            if kind == "job" and remote_id is None:
                raise Unsupported(
                    f"{offer.name} takes {field}= by the id of the job that made it, and there is none. Nothing was sent.",
                    provider=self.name,
                )  # fmt: skip
            if remote_id is None:
                given = await self.hand_over(context, item, field)
            else:
                given = remote_id if kind == "job" else self.by_id(context, remote_id)
            if bracket:
                media.setdefault(field, []).append(given)
            else:
                media[field] = given
        body = body_of(
            request,
            context.route,
            media,
            samples=context.samples,
            job_id=context.job_id,
            webhook=context.webhook,
        )
        if media and not self.sends_files:
            await self.tidy(context)
        return Prepared(request, offer, body)

    async def tidy(self, context: Context) -> None:
        """Remove the files that `bring` made for a job. One that cannot be removed costs nobody the reply to a submit."""

        def remove() -> None:
            for file in context.folder.glob(f".{context.job_id}-in.*.part"):
                with contextlib.suppress(OSError):
                    file.unlink()

        await in_thread(remove)

    async def send(
        self, context: Context, path: str, *, method: str = "POST", json: Any = None, parts: Sequence[Part] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        """Send one paid request, once. A success comes back, whatever is in it.

        Raises:
            Rejected: nothing left, or the vendor's own error says so and the table lists it.
            VidorchError: nobody can tell.
        """
        try:
            signed, url = self.signed(context), self.at(context, path)
        except VidorchError as error:
            raise Rejected(error) from None
        reply = await context.http.submit(
            method, url, json=json, parts=parts, headers={**signed, **(headers or {})},
            timeout=float(context.endpoint.options.get("submit_timeout", 300.0)),
        )  # fmt: skip
        if reply.ok:
            return reply
        raise self.thrown_back(reply)

    async def ask(
        self, context: Context, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None,
        well: Iterable[int] = (),
    ) -> Reply:  # fmt: skip
        """Make a call that buys nothing.

        Args:
            well: statuses that the caller reads itself, beside those of success.

        Raises:
            VidorchError: any other status: the look was lost.
        """
        reply = await context.http.request(
            method, self.at(context, path), json=json, headers={**self.signed(context), **(headers or {})}
        )
        if reply.ok or reply.status in well:
            return reply
        raise self.wrong(reply)

    def still_at_work(self, remote_id: str) -> InvalidRequest:
        """What `delete_job` raises for a job that is not over: most vendors would cancel it, and bill that."""
        return InvalidRequest(
            f"{self.title} is still at work on {remote_id}, and deleting is not cancelling. Nothing was changed.", field="job_id",
            value=remote_id, allowed="a job that has ended", provider=self.name, remote_id=remote_id,
        )  # fmt: skip

    def at(self, context: Context, path: str) -> str:
        """The URL of a path; one that is a URL already has to be on the endpoint's own host, which gets the credential.

        Raises:
            ProviderFailed: it is not; nothing was sent.
        """
        base = self.base(context)
        if "://" not in path:
            return f"{base}/{path.lstrip('/')}"
        own = {urlsplit(base)[:2], *(("https", host) for host in self.hosts if not context.endpoint.base_url)}
        if urlsplit(path)[:2] not in own:
            raise ProviderFailed(
                f"{self.title} was to be asked at a host that is not its own ({without_query(path)}). Nothing was sent.",
                charged=False, provider=self.name,
            )  # fmt: skip
        return path

    def id_in(self, given: object) -> str:
        """The vendor's id of a job that it took, out of the reply to a submit.

        Raises:
            ProviderFailed: it is none that can be called. It is in the message then: a person may look for the job by it.
        """
        remote_id = str(given) if isinstance(given, (str, int)) else ""
        if _ID.fullmatch(remote_id):
            return remote_id
        shown = f" but {remote_id[:500]!r}" if remote_id else ""
        raise ProviderFailed(
            f"{self.title} answered without an id{shown}. It may have been accepted all the same.", charged=None,
            provider=self.name,
        )  # fmt: skip

    def row(self, code: str) -> ErrorRow | None:
        """The line of the table of errors that is about a code: the exact one before those that end in a `*`."""
        lines = [row for row in self.errors if row.covers(code)]
        return max(lines, key=lambda row: (not row.code.endswith("*"), len(row.code)), default=None)

    def line(self, said: Said, reply: Reply | None) -> ErrorRow | None:
        """The line of the table that is about an error: by the vendor's code, wherever that is listed.

        Where it is not, or the vendor names none, the status of the reply counts, if the table has a line for it: the body is the
        vendor's own all the same, and the page that the line names says what its errors of this status are. Of a page by somebody
        else (`said` gives None) the status proves nothing.
        """
        row = self.row(said.code) if said.code else None
        return self.row(str(reply.status)) if row is None and reply is not None else row

    def thrown_back(self, reply: Reply) -> VidorchError:
        """What a submit raises whose reply is no success: `Rejected` only where the table says that this proves it."""
        said = self.said(reply)
        row = None if said is None else self.line(said, reply)
        if said is None:
            return ProviderFailed(
                f"{self.title} answered the submit with {reply.status} and not in its own words, as a gateway in front of it "
                "does. It may have been accepted all the same.",
                charged=None, provider=self.name, code=str(reply.status),
            )  # fmt: skip
        if (
            row is None or not row.rejected or reply.status >= 500
        ):  # a 5xx proves nothing, whatever word is in it
            return ProviderFailed(
                f"{self.title} answered the submit with {_words(said, reply)}. Whether it was accepted is not certain.",
                charged=None, provider=self.name, code=_named(said, reply), request_id=said.request_id,
            )  # fmt: skip
        error = self.typed(said, reply, charged=False)
        wait = said.retry_after if said.retry_after is not None else reply.retry_after
        return Rejected(
            error, retry_after=(AGAIN_AFTER if wait is None else wait) if error.retryable else None
        )

    def wrong(self, reply: Reply) -> VidorchError:
        """The error of a call that buys nothing."""
        said = self.said(reply)
        if said is None:
            return ProviderFailed(
                f"{self.title} answered with {reply.status} and not in its own words.", charged=False, retryable=True,
                provider=self.name, code=str(reply.status),
            )  # fmt: skip
        return self.typed(said, reply, charged=False)

    def typed(
        self, said: Said, reply: Reply | None = None, *, charged: bool | str | None = "table"
    ) -> VidorchError:
        """The typed error for a vendor's own, by the table; what that does not list is `ProviderFailed`."""
        row = self.line(said, reply)
        kind = ProviderFailed if row is None else getattr(errors, row.error)
        retryable = (
            said.retryable if said.retryable is not None else row.retryable if row is not None else False
        )
        taken = (None if row is None else row.charged) if charged == "table" else charged
        more: dict[str, Any] = {
            "provider": self.name, "code": _named(said, reply), "request_id": said.request_id, "charged": taken,
            "retryable": retryable, "hint": "" if row is None else row.hint,
        }  # fmt: skip
        if kind is Refused:
            more["stage"] = "input" if row is None else row.stage
        if kind is Throttled:
            more["retry_after"] = (
                said.retry_after if said.retry_after is not None else reply.retry_after if reply else None
            )
        if kind is errors.OverBudget:
            more["budget"] = f"the account at {self.title}"
        error: VidorchError = kind(f"{self.title}: {_words(said, reply)}.", **more)
        return error

    async def refresh(self, context: Context, accepted: Accepted, output: Output) -> Output:
        """Look at the job again: what it names now is fresh.

        Raises:
            ProviderFailed: it names no such result any more.
        """
        found = await self.poll(context, accepted)
        if isinstance(found, Done) and output.index < len(found.outputs):
            return found.outputs[output.index]
        raise ProviderFailed(
            f"{self.title} has no result of {accepted.remote_id} any more.", charged=None, provider=self.name
        )

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Download a result; the credential goes to the endpoint's own host alone."""
        base = self.base(context)
        await context.http.download(output.ref, path, own=[base], secret=self.signed(context))

    async def bring(self, context: Context, media: Media) -> Path | bytes:
        """An input as a file or bytes here: for vendors that take no URL, and for URLs that only we can read.

        A file that is made for it lies beside the job's other temporary files until `tidy`.

        Raises:
            VidorchError: it cannot be read.
        """
        if media.data is not None:
            return media.data
        if media.path is not None:
            return media.path
        assert media.url is not None
        from vidorch.media import temporary_beside

        context.folder.mkdir(parents=True, exist_ok=True)
        path = temporary_beside(context.folder / f"{context.job_id}-in")
        if media.url.lower().startswith("https://"):
            await context.http.download(media.url, path)
        else:
            from vidorch import storage

            await in_thread(storage.fetch, media.url, path)
        return path


def is_public(media: Media) -> bool:
    """Whether the vendor can read it by its URL."""
    return media.url is not None and media.url.lower().startswith("https://")


async def data_uri(content: Path | bytes, media: Media) -> str:
    """`data:image/png;base64,...`."""
    data = content if isinstance(content, bytes) else await in_thread(content.read_bytes)
    kind = media.media_type or {"image": "image/png", "video": "video/mp4", "audio": "audio/mpeg"}[media.kind]
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _named(said: Said, reply: Reply | None) -> str:
    return said.shown or said.code or (str(reply.status) if reply is not None else "")


def _words(said: Said, reply: Reply | None) -> str:
    status = f"{reply.status} " if reply is not None else ""
    code = said.shown or said.code
    message = " ".join(said.message.split())[:500].rstrip(".")
    return f"{status}{': '.join(filter(None, (code, message)))}".strip()
