"""What inputs a client takes: a server that makes video for others takes no paths, and URLs from its own places alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from vidorch.choice import Choice
from vidorch.errors import InvalidRequest, shown
from vidorch.inputs import Media, names_a_file, without_query
from vidorch.request import Request
from vidorch.result import Clip
from vidorch.weights import names_a_path

__all__ = ["AllowedInputs"]

Place: TypeAlias = "tuple[str, str, str]"
"""Scheme, host with port, and a path that ends in a slash."""

_FILE_IN_EXTRA = "mask"
_STANDARD_PORT = re.compile(r":443$")


@dataclass(frozen=True, slots=True)
class AllowedInputs:
    """The two switches for servers.

    Attributes:
        local: whether inputs may be files of this machine. urls: base URLs that inputs may come from; None for any.
    """

    local: bool = True
    urls: tuple[str, ...] | None = None
    _places: frozenset[Place] = frozenset()

    @classmethod
    def of(cls, local: object, urls: Iterable[str] | None) -> AllowedInputs:
        """Read the client's options.

        Raises:
            InvalidRequest: one of them cannot be used.
        """
        if not isinstance(local, bool):
            raise _wrong("local_inputs", local, "True or False")
        if urls is None:
            return cls(local)
        many = (urls,) if isinstance(urls, str) else tuple(urls)
        places = [_place(url) if isinstance(url, str) else None for url in many]
        for url, place in zip(many, places, strict=True):
            if place is None or urlsplit(url).query:
                raise _wrong(
                    "input_urls", url, "base URLs such as 'https://cdn.example.com/' or 's3://bucket/ours/'"
                )
        return cls(local, many, frozenset(place for place in places if place is not None))

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Look at every input among the options of a call, those of a `Choice` too, before a request is made of them.

        A request looks at its files when it is made. Whoever may name none is not to learn from an error what is there.

        Raises:
            InvalidRequest: this client does not take one of them. No file was looked at, and nothing was sent.
        """
        if self.local and self.urls is None:
            return
        models = options.get("model")
        many = models if isinstance(models, (list, tuple)) else (models,)
        for one in (options, *(choice.overrides for choice in many if isinstance(choice, Choice))):
            for field, value in _inputs_of(one):
                url = (
                    value.uri if isinstance(value, Clip) else value.url if isinstance(value, Media) else value
                )
                if names_a_file(value):
                    self._check_file(field, value)
                elif isinstance(url, str):
                    self._check_url(field, url)
            self._check_loras(one.get("loras"))
            self._check_extra(one.get("extra"))

    def check(self, request: Request) -> None:
        """Look at every input of a request.

        Raises:
            InvalidRequest: this client does not take one of them. Nothing was read of it here, and nothing was sent.
        """
        for field, item in request.media():
            if item.path is not None:
                self._check_file(field, item.path)
            if item.url is not None:
                self._check_url(field, item.url)
        self._check_loras(request.loras)
        self._check_extra(request.extra)

    def _check_loras(self, loras: object) -> None:
        """Look at the names of LoRAs; what is none is refused when the request is made."""
        for one in loras if isinstance(loras, Sequence) and not isinstance(loras, (str, bytes)) else ():
            name = one[0] if isinstance(one, (tuple, list)) and one else one
            if isinstance(name, str) and names_a_path(name):
                self._check_file("loras", name)

    def _check_extra(self, extra: object) -> None:
        """Look at what models on one's own hardware read from a file; what goes to a vendor is only sent."""
        for owner, values in extra.items() if isinstance(extra, Mapping) else ():
            if isinstance(values, Mapping) and isinstance(
                mask := values.get(_FILE_IN_EXTRA), (str, PathLike)
            ):
                self._check_file(f"extra[{owner!r}][{_FILE_IN_EXTRA!r}]", mask)

    def _check_file(self, field: str, value: object) -> None:
        if not self.local:
            raise InvalidRequest(
                f"{field}= is a file, and this client takes none (local_inputs=False). Nothing was sent.", field=field,
                value=str(value), allowed="bytes, a picture, or a URL",
            )  # fmt: skip

    def _check_url(self, field: str, url: str) -> None:
        if self.urls is not None and not self._takes(url):
            allowed = f"a URL under {', '.join(self.urls)}" if self.urls else "bytes or a picture"
            raise InvalidRequest(
                f"{field}={without_query(url)!r} is not among the places that this client takes inputs from. "
                f"Allowed is {allowed}. Nothing was sent.",
                field=field, value=without_query(url), allowed=allowed,
            )  # fmt: skip

    def _takes(self, url: str) -> bool:
        found = _place(url, whole=True)
        return found is not None and any(
            found[:2] == place[:2] and found[2].startswith(place[2]) for place in self._places
        )


def _inputs_of(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for field in ("image", "last_image", "video", "audio_track"):
        yield field, options.get(field)
    references = options.get("reference_images")
    if isinstance(references, Sequence) and not isinstance(references, (str, bytes)):
        for index, value in enumerate(references):
            yield f"reference_images[{index}]", value


def _place(url: str, *, whole: bool = False) -> Place | None:
    """Where a URL points; None where two readers could read it in two ways, or it carries credentials."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    path = unquote(parts.path)
    odd = "\\" in url or "@" in parts.netloc or not url.isprintable() or " " in url
    if not host or odd or {".", ".."} & set(re.split(r"[/\\]", path)) or "%" in path:
        return None
    place = _STANDARD_PORT.sub("", parts.netloc.lower()) if parts.scheme == "https" else parts.netloc
    path = path or "/"
    return parts.scheme, place, path if whole or path.endswith("/") else f"{path}/"


def _wrong(field: str, value: object, allowed: str) -> InvalidRequest:
    return InvalidRequest(
        f"{field}={shown(value)} cannot be used. Allowed is {allowed}.",
        field=field,
        value=value,
        allowed=allowed,
    )
