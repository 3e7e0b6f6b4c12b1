"""Google's Interactions API, which serves Gemini Omni on both of Google's surfaces: what its resources say.

Sources: google-genai 3.4.0 (_gaos/types/interactions), read 2026-11-22. Not confirmed: what a cancelled one costs, and how
deliveries are signed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from vidorch.contract import Done, ErrorRow, Failed, Output, Polled, Progress
from vidorch.errors import ProviderFailed, Refused, VidorchError
from vidorch.hosted import Hosted, Said
from vidorch.http import Reply

__all__ = ["ERRORS", "INLINE", "POLICY", "inline_of", "said", "standing"]

INLINE = "inline:"
"""Begins the reference of a clip that comes inside the resource itself."""
POLICY = re.compile(r"responsible ai|sensitive|support codes?|violat|policy|safety|prohibited", re.IGNORECASE)
_SOURCE = "google.rpc.Code; google-genai 3.4.0"
ERRORS = (
    ErrorRow("refused", "Refused", True, False, False, "js-genai#1272: the message itself says that nothing is charged"),
    ErrorRow("INVALID_ARGUMENT", "InvalidRequest", True, False, False, _SOURCE),
    ErrorRow("OUT_OF_RANGE", "InvalidRequest", True, False, False, _SOURCE),
    ErrorRow("FAILED_PRECONDITION", "Unsupported", True, False, False, "python-genai#1377: not allowlisted"),
    ErrorRow("NOT_FOUND", "Unsupported", True, False, False, _SOURCE, hint="The model is retired, or not open to this project."),
    ErrorRow("PERMISSION_DENIED", "Unsupported", True, False, False, _SOURCE, hint="Check permissions and billing."),
    ErrorRow("UNAUTHENTICATED", "MissingCredentials", True, False, False, _SOURCE, hint="Check the credential."),
    ErrorRow("RESOURCE_EXHAUSTED", "Throttled", True, False, True, _SOURCE, hint="Quota or capacity."),
    ErrorRow("UNIMPLEMENTED", "Unsupported", True, False, False, _SOURCE),
    ErrorRow("ABORTED", "ProviderFailed", False, None, True, _SOURCE),
    ErrorRow("INTERNAL", "ProviderFailed", False, None, True, _SOURCE),
    ErrorRow("UNAVAILABLE", "ProviderFailed", False, None, True, _SOURCE),
    ErrorRow("DEADLINE_EXCEEDED", "ProviderFailed", False, None, True, _SOURCE),
    ErrorRow("failed", "ProviderFailed", False, None, False, _SOURCE),
    ErrorRow("filtered", "Refused", False, False, False, "charged only on success (gh:70909750555)", stage="output"),
    ErrorRow("budget_exceeded", "OverBudget", False, None, False, _SOURCE),
)  # fmt: skip


_STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
    "invalid_request": "INVALID_ARGUMENT",
}  # fmt: skip
"""What the `code` in an error's body means where no `status` stands beside it: a number, or a word of the Interactions API's.
Others than "invalid_request" and names of statuses in small letters were not seen: what they mean of a submit, nobody knows."""


def said(reply: Reply) -> Said | None:
    """Google's own error: by its `status`, else by the code in it; one that has neither is not Google's."""
    try:
        body = reply.json()
    except VidorchError:
        return None
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    words, code = str(error.get("message") or ""), error.get("code")
    status = error.get("status")
    if not isinstance(status, str) and isinstance(code, (int, str)):
        status = _STATUSES.get(code, str(code).upper())
    if not isinstance(status, str) or not status:
        return None
    if status == "INVALID_ARGUMENT" and "api key not valid" in words.lower():
        return Said("UNAUTHENTICATED", words)
    if status == "INVALID_ARGUMENT" and POLICY.search(words):
        return Said("refused", words, status)
    return Said(status, words)


def standing(provider: Hosted, interaction: Mapping[str, Any], remote_id: str, ref: str) -> Polled:
    """How it stands, by its status; a word that nobody knows is no end.

    A clip that is there is handed over whatever the status says: whoever made it bills it.

    Args:
        ref: what a clip inside it is asked for again by, behind `INLINE`.
    """
    word = str(interaction.get("status") or "").lower()
    if not is_over(interaction):
        return Progress("queued" if word == "queued" else "running", detail=word)
    if outputs := outputs_of(interaction, ref):
        code, words = words_of(interaction)
        why = f" ({': '.join(filter(None, (code, words)))})" if code or words else ""
        note = f"Google ended the work as {word!r}{why}, and what it had made by then is handed over."
        return Done(outputs, notes=() if word == "completed" else (note,))
    if word == "completed":
        return Done((), filtered=1, filter_reasons=("completed without a video: it was filtered",))
    if word == "cancelled":
        return cancelled(remote_id)
    code, words = words_of(interaction)
    known = next((one for one in (code, word) if provider.row(one)), "failed")
    error = provider.typed(
        Said("refused" if POLICY.search(words) else known, words or word, code or word), charged=None
    )
    if isinstance(error, Refused):
        error.charged = False
    error.remote_id = remote_id
    return Failed(error)


_ENDS = frozenset({"completed", "failed", "cancelled", "incomplete", "budget_exceeded", "requires_action"})


def is_over(interaction: Mapping[str, Any]) -> bool:
    """Whether nothing is done for it any more; a status that nobody knows is no end."""
    return str(interaction.get("status") or "").lower() in _ENDS


def outputs_of(interaction: Mapping[str, Any], remote_id: str) -> tuple[Output, ...]:
    """Its clips: by link, or inside it."""
    found: list[Output] = []
    for content in _videos(interaction):
        number = len(found)
        kind = str(content.get("mime_type") or "video/mp4")
        if isinstance(content.get("uri"), str):
            found.append(Output(number, content["uri"], kind))
        elif isinstance(content.get("data"), str):
            found.append(Output(number, f"{INLINE}{remote_id}", kind))
    return tuple(found)


def inline_of(interaction: Mapping[str, Any], index: int) -> bytes:
    """The bytes of a clip that came inside.

    Raises:
        ProviderFailed: it is not there any more.
    """
    videos = list(_videos(interaction))
    try:
        return base64.b64decode(videos[index]["data"], validate=True)
    except (IndexError, KeyError, ValueError, TypeError):
        raise ProviderFailed("Google's reply holds no such clip any more.", charged=None) from None


def words_of(interaction: Mapping[str, Any]) -> tuple[str, str]:
    """(code, message) of one that failed."""
    errors = [one for one in interaction.get("errors") or () if isinstance(one, dict)]
    return (str(errors[0].get("code") or ""), str(errors[0].get("message") or "")) if errors else ("", "")


def cancelled(remote_id: str) -> Failed:
    """One that was stopped. Whether it was billed is not known."""
    error = ProviderFailed("Google: the interaction was cancelled.", charged=None, remote_id=remote_id)
    return Failed(error, cancelled=True)


def tokens_of(interaction: Mapping[str, Any]) -> Decimal | None:
    """Video tokens that were made, for the record."""
    usage = interaction.get("usage")
    lines = usage.get("output_tokens_by_modality") if isinstance(usage, dict) else None
    for line in lines if isinstance(lines, list) else ():
        if (
            isinstance(line, dict)
            and str(line.get("modality")).lower() == "video"
            and isinstance(line.get("tokens"), int)
        ):
            return Decimal(line["tokens"])
    return None


def _videos(interaction: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for step in interaction.get("steps") or interaction.get("outputs") or ():
        content = step.get("content") if isinstance(step, dict) and "content" in step else [step]
        found += [one for one in content or () if isinstance(one, dict) and one.get("type") == "video"]
    return found
