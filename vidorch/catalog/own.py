"""Models of one's own: `models.toml`, which `vidorch models add` and `remove` write; no hand-written file is rewritten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from vidorch.catalog.weights import read_weights
from vidorch.catalog.writing import write_whole
from vidorch.errors import CatalogError
from vidorch.home import config_folder
from vidorch.offer import Lora, Weights
from vidorch.tables import Source, Table, parse, quoted

__all__ = ["OwnModel", "default_models_file", "read", "write"]

_HEAD = """# Models of your own. `vidorch models add` and `remove` write this file anew.
# What you write by hand belongs into catalog.toml.
"""


@dataclass(frozen=True, slots=True)
class OwnModel:
    """One model of one's own.

    Attributes:
        model: its name. like: the offer whose everything else it has, such as `"local/wan-2.2-ti2v-5b"`. as_of: the day it came.
        weights: of which are kept: source, revision, size and LoRAs; the rest is the other offer's.
    """

    model: str
    like: str
    weights: Weights
    as_of: date
    title: str

    @property
    def name(self) -> str:
        """The offer's: at the endpoint of the one that it is like."""
        return f"{self.like.partition('/')[0]}/{self.model}"


def default_models_file() -> Path:
    """Where they are kept."""
    return config_folder() / "models.toml"


def read(path: Path) -> tuple[OwnModel, ...]:
    """What the file has; nothing where there is none.

    Raises:
        CatalogError: it cannot be read, or was not written by `vidorch models add`: file, line, field.
    """
    try:
        source = Source(str(path), path.read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CatalogError(
            f"{path}: the file of your models cannot be read: {why}.", file=str(path)
        ) from None
    top = Table(source, parse(source))
    tables = top.take("offer", [], "a list of tables", lambda value: isinstance(value, list))
    top.done()
    return tuple(_model(Table(source, raw, (), index)) for index, raw in enumerate(tables))


def write(path: Path, models: Iterable[OwnModel]) -> None:
    """Write the file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    text = _HEAD + "".join(map(_as_toml, models))
    write_whole(path, text)


def _model(table: Table) -> OwnModel:
    table.flag("pinned", True)
    price = table.table("price")
    price.text("rule")
    price.text("source")
    price.done()
    weights = read_weights(table, ())
    if weights is None:
        raise table.error("weights", "is missing.")
    model = OwnModel(
        table.text("model"), table.text("like"), weights, table.day("as_of"), table.text("title")
    )
    table.text("vendor_model", "")
    table.texts("notes")
    table.done()
    return model


def _as_toml(model: OwnModel) -> str:
    weights = model.weights
    lines = [
        "",
        "[[offer]]",
        f"like = {quoted(model.like)}",
        f"model = {quoted(model.model)}",
        f"title = {quoted(model.title)}",
        f"vendor_model = {quoted(weights.source)}",
        f"as_of = {model.as_of}",
        "pinned = true",
        f"notes = {quoted([f'Added by `vidorch models add`, as a model like {model.like}.'])}",
        'price = { rule = "hours", source = "your own hardware" }',
        "[offer.weights]",
        f"source = {quoted(weights.source)}",
    ]
    if weights.revision:
        lines.append(f"revision = {quoted(weights.revision)}")
    if weights.download_bytes is not None:
        lines.append(f"download_bytes = {weights.download_bytes}")
    loras = ", ".join(_lora(lora) for lora in weights.loras)
    return "\n".join([*lines, f"loras = [{loras}]"]) + "\n"


def _lora(lora: Lora) -> str:
    said = [f"source = {quoted(lora.source)}"]
    if lora.scale != 1:
        said.append(f"scale = {lora.scale!r}")
    if lora.expert:
        said.append(f"expert = {quoted(lora.expert)}")
    return f"{{ {', '.join(said)} }}"
