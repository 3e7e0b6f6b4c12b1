"""The http room: the only sockets that providers use. A provider reaches it as `context.http`.

    await http.submit("POST", url, headers=..., json=...)    one paid request, sent once: a Reply; or `Rejected` (provably
                                                             nothing left), or `SubmissionUnknown` (nobody can tell)
    await http.request("GET", url, headers=...)              polls, cancels, lists: a Reply
    await http.upload("PUT", url, path)                      a file or bytes, streamed: a Reply
    await http.download(url, path, own=[base_url])           a result to a file, with caps, and no way into private networks

Importing this package loads neither aiohttp nor httpx; the first call does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidorch.http.bodies import Part as Part
    from vidorch.http.downloads import Download as Download
    from vidorch.http.replies import Reply as Reply
    from vidorch.http.sockets import Http as Http

# No module here is called like a name it exports: importing a submodule binds it on the package, over the class.
_HOMES = {"Download": "downloads", "Http": "sockets", "Part": "bodies", "Reply": "replies"}

__all__ = ["Download", "Http", "Part", "Reply"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
