"""A model with settings of its own, for a call that asks its models differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidorch.errors import InvalidRequest, shown
from vidorch.inputs import Kind, Media, without_secrets
from vidorch.request import NAMED_TASKS, Request, is_real, nearest_name

__all__ = ["Choice"]

_MEDIA_FIELDS: dict[str, Kind] = {
    "image": "image", "last_image": "image", "reference_images": "image", "video": "video", "audio_track": "audio",
}  # fmt: skip
_REQUEST_FIELDS = tuple(item.name for item in Request.__dataclass_fields__.values())


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Choice:
    """A model with settings of its own, for a list in which one offer is to be asked differently.

    `Choice("veo-3.1-fast", duration=6)` asks Veo for 6 s, whatever the call says for the others.
    """

    model: str
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, model: str, **overrides: Any) -> None:
        for name in overrides:
            if not Request.known(name) or name == "candidates":
                near = nearest_name(name, (known for known in _REQUEST_FIELDS if known != "candidates"))
                raise InvalidRequest(
                    f"A Choice cannot set {name}=.{f' Did you mean {near}=?' if near else ''}",
                    field=name, value=overrides[name], allowed="the fields of a request, without candidates",
                )  # fmt: skip
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "overrides", dict(overrides))

    def __hash__(self) -> int:
        return hash((self.model, *sorted(self.overrides)))

    def __repr__(self) -> str:
        settings = "".join(
            f", {name}={'...' if name in _MEDIA_FIELDS else shown(without_secrets(value))}"
            for name, value in self.overrides.items()
        )
        return f"Choice({self.model!r}{settings})"

    def describe(self) -> dict[str, Any]:
        """JSON-ready form for the ledger: media as hash, size and kind, never as content; no secrets.

        Raises:
            InvalidRequest: media that cannot be read, as `applied_to` would.
        """
        return {
            "model": self.model,
            "overrides": {name: _written(name, value) for name, value in self.overrides.items()},
        }

    def applied_to(self, request: Request) -> Request:
        """The request as this choice wants it.

        Raises:
            InvalidRequest: the two do not go together.
        """
        if not self.overrides:
            return request
        changes = dict(self.overrides)
        if _MEDIA_FIELDS.keys() & changes.keys() and request.task not in NAMED_TASKS:
            changes.setdefault("task", "")  # read from the inputs; with other inputs it is read again
        if changes.keys() & {"resolution", "aspect_ratio"}:
            changes.setdefault("size", None)
        elif changes.get("size") is not None:
            changes = {"resolution": None, "aspect_ratio": None, **changes}
        return request.with_(**changes)


def _written(name: str, value: Any) -> Any:
    if name == "reference_images" and isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [Media.of(item, "image", name).describe() for item in value]
    if name in _MEDIA_FIELDS:
        return None if value is None else Media.of(value, _MEDIA_FIELDS[name], name).describe()
    if isinstance(value, (str, bool, int, float, list, tuple, Mapping)) or value is None:
        return without_secrets(value)
    return float(value) if is_real(value) else shown(value)
