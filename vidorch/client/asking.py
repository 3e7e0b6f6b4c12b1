"""What a client asks of vendors, and hears from them, without making anything."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import TypeVar

from vidorch.client.opening import Opening, closed
from vidorch.contract import Accepted, Context, Endpoint, Health, Provider, RemoteJob
from vidorch.errors import InvalidRequest, Unsupported, VidorchError, shown
from vidorch.ledger.moves import ENDS, State
from vidorch.offloop import in_thread
from vidorch.result import Job, Received

__all__ = ["Asking", "told"]

T = TypeVar("T")
DELETABLE = frozenset({State.SETTLED, State.REFUSED, State.FAILED, State.CANCELLED})
"""States of which nothing is to come any more: of a job that is `lost`, something may."""


class Asking(Opening):
    """The calls of a client that reach a vendor and pay for nothing."""

    async def check(self, endpoint: str, *, scope: str = "default") -> Health:
        """Whether an endpoint answers and takes the credential, the one that a submit of this scope would carry. Costs nothing.

        Raises:
            Unsupported: there is no such endpoint, or its provider is not installed.
            VidorchError: it could not be asked.
        """
        from vidorch.engine.masking import masked

        where = self._where(endpoint)
        provider = self._registry.get(where.provider)
        context = self._asks(where, scope, "check")
        health = await told(provider, context, provider.check(context))
        secret = context.secret
        return replace(health, detail=masked(health.detail, secret) if secret else health.detail)

    async def remote(self, endpoint: str, *, scope: str = "default", limit: int = 100) -> list[RemoteJob]:
        """What the vendor itself lists: the account's jobs, newest first, whoever submitted them. Costs nothing.

        A job that this ledger knows has its `job_id`. One that it does not know was paid for elsewhere, or its submit lost its
        reply: `adopt` gives it to the job that is `unknown`.

        Args:
            endpoint: such as "replicate". scope: whose account. limit: how many at most, 1 to 2,000.

        Raises:
            Unsupported: this vendor has no such list, or there is no such endpoint. VidorchError: it could not be asked.
        """
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 2_000:
            raise InvalidRequest(f"limit={shown(limit)} cannot be used. Allowed is 1 to 2,000.", field="limit", value=limit,
                                 allowed="1 to 2,000")  # fmt: skip
        where = self._where(endpoint)
        provider = self._able(where.provider, "list_jobs", "does not list its jobs")
        context = self._asks(where, scope, "list")
        found = await told(provider, context, provider.list_jobs(context, limit))
        await self._open(free=False)
        ledger = self._opened_ledger()
        ours = await in_thread(ledger.owners, where.name, where.account, [one.id for one in found])
        return [replace(one, job_id=ours.get(one.id)) for one in found]

    async def delete_remote(self, job_id: str, *, only_copy: bool = False) -> bool:
        """Remove the vendor's copy of a job that has ended: its record and its results there. The clip here stays.

        Deleting is not cancelling, and refunds nothing.

        Args:
            only_copy: also where nothing of it was ever brought here, though it may have been paid for.

        Returns:
            Whether there was something to delete: False when it was gone already.

        Raises:
            InvalidRequest: there is no such job, it is not over here or there, or nobody knows its id at the vendor.
            Unsupported: this vendor cannot delete one. VidorchError: it could not be asked; nothing was changed here.
        """
        await self._open(free=False)
        ledger = self._opened_ledger()
        job = await in_thread(ledger.job, job_id)
        if job is None or job.remote_id is None or State(job.state) not in DELETABLE:
            raise _cannot_delete(job_id, job)
        if not only_copy and job.charged is not False:
            rows = await in_thread(ledger.outputs, job.run_id)
            if not any(row["job_id"] == job_id and row["uri"] for row in rows):
                raise _only_copy(job)
        where = self._market.endpoints.get(job.endpoint) or Endpoint(job.endpoint, job.provider)
        provider = self._able(job.provider, "delete_job", "cannot delete a job")
        context = self._asks(where, job.scope, job.id)
        accepted = Accepted(job.remote_id, job.quote, dict(job.details))
        there = await told(provider, context, provider.delete_job(context, accepted))
        ledger.note(
            job.run_id, job.id, self._clock.now(), "deleted", {"remote_id": job.remote_id, "was_there": there}
        )
        await in_thread(ledger.flush)
        return there

    def _where(self, endpoint: str) -> Endpoint:
        if self._closed:
            raise closed()
        return self._market.endpoints.get(endpoint) or Endpoint(endpoint, endpoint)

    def _asks(self, where: Endpoint, scope: str, what: str) -> Context:
        secret = self._market.secret_at(where.name, scope)
        return Context(
            endpoint=where, clock=self._clock, job_id=what, folder=self._home, secret=secret, http=self._http, scope=scope,
        )  # fmt: skip

    def _able(self, name: str, verb: str, cannot: str) -> Provider:
        """The provider, if it has an optional call; else the others that have are named."""
        provider = self._registry.get(name)
        if _has(provider, verb):
            return provider
        others = []
        for other in sorted(self._registry.names() - {name}):
            with contextlib.suppress(VidorchError):  # its package is missing
                if _has(self._registry.get(other), verb):
                    others.append(other)
        raise Unsupported(
            f"{name} {cannot}. Nothing was changed.", hint=f"These do: {', '.join(others)}." if others else "", provider=name
        )  # fmt: skip

    async def handle_webhook(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        body: bytes,
        url: str | None = None,
        *,
        scope: str = "default",
    ) -> Received:
        """Take in what a vendor sent to the URL that was given as `webhook=`. Call it from your web server, and answer 200.

        The delivery is verified the vendor's own way (Kling and Google sign nothing that is known: the job's token in the URL
        stands for it), written down once, and whoever waits for its job, in whichever process of this ledger, looks at once.
        It is only ever a hint to look: what it says of the result is not believed.

        Args:
            endpoint: whose webhook it is, such as "fal". headers: as they came. body: the raw bytes. url: the whole URL that was
                called, with its query: the token is in it. scope: whose secret it is verified with.

        Raises:
            InvalidRequest: it cannot be believed; answer 401. Unsupported: this provider sends none.
            MissingCredentials: what verifies it is missing. LedgerUnavailable: answer 500, and the vendor sends it again.
        """
        if self._closed:
            raise closed()
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise InvalidRequest("body= has to be the raw bytes that came: a signature holds for nothing else.", field="body",
                                 allowed="bytes")  # fmt: skip
        from vidorch.engine.masking import mask

        where = self._where(endpoint)
        provider = self._registry.get(where.provider)
        context = self._asks(where, scope, "webhook")
        content = bytes(body)
        plain = {str(name).lower(): str(value) for name, value in headers.items()}
        try:
            delivery = await provider.parse_webhook(context, plain, content, url)
        except Exception as error:
            mask(error, context.secret)  # a vendor that was asked for its keys may have said ours back
            raise
        engine = await self._open(free=False)
        return await engine.receive(where, scope, delivery, hashlib.sha256(content).hexdigest())


async def told(provider: Provider, context: Context, call: Awaitable[T]) -> T:
    """What a call that buys nothing gives.

    Raises:
        VidorchError: whatever went wrong, without the credential.
    """
    from vidorch.engine.errand import typed
    from vidorch.engine.masking import mask

    try:
        return await call
    except Exception as error:
        told = typed(error, provider.name, sent=False)
        mask(told, context.secret)
        told.charged = False
        raise told from told.__cause__


def _has(provider: Provider, verb: str) -> bool:
    return getattr(type(provider), verb) is not getattr(Provider, verb)


def _cannot_delete(job_id: str, job: Job | None) -> InvalidRequest:
    if job is None:
        return InvalidRequest(f"There is no job {job_id!r} in this ledger.", field="job_id", value=job_id,
                              allowed="an id from `vidorch jobs list`")  # fmt: skip
    if State(job.state) in DELETABLE:
        why, hint = "nobody knows its id at the vendor", ""
    elif State(job.state) in ENDS:
        why = f"it is {job.state}, and what the vendor has of it may be the only copy"
        hint = f"When you know what it cost: vidorch jobs settle {job.id} --charged USD (or --not-charged)"
    else:
        why, hint = (
            f"it is {job.state}, and deleting is not cancelling",
            f"To end it: vidorch jobs cancel {job.id}",
        )
    return InvalidRequest(
        f"The job {job.id} cannot be deleted at {job.provider}: {why}. Nothing was changed.", hint=hint, field="job_id",
        value=job.id, allowed="a job that has ended", run_id=job.run_id, job_id=job.id, charged=job.charged,
    )  # fmt: skip


def _only_copy(job: Job) -> InvalidRequest:
    return InvalidRequest(
        f"Nothing of the job {job.id} was ever brought here, and it may have been paid for: what {job.provider} has may be the "
        "only copy. Nothing was changed.", hint="only_copy=True (--only-copy) deletes it.", field="job_id", value=job.id,
        allowed="a job whose clip is here, or only_copy=True", run_id=job.run_id, job_id=job.id, charged=job.charged,
    )  # fmt: skip
