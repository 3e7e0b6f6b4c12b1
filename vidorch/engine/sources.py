"""Clips of earlier jobs as inputs of new ones, by the id that their vendor knows them under."""

from __future__ import annotations

from collections.abc import Sequence

from vidorch.errors import Unsupported
from vidorch.inputs import Media
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import State
from vidorch.planning import PlannedOffer
from vidorch.request import Request

__all__ = ["made_from"]


def made_from(
    ledger: Ledger, request: Request, scope: str, entries: Sequence[PlannedOffer]
) -> dict[str, str]:
    """The vendor's id of the job behind each input that is a clip of this ledger, by field. Blocks.

    Raises:
        Unsupported: every offer of the plan needs an id that cannot be had. Nothing was sent.
    """
    found: dict[str, str] = {}
    for name, media in request.media():
        if not media.job_id:
            continue
        told = _remote_id(ledger, media, scope)
        if not told.startswith("!"):
            found[name] = told
        elif entries and all(_takes_ids_alone(entry, name) for entry in entries):
            raise Unsupported(
                f"{entries[0].offer.name} takes {name}= by the id of the job that made it, and {told[1:]}. Nothing was sent.",
                hint="Take an offer that takes the file: vidorch estimate --compare", job_id=media.job_id,
            )  # fmt: skip
    return found


def _takes_ids_alone(entry: PlannedOffer, name: str) -> bool:
    mapped = entry.route.fields.get(name)
    return mapped is not None and mapped.type == "job"


def _remote_id(ledger: Ledger, media: Media, scope: str) -> str:
    """The id; after a `!` why there is none that stands for this very clip."""
    job = ledger.job(media.job_id)
    if job is None or job.remote_id is None:
        return f"!this ledger has no id for {media.job_id}"
    if job.scope != scope:
        return f"!{job.id} was made with the credential of scope {job.scope!r}"
    if job.state != State.SETTLED:
        return f"!{job.id} is {job.state}"
    if job.samples > 1:
        return f"!{job.id} made {job.samples} clips under one id"
    if job.settings.get("trim_to") is not None:
        return f"!the clip of {job.id} was cut here, and its vendor has the longer one"
    written = {row["sha256"] for row in ledger.outputs(job.run_id) if row["job_id"] == job.id}
    if media.url is None and media.fingerprint() not in written:
        return f"!the file is not the clip that {job.id} made any more"
    return job.remote_id
