"""What a client asks of vendors, and hears from them, without making anything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from vidorch.client.opening import Opening, closed
from vidorch.contract import Context, Endpoint, Health
from vidorch.errors import InvalidRequest
from vidorch.result import Received

__all__ = ["Asking"]


class Asking(Opening):
    """The calls of a client that reach a vendor and pay for nothing."""

    async def check(self, endpoint: str, *, scope: str = "default") -> Health:
        """Whether an endpoint answers and takes the credential, the one that a submit of this scope would carry. Costs nothing.

        Raises:
            Unsupported: there is no such endpoint, or its provider is not installed.
            VidorchError: it could not be asked.
        """
        from vidorch.engine.errand import typed
        from vidorch.engine.masking import mask, masked

        if self._closed:
            raise closed()
        where = self._market.endpoints.get(endpoint) or Endpoint(endpoint, endpoint)
        provider = self._registry.get(where.provider)
        secret = self._market.secret_at(where.name, scope)
        context = Context(
            endpoint=where, clock=self._clock, job_id="check", folder=self._home, secret=secret, http=self._http, scope=scope,
        )  # fmt: skip
        try:
            health = await provider.check(context)
        except Exception as error:
            told = typed(error, where.provider, sent=False)
            mask(told, secret)
            told.charged = False
            raise told from told.__cause__
        return replace(health, detail=masked(health.detail, secret) if secret else health.detail)

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

        where = self._market.endpoints.get(endpoint) or Endpoint(endpoint, endpoint)
        provider = self._registry.get(where.provider)
        secret = self._market.secret_at(where.name, scope)
        context = Context(
            endpoint=where, clock=self._clock, job_id="webhook", folder=self._home, http=self._http, scope=scope, secret=secret,
        )  # fmt: skip
        content = bytes(body)
        plain = {str(name).lower(): str(value) for name, value in headers.items()}
        try:
            delivery = await provider.parse_webhook(context, plain, content, url)
        except Exception as error:
            mask(error, secret)  # a vendor that was asked for its keys may have said ours back
            raise
        engine = await self._open(free=False)
        return await engine.receive(where, scope, delivery, hashlib.sha256(content).hexdigest())
