"""Google video on an API key: Gemini Omni, by the Interactions API. (Veo's ids on this surface were retired 2026-10-22.)

What decides the design: it is billed by tokens, of which a second of video has a fixed number, so the catalog's price per
second bounds it; `completed` without a video is a filtered output; a result may be a link that wants the key, or base64 in
the resource; Google's own package sends a create again up to five times, and this adapter never does.

Sources and what is not confirmed: see `_interactions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidorch.contract import (
    Accepted,
    Cancelled,
    Context,
    Delivery,
    Health,
    Output,
    Polled,
    Prepared,
)
from vidorch.errors import InvalidRequest, MissingCredentials, ProviderFailed, VidorchError
from vidorch.hosted import Hosted, Said, data_uri
from vidorch.http import Reply
from vidorch.inputs import Media
from vidorch.offloop import in_thread
from vidorch.signatures import token_in
from vidorch_providers import _interactions as wire

__all__ = ["Gemini"]

MOST = 512_000_000
"""Bytes of a reply: base64 of a clip may be in it."""


class Gemini(Hosted):
    """Speaks to `generativelanguage.googleapis.com`."""

    name = "gemini"
    title = "Google"
    url = "https://generativelanguage.googleapis.com"
    errors = wire.ERRORS

    def signed(self, context: Context) -> dict[str, str]:
        """`x-goog-api-key`."""
        return {"x-goog-api-key": self.secret(context)}

    def said(self, reply: Reply) -> Said | None:
        """`{"error": {"code", "message", "status"}}`."""
        return wire.said(reply)

    async def hand_over(self, context: Context, media: Media, field: str) -> Any:
        """A part of the input: the content itself as base64."""
        text = await data_uri(await self.bring(context, media), media)
        head, _, data = text.partition(",")
        return {
            "type": media.kind,
            "mime_type": head.removeprefix("data:").removesuffix(";base64"),
            "data": data,
        }

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        """POST the interaction, once, to run in the background and be kept."""
        assert context.route is not None
        body = dict(prepared.body)
        if context.webhook:
            body["webhook_config"] = {"uris": [context.webhook]}
        reply = await self.send(context, context.route.path, json=body)
        interaction = reply.json()
        return Accepted(self.id_in(interaction.get("id") if isinstance(interaction, dict) else None))

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        """GET the interaction."""
        interaction = await self._read(context, accepted.remote_id)
        return wire.standing(self, interaction, accepted.remote_id, accepted.remote_id)

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        """Download by link, with the key to Google's own host alone; or write what is inside the resource."""
        if output.ref.startswith(wire.INLINE):
            interaction = await self._read(context, output.ref.removeprefix(wire.INLINE))
            await in_thread(path.write_bytes, wire.inline_of(interaction, output.index))
            return
        await context.http.download(output.ref, path, own=[self.base(context)], secret=self.signed(context))

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        """POST .../cancel. Whether it is billed then is not known."""
        await self.ask(context, "POST", f"v1/interactions/{accepted.remote_id}/cancel")
        return Cancelled(True, None)

    async def delete_job(self, context: Context, accepted: Accepted) -> bool:
        """DELETE the interaction, once it is seen to be over."""
        try:
            interaction = await self._read(context, accepted.remote_id)
        except VidorchError as error:
            if error.code == "NOT_FOUND":
                return False
            raise
        if not wire.is_over(interaction):
            raise self.still_at_work(accepted.remote_id)
        path = f"v1/interactions/{accepted.remote_id}"
        return (await self.ask(context, "DELETE", path, well=(404,))).ok

    async def check(self, context: Context) -> Health:
        """Ask for an interaction that is not there: free, and it needs the key."""
        try:
            reply = await self.ask(context, "GET", "v1/interactions/v1_0", well=(400, 404))
        except VidorchError as error:
            return Health(False, str(error))
        said = self.said(reply)
        if not reply.ok and (said is None or said.code == "UNAUTHENTICATED"):
            return Health(False, str(self.wrong(reply)))
        return Health(True, "Google answers and takes the key.")

    async def parse_webhook(
        self, context: Context, headers: Mapping[str, str], body: bytes, url: str | None = None
    ) -> Delivery:
        """Read a delivery. How Google signs it is not known, so the job's token in the URL is asked for."""
        try:
            event = json.loads(body)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            allowed = "an event of Google's"
            raise InvalidRequest(f"This is not {allowed}: no JSON object.", field="body", allowed=allowed)
        token = token_in(url)
        if token is None:
            raise MissingCredentials("The delivery's URL carries no token of a job.", provider=self.name)
        data = event.get("data")
        remote_id = str(
            event.get("interaction_id") or (data.get("id") if isinstance(data, dict) else "") or ""
        )
        return Delivery(str(event.get("id") or f"{remote_id}:{event.get('type')}"), remote_id or None, token)

    async def _read(self, context: Context, remote_id: str) -> dict[str, Any]:
        reply = await context.http.request(
            "GET",
            self.at(context, f"v1/interactions/{remote_id}"),
            headers=self.signed(context),
            timeout=300,
            most=MOST,
        )
        if not reply.ok:
            raise self.wrong(reply)
        interaction = reply.json()
        if not isinstance(interaction, dict):
            raise ProviderFailed("Google's reply is no interaction.", charged=None, provider=self.name)
        return interaction
