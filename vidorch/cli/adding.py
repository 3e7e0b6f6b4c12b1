"""`vidorch models add` and `vidorch models remove`: models of one's own, in a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from vidorch.catalog import with_own_models
from vidorch.catalog.adding import new_model
from vidorch.catalog.own import OwnModel, default_models_file, read, write
from vidorch.cli.here import catalog_here, config_here
from vidorch.cli.say import as_json, aside
from vidorch.errors import CatalogError, InvalidRequest, Unsupported
from vidorch.request import nearest_name
from vidorch.surroundings import surroundings
from vidorch.weights import is_folder, missing

__all__ = ["add", "remove"]


def add(source: str, name: str, like: str, loras: Sequence[str], *, as_document: bool) -> None:
    """Check a fine-tune and write it down."""
    path = _file()
    config = config_here()
    taken = {*config.aliases, *config.endpoints, *catalog_here().names()}
    today = datetime.now(UTC).date()
    model = new_model(source, name, like, loras, with_own_models(), today=today, taken=taken)
    # Like a model that was added is like what that is like, so that either can be removed.
    model = replace(model, like=next((one.like for one in read(path) if one.name == model.like), model.like))
    _write(path, (*read(path), model))
    lacking = missing(model.weights, model.model)
    if as_document:
        as_json({"model": model.model, "offer": model.name, "file": str(path), "missing": lacking})
        return
    aside(f"{model.model} is a model now, like {model.like}; written to {path}")
    aside(
        f"Before it runs: {lacking}"
        if lacking
        else f'It is ready: vidorch generate "..." --model {model.model}'
    )


def remove(name: str, *, as_document: bool) -> None:
    """Forget a model of one's own; its weights stay where they are."""
    path = _file()
    models = read(path)
    gone = next((model for model in models if name in (model.model, model.name)), None)
    if gone is None:
        names = [model.model for model in models]
        near = nearest_name(name, names)
        raise InvalidRequest(
            f"{name!r} is no model that was added here.{f' Did you mean {near!r}?' if near else ''}", field="model", value=name,
            allowed=", ".join(names) or "a name that `vidorch models add` was given", hint=f"They are in {path}.",
        )  # fmt: skip
    _write(path, [model for model in models if model is not gone])
    where = (
        gone.weights.source if is_folder(gone.weights.source) else f"the hub's cache ({gone.weights.source})"
    )
    if as_document:
        as_json({"model": gone.model, "file": str(path), "weights": gone.weights.source})
    else:
        aside(f"{gone.model} is no model any more. Its weights stay in {where}.")


def _file() -> Path:
    if surroundings() is not None:
        raise Unsupported("A mock's catalog is frozen. Nothing was changed.")
    return default_models_file()


def _write(path: Path, models: Sequence[OwnModel]) -> None:
    try:
        write(path, models)
    except OSError as error:
        raise CatalogError(
            f"{path} cannot be written: {error.strerror or error}. Nothing was changed.", file=str(path)
        ) from None
