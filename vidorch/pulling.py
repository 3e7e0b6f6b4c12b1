"""Fetching an open model's weights from the hub into the hub's own cache: what it will take first, then file by file.

`huggingface_hub` does it: it lays out the cache, checks what came, and reads a token by itself. Files go one after the other, on
the thread of the caller, so that Ctrl-C ends it at once; what is whole stays, and the next time goes on after it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vidorch.errors import InvalidRequest, MissingCredentials, ProviderFailed, Unsupported, VidorchError
from vidorch.offer import Offer, Weights
from vidorch.weights import (
    INDEX,
    Repo,
    components_of,
    hub_cache,
    is_folder,
    locate,
    locate_lora,
    parts_of,
    size_in_words,
)

__all__ = ["OnProgress", "Pull", "Repository", "fetch", "look", "needed_of"]

OnProgress = Callable[[str, int], None]
"""Called with the file that is being fetched and the bytes that are here of all that is to be fetched."""

_TEXTS = (".json", ".txt", ".model", ".jinja", ".py")
_VARIANT = re.compile(r"\.(?:fp16|fp32|bf16|fp8|non_ema|ema)(?:-\d{5}-of-\d{5})?\.(?:safetensors|bin)$")
_SPARE = 10**9  # bytes that are left free: a disk that is full to the last one lets nothing else work


@dataclass(frozen=True, slots=True)
class Repository:
    """What is needed of one repository of the hub.

    Attributes:
        source: its id. revision: what was asked for, and is kept under that name. commit: what that is today.
        files: the names that are needed, with their sizes in bytes. absent: those of them that are not here.
    """

    source: str
    revision: str
    commit: str
    files: Mapping[str, int]
    absent: tuple[str, ...]

    @property
    def total(self) -> int:
        """Bytes of all that is needed."""
        return sum(self.files.values())

    @property
    def to_fetch(self) -> int:
        """Bytes of what is not here."""
        return sum(self.files[name] for name in self.absent)


@dataclass(frozen=True, slots=True)
class Pull:
    """What fetching a model takes.

    Attributes:
        model: its name in the catalog. weights: what is fetched. repositories: the model's and those of its LoRAs; none where all
            of it is here. folder: the hub's cache. free: bytes that its disk has free; None where it does not say.
    """

    model: str
    weights: Weights
    repositories: tuple[Repository, ...]
    folder: Path
    free: int | None

    @property
    def to_fetch(self) -> int:
        """Bytes that are not here."""
        return sum(one.to_fetch for one in self.repositories)

    @property
    def fits(self) -> bool:
        """Whether the disk has room for it."""
        return self.free is None or not self.to_fetch or self.to_fetch + _SPARE <= self.free

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "model": self.model, "folder": str(self.folder), "free_bytes": self.free, "to_fetch_bytes": self.to_fetch,
            "repositories": [
                {
                    "source": one.source, "commit": one.commit, "bytes": one.total, "to_fetch_bytes": one.to_fetch,
                    "files": list(one.files), "to_fetch": list(one.absent),
                }
                for one in self.repositories
            ],
        }  # fmt: skip


def look(offer: Offer) -> Pull:
    """What has to be fetched for a model: the hub is asked, and its index alone is fetched. Nothing is asked where all is here.

    Raises:
        InvalidRequest: it is no model of the hub. MissingCredentials: the extra `local` is not installed; the repository is gated
            or not there for whoever asks. Unsupported: there is no such revision or file. ProviderFailed: no connection.
    """
    weights = offer.weights
    if weights is None:
        raise InvalidRequest(
            f"{offer.name} has no weights to fetch: {'they are here' if offer.provider == 'local' else 'its vendor runs it'}.",
            hint="`vidorch models --endpoint local` lists those that have.", field="model", value=offer.model,
            allowed="a model for one's own hardware",
        )  # fmt: skip
    cache = hub_cache()
    if locate(weights) is not None:
        return Pull(offer.model, weights, (), cache, _free(cache))
    found = []
    if not is_folder(weights.source):
        found.append(_pipeline(weights))
    elif locate(Weights(weights.source)) is None:
        raise InvalidRequest(
            f"The weights of {offer.model} are to be in the folder {weights.source}, and are not. Nothing can be fetched.",
            hint="Put them there.", field="model", value=offer.model, allowed="a model of the hub",
        )  # fmt: skip
    by_source: dict[str, list[str]] = {}
    for lora in weights.loras:
        source, _, name = parts_of(lora.source)
        if not is_folder(source):
            by_source.setdefault(source, []).append(name)
    found += [_files(source, names) for source, names in by_source.items()]
    return Pull(offer.model, weights, tuple(found), cache, _free(cache))


def fetch(pull: Pull, on_progress: OnProgress | None = None) -> Path:
    """Fetch what is not here, and give the model's folder.

    Raises:
        ProviderFailed: the connection broke, or the disk is full; what is whole stays. As `look` besides.
    """
    if not pull.fits:
        raise _no_room(pull)
    done = 0
    for repository in pull.repositories:
        for name in repository.absent:
            bar = _bar_of(name, done, on_progress)
            with _told(repository.source):
                _download(repository.source, name, repository.commit, bar)
            done += repository.files[name]
            if on_progress is not None:
                on_progress(name, done)
        _name_revision(repository)
    there = locate(pull.weights)
    if there is None:
        lost = next(
            (lora.source for lora in pull.weights.loras if locate_lora(lora) is None), pull.weights.source
        )
        raise ProviderFailed(
            f"All of {lost} that the hub lists was fetched, and it is not whole all the same.", charged=False,
            hint="It may be no model in diffusers' format; look at it on the hub.",
        )  # fmt: skip
    return there


def needed_of(names: Sequence[str], index: Mapping[str, Any]) -> tuple[str, ...]:
    """Of a repository's files those that its pipeline loads: no other format's copy of the same weights, no examples.

    Args:
        names: all of its files. index: its `model_index.json`.
    """
    parts = set(components_of(index))
    by_part: dict[str, list[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        if len(path.parts) == 2 and path.parts[0] in parts and not _VARIANT.search(name):
            by_part.setdefault(path.parts[0], []).append(name)
    needed = [INDEX]
    for mine in by_part.values():
        safe = any(name.endswith(".safetensors") for name in mine)
        for name in mine:
            if name.endswith((".bin", ".bin.index.json")):
                needed += [] if safe else [name]
            elif name.endswith((".safetensors", *_TEXTS)):
                needed.append(name)
    return tuple(sorted(needed))


def _pipeline(weights: Weights) -> Repository:
    revision = weights.revision or "main"
    commit, sizes = _listing(weights.source, revision)
    if INDEX not in sizes:
        raise Unsupported(
            f"{weights.source} has no {INDEX}: it is not in diffusers' format. Nothing was fetched.",
            hint="Many models have a second repository whose name ends in -Diffusers.",
        )  # fmt: skip
    with _told(weights.source):
        path = _download(weights.source, INDEX, commit, _bar_of(INDEX, 0, None))
    try:
        index = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):
        index = None
    if not isinstance(index, dict) or not components_of(index):
        raise Unsupported(f"The {INDEX} of {weights.source} cannot be read. Nothing else was fetched.")
    return _repository(weights.source, revision, commit, needed_of(tuple(sizes), index), sizes)


def _files(source: str, names: Sequence[str]) -> Repository:
    """Files of a repository of LoRAs; all that it has where one of them is not named."""
    commit, sizes = _listing(source, "main")
    wanted = tuple(names) if all(names) else tuple(name for name in sizes if name.endswith(".safetensors"))
    if absent := [name for name in wanted if name not in sizes]:
        raise Unsupported(
            f"{source} has no file {absent[0]!r}. Nothing was fetched.",
            hint=f"It has: {', '.join(list(sizes)[:8])}",
        )
    return _repository(source, "main", commit, wanted, sizes)


def _repository(
    source: str, revision: str, commit: str, names: Sequence[str], sizes: Mapping[str, int]
) -> Repository:
    snapshot = Repo(source).folder / "snapshots" / commit
    absent = tuple(name for name in names if not (snapshot / name).is_file())
    return Repository(source, revision, commit, {name: sizes[name] for name in names}, absent)


def _listing(source: str, revision: str) -> tuple[str, dict[str, int]]:
    hub = _hub()
    with _told(source):
        info = hub.HfApi(endpoint=_endpoint()).model_info(source, revision=revision, files_metadata=True)
    return info.sha, {one.rfilename: one.size or 0 for one in info.siblings or ()}


def _download(source: str, name: str, commit: str, bar: type) -> str:
    # Cache and endpoint are said each time: the hub's package has read its variables when it was imported.
    path: str = _hub().hf_hub_download(
        source, name, revision=commit, cache_dir=hub_cache(), endpoint=_endpoint(), tqdm_class=bar
    )
    return path


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _name_revision(repository: Repository) -> None:
    """Say in the cache which commit the revision is, as the hub's own package does where it is asked for one by name."""
    if repository.revision == repository.commit:
        return
    refs = Repo(repository.source).folder / "refs" / repository.revision
    refs.parent.mkdir(parents=True, exist_ok=True)
    if not refs.is_file() or refs.read_text("utf-8") != repository.commit:
        refs.write_text(repository.commit, "utf-8")


def _hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise MissingCredentials(
            f"Fetching weights needs the package {error.name!r}, which is not installed.",
            hint="pip install 'vidorch[local]'", extra="local", charged=False,
        ) from None  # fmt: skip
    return huggingface_hub


def _bar_of(name: str, done: int, on_progress: OnProgress | None) -> type:
    """A bar that draws nothing and tells how far it is."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.here = int(kwargs.get("initial") or 0)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.here += int(n or 0)
            if on_progress is not None:
                on_progress(name, done + self.here)
            return None

    return Bar


@contextmanager
def _told(source: str) -> Iterator[None]:
    """Turn what the hub's package raises into what happened and what to do. No text of a reply is passed on."""
    try:
        yield
    except VidorchError:
        raise
    except Exception as error:
        if (told := _as_ours(error, source)) is None:
            raise
        raise told from error


def _as_ours(error: Exception, source: str) -> VidorchError | None:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ProviderFailed(
            f"The disk of {hub_cache()} is full. Files of {source} that are whole stay.", charged=False, retryable=True,
            hint="Free some room, or set HF_HOME to a folder on a larger disk, and then the same again.",
        )  # fmt: skip
    if isinstance(error, errors.GatedRepoError) or status == 403:
        return MissingCredentials(
            f"{source} is gated: whoever fetches it has to agree to its terms first.", variable="HF_TOKEN", charged=False,
            hint=f"Agree at https://huggingface.co/{source}, and set HF_TOKEN to a token of that account that may read it.",
        )  # fmt: skip
    if isinstance(error, errors.RevisionNotFoundError):
        return Unsupported(
            f"{source} has no such revision. Nothing was fetched.",
            hint="Mend `revision` in its row of the catalog.",
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        return MissingCredentials(
            f"The hub has no {source}, or does not show it to you.", variable="HF_TOKEN", charged=False,
            hint="Look at its name. If it is private, set HF_TOKEN to a token that may read it.",
        )  # fmt: skip
    if isinstance(error, errors.OfflineModeIsEnabled):
        return ProviderFailed(
            f"HF_HUB_OFFLINE is set, so nothing of {source} can be fetched.",
            charged=False,
            hint="Unset it, and then the same again.",
        )
    network = type(error).__module__.partition(".")[0] in (
        "httpx",
        "httpx2",
        "httpcore",
        "requests",
        "urllib3",
        "hf_xet",
    )
    if (
        network
        or status is not None
        or isinstance(error, (errors.LocalEntryNotFoundError, errors.FileMetadataError, OSError))
    ):
        what = (
            f"the hub answered {status}"
            if status is not None
            else "the connection to the hub broke or never came"
        )
        return ProviderFailed(
            f"{source} could not be fetched: {what}. Files that are whole stay.", charged=False, retryable=True,
            hint="The same again goes on after them. HF_ENDPOINT names another hub.",
        )  # fmt: skip
    return None


def _no_room(pull: Pull) -> VidorchError:
    return ProviderFailed(
        f"{pull.model} needs {size_in_words(pull.to_fetch)}, and the disk of {pull.folder} has {size_in_words(pull.free)} free. "
        "Nothing was fetched.", charged=False, hint="Free some room, or set HF_HOME to a folder on a larger disk.",
    )  # fmt: skip


def _free(folder: Path) -> int | None:
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None
