"""The catalog as a whole: shipped files, newer prices, the user's models and file, `VIDORCH_CATALOG`, an argument, upwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vidorch.catalog.offers import merge, read_offer
from vidorch.catalog.own import default_models_file
from vidorch.catalog.prices import default_prices_file, lay
from vidorch.catalog.prices import read as read_prices
from vidorch.errors import CatalogError
from vidorch.home import config_folder
from vidorch.offer import Offer
from vidorch.request import nearest_name
from vidorch.tables import Source, Table, parse

if TYPE_CHECKING:
    from vidorch.catalog.checking import Finding
    from vidorch.catalog.filtering import Match

__all__ = ["Catalog", "Layer", "default_user_file", "load", "shipped", "with_newer_prices", "with_own_models"]

VARIABLE = "VIDORCH_CATALOG"
FORMAT = 1
_DATA = Path(__file__).parent / "data"
_OWN_OF_EACH = ("as_of", "pinned", "price")
"""Never taken over by `like`: a price is a fact about one offer, read on one day."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All offers, layers laid on each other.

    Attributes:
        offers: in the order of the files; a replaced offer keeps its place.
        warnings: what was left out of a layer and why, in words.
    """

    offers: tuple[Offer, ...] = ()
    warnings: tuple[str, ...] = ()
    _by_name: Mapping[str, Offer] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {offer.name: offer for offer in self.offers})

    def offer(self, name: str) -> Offer | None:
        """The offer called `"endpoint/model"`."""
        return self._by_name.get(name)

    def of_model(self, model: str) -> tuple[Offer, ...]:
        """Every endpoint's offer of a model."""
        return tuple(offer for offer in self.offers if offer.model == model)

    @property
    def models(self) -> tuple[str, ...]:
        """Every model once."""
        return tuple(dict.fromkeys(offer.model for offer in self.offers))

    def names(self) -> tuple[str, ...]:
        """Whatever `model=` may be: models, then offers."""
        return (*self.models, *self._by_name)

    def filter(
        self, *, task: str | None = None, audio: bool | None = None, resolution: str | None = None,
        under: Decimal | str | int | None = None, live_on: date | str | None = None, family: str | None = None,
        endpoint: str | None = None, ready: Callable[[Offer], bool] | None = None,
    ) -> tuple[Match, ...]:  # fmt: skip
        """Offers that do all of this at once, in the order of the catalog, each with its cheapest way to do it.

        `task`, `audio`, `resolution` and `under` hold for one and the same way of buying: a model that makes 1080p only
        silently does not pass `audio=True, resolution="1080p"`, nor does one whose 1080p with sound has no price.

        Args:
            task: such as `"image-to-video"`. audio: with sound, or silent. resolution: such as `"1080p"`.
            under: USD per second of output that it has to cost less than. Compared is a clip of 5 s, or of the legal length
                nearest to it, without reference images where the task needs none: all that it costs, divided by its seconds.
            live_on: a day on which it is not retired, as far as anybody says.
            ready: says of an offer whether it can be used here.

        Raises:
            InvalidRequest: a value that cannot be used, with the nearest right one.
        """
        from vidorch.catalog.filtering import matching

        return matching(
            self, task=task, audio=audio, resolution=resolution, under=under, live_on=live_on, family=family, endpoint=endpoint,
            ready=ready,
        )  # fmt: skip

    def check(self, today: date) -> tuple[Finding, ...]:
        """Old and unconfirmed prices, and models that have ended or will within 30 days. See `vidorch.catalog.checking`."""
        from vidorch.catalog.checking import check

        return check(self.offers, today)

    @property
    def as_of(self) -> date | None:
        """The newest day on which any of it was read."""
        return max((offer.as_of for offer in self.offers if offer.as_of), default=None)


Layer: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any] | Catalog"
"""A file, its content as a mapping, or a catalog that is already made (and then taken as it is)."""


def load(
    argument: Layer | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    user_file: str | os.PathLike[str] | None = None,
    configured: str | None = None,
    prices_file: str | os.PathLike[str] | None = None,
    models_file: str | os.PathLike[str] | None = None,
) -> Catalog:
    """The catalog with all its layers.

    Args:
        argument: the topmost layer, if any.
        environ: where `VIDORCH_CATALOG` is looked up; it names a file that has to exist.
        user_file: the user's layer; default `default_user_file()`. It may be absent.
        configured: the file that the configuration names, above the user's and below `VIDORCH_CATALOG`.
        prices_file: newer prices that were taken in, below the user's layer; default `default_prices_file()`. It may be absent.
        models_file: models that `vidorch models add` wrote down, right above these; default `default_models_file()`, likewise.

    Raises:
        CatalogError: a file is missing, unreadable or wrong: file, line, field.
    """
    if isinstance(argument, Catalog):
        return argument
    pile = _with_own_models(prices_file, models_file)
    own = Path(user_file) if user_file is not None else default_user_file()
    if own.is_file():
        pile.add(_read(own), f"user file {own}")
    if configured:
        pile.add(_read(Path(configured), f"catalog={configured}"), f"catalog={configured}")
    if named := environ.get(VARIABLE):
        pile.add(_read(Path(named), f"{VARIABLE}={named}"), f"{VARIABLE}={named}")
    if isinstance(argument, Mapping):
        pile.add((Source("argument"), argument), "argument")
    elif argument is not None:
        pile.add(_read(Path(argument)), f"file {os.fspath(argument)}")
    return Catalog(tuple(pile.offers.values()), tuple(pile.warnings))


def shipped() -> Catalog:
    """The files of this version alone, without anybody's layer."""
    return Catalog(tuple(_shipped().offers.values()))


def with_newer_prices(prices_file: str | os.PathLike[str] | None = None) -> Catalog:
    """The files of this version and the prices that were taken in since, without anybody's own layer.

    Raises:
        CatalogError: the file of newer prices is wrong: file, line, field.
    """
    path = Path(prices_file) if prices_file is not None else default_prices_file()
    offers, warnings = lay(_shipped().offers, read_prices(path) if path.is_file() else ())
    return Catalog(tuple(offers.values()), warnings)


def with_own_models(
    prices_file: str | os.PathLike[str] | None = None, models_file: str | os.PathLike[str] | None = None
) -> Catalog:
    """The same and the models that `vidorch models add` wrote down: what such a model can be like.

    Raises:
        CatalogError: one of the two files is wrong: file, line, field.
    """
    pile = _with_own_models(prices_file, models_file)
    return Catalog(tuple(pile.offers.values()), tuple(pile.warnings))


def _with_own_models(
    prices_file: str | os.PathLike[str] | None, models_file: str | os.PathLike[str] | None
) -> _Pile:
    below = with_newer_prices(prices_file)
    pile = _Pile({offer.name: offer for offer in below.offers}, dict(_shipped().raw))
    pile.warnings += below.warnings
    added = Path(models_file) if models_file is not None else default_models_file()
    if added.is_file():
        pile.add(_read(added), f"models file {added}")
    return pile


def default_user_file() -> Path:
    """Where the user's own layer is looked for."""
    return config_folder() / "catalog.toml"


@lru_cache(maxsize=1)
def _shipped() -> _Pile:
    pile = _Pile({}, {})
    for path in sorted(_DATA.glob("*.toml")):
        pile.add(_read(path), "shipped")
    return pile


def _read(path: Path, called: str = "") -> tuple[Source, Mapping[str, Any]]:
    try:
        source = Source(str(path), path.expanduser().read_text("utf-8"))
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CatalogError(
            f"{called or path}: the catalog file cannot be read: {why}.", file=str(path)
        ) from None
    return source, parse(source)


class _Pile:
    """Layers as they are laid. `raw` keeps each offer's table as read, for `like`."""

    def __init__(self, offers: dict[str, Offer], raw: dict[str, Mapping[str, Any]]) -> None:
        self.offers = offers
        self.raw = raw
        self.warnings: list[str] = []
        self._placed_by: dict[str, str] = {}

    def add(self, read: tuple[Source, Mapping[str, Any]], layer: str) -> None:
        source, data = read
        top = Table(source, data)
        written_for = top.whole("format", FORMAT, least=1)
        if written_for > FORMAT:
            raise top.error("format", f"{written_for} is newer than this version of vidorch reads, {FORMAT}.")
        family = top.text("family", "")
        tables = top.take(
            "offer",
            [],
            "a list of tables, each under [[offer]]",
            lambda value: isinstance(value, (list, tuple)),
        )
        top.done()
        for index, raw in enumerate(tables):
            self._add_offer(Table(source, raw, (), index), family, layer)

    def _add_offer(self, table: Table, family: str, layer: str) -> None:
        if "like" in table.data:
            table = self._resolved(table)
        offer = read_offer(table, family=family, layer=layer)
        if self._placed_by.get(offer.name) == layer:
            raise table.error("model", f"{offer.name} stands here twice.")
        below = self.offers.get(offer.name)
        if below and not offer.pinned and below.as_of and offer.as_of and offer.as_of < below.as_of:
            self.warnings.append(
                f"{layer}: {offer.name} of {offer.as_of} is older than the one below it, of {below.as_of} "
                f"({below.layer}), and was left out. Set pinned = true to keep it."
            )
            return
        self._placed_by[offer.name] = layer
        self.offers[offer.name] = offer
        self.raw[offer.name] = {"family": family, **table.data} if family else table.data

    def _resolved(self, table: Table) -> Table:
        name = table.text("like")
        if name not in self.raw:
            near = nearest_name(name, self.raw)
            raise table.error(
                "like", f"{name!r} is no offer above this one.{f' Did you mean {near!r}?' if near else ''}"
            )
        base = {key: value for key, value in self.raw[name].items() if key not in _OWN_OF_EACH}
        own = {key: value for key, value in table.data.items() if key != "like"}
        return Table(table.source, merge(base, own), table.path, table.offer)
