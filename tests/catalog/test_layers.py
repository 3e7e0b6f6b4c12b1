"""Layers: which file's offer is the one that counts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from vidorch.catalog import Catalog, default_user_file, load, shipped
from vidorch.errors import CatalogError
from vidorch.offer import Offer

NOWHERE = "there is no such file"


def an_offer(price: str = "0.05", as_of: date = date(2030, 1, 1), **more: Any) -> dict[str, Any]:
    return {
        "model": "gen4.5", "endpoint": "runway", "provider": "runway", "family": "runway", "title": "Ours", "as_of": as_of,
        "routes": {"text-to-video": {"path": "/v1"}}, "capabilities": {"durations": {"choices": [5]}},
        "price": {"source": "a contract", "row": [{"per_second": price}]}, **more,
    }  # fmt: skip


def as_toml(price: str, as_of: str, more: str = "") -> str:
    return (
        f'[[offer]]\nlike = "runway/gen4.5"\nas_of = {as_of}\n{more}\n'
        f'[offer.price]\nsource = "a contract"\n[[offer.price.row]]\nper_second = {price}\n'
    )


def layered(argument: Any = None, user: Path | str = NOWHERE, named: Path | str = "") -> Catalog:
    return load(argument, environ={"VIDORCH_CATALOG": str(named)} if named else {}, user_file=user)


def price(catalog: Catalog) -> Decimal:
    offer = catalog.offer("runway/gen4.5")
    assert isinstance(offer, Offer)
    return offer.price.rows[0].per_second


def test_shipped_alone() -> None:
    """Without any layer the catalog is what ships."""
    assert layered().offers == shipped().offers


def test_user_file_over_shipped(tmp_path: Path) -> None:
    """The user's file replaces a shipped offer."""
    own = tmp_path / "catalog.toml"
    own.write_text(as_toml("0.11", "2030-01-01"))
    assert price(layered(user=own)) == Decimal("0.11")


def test_variable_over_user_file(tmp_path: Path) -> None:
    """The file that VIDORCH_CATALOG names replaces the user's."""
    own, named = tmp_path / "own.toml", tmp_path / "named.toml"
    own.write_text(as_toml("0.11", "2030-01-01"))
    named.write_text(as_toml("0.12", "2030-01-01"))
    assert price(layered(user=own, named=named)) == Decimal("0.12")


@pytest.mark.parametrize("as_path", [True, False])
def test_argument_over_all(tmp_path: Path, *, as_path: bool) -> None:
    """The argument, a path or a mapping, replaces all others."""
    named, last = tmp_path / "named.toml", tmp_path / "last.toml"
    named.write_text(as_toml("0.12", "2030-01-01"))
    last.write_text(as_toml("0.13", "2030-01-01"))
    argument = last if as_path else {"offer": [an_offer("0.13")]}
    assert price(layered(argument, named=named)) == Decimal("0.13")


def test_a_catalog_is_taken_as_it_is() -> None:
    """A catalog that is already made needs no layers."""
    ready = shipped()
    assert layered(ready) is ready


def test_whole_offer_is_replaced() -> None:
    """Nothing of the offer below shines through."""
    offer = layered({"offer": [an_offer()]}).offer("runway/gen4.5")
    assert offer is not None
    assert (offer.variables, offer.notes, tuple(offer.routes)) == ((), (), ("text-to-video",))
    assert offer.layer == "argument"


def test_older_is_left_out_with_a_warning() -> None:
    """An offer that is older than the one below it is left out, and the catalog says so."""
    catalog = layered({"offer": [an_offer("0.01", date(2020, 1, 1))]})
    assert price(catalog) == Decimal(12)
    assert len(catalog.warnings) == 1
    assert "runway/gen4.5 of 2020-01-01 is older" in catalog.warnings[0]
    assert "pinned = true" in catalog.warnings[0]


def test_older_but_pinned_stays() -> None:
    """`pinned = true` keeps an older offer, without a warning."""
    catalog = layered({"offer": [an_offer("0.01", date(2020, 1, 1), pinned=True)]})
    assert (price(catalog), catalog.warnings) == (Decimal("0.01"), ())


def test_same_day_the_upper_wins() -> None:
    """Of two offers of one day the upper layer's counts."""
    offer = shipped().offer("runway/gen4.5")
    assert offer is not None
    assert offer.as_of is not None
    assert price(layered({"offer": [an_offer("0.01", offer.as_of)]})) == Decimal("0.01")


def test_like_a_layer_below() -> None:
    """`like` takes over a shipped offer under another endpoint's name; the shipped one stays."""
    row = {
        "like": "fal/kling-3.0-pro", "endpoint": "fal-eu", "title": "Kling in Europe", "as_of": date(2030, 1, 1),
        "price": {"source": "a page", "row": [{"per_second": "0.2"}]},
    }  # fmt: skip
    catalog = layered({"offer": [row]})
    offer, below = catalog.offer("fal-eu/kling-3.0-pro"), catalog.offer("fal/kling-3.0-pro")
    assert offer is not None
    assert below is not None
    assert (offer.routes, offer.provider) == (below.routes, "fal")
    assert catalog.of_model("kling-3.0-pro")[-1] is offer


def test_like_never_takes_over_a_price() -> None:
    """A price belongs to one offer: one that is `like` another has to say its own."""
    with pytest.raises(CatalogError, match="source"):
        layered({"offer": [{"like": "fal/kling-3.0-pro", "endpoint": "fal-eu", "as_of": date(2030, 1, 1)}]})


def test_missing_variable_file(tmp_path: Path) -> None:
    """A file that VIDORCH_CATALOG names has to exist."""
    with pytest.raises(CatalogError, match=r"VIDORCH_CATALOG=.*gone\.toml: the catalog file cannot be read"):
        layered(named=tmp_path / "gone.toml")


def test_missing_argument_file(tmp_path: Path) -> None:
    """A path given as argument has to exist."""
    with pytest.raises(CatalogError) as caught:
        layered(tmp_path / "gone.toml")
    assert caught.value.file == str(tmp_path / "gone.toml")


def test_default_user_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's layer is called catalog.toml: in `VIDORCH_HOME`, or else in a folder of vidorch's own."""
    assert home / "catalog.toml" == default_user_file()
    monkeypatch.delenv("VIDORCH_HOME")
    path = default_user_file()
    assert ("catalog.toml", "vidorch") == (path.name, path.parent.name)


def test_names_and_days() -> None:
    """The catalog knows its models once each, its offers by name, and the newest day of all."""
    catalog = layered({"offer": [an_offer(as_of=date(2031, 5, 6))]})
    assert catalog.models.count("kling-3.0-pro") == 1
    assert set(catalog.names()) == {*catalog.models, *(offer.name for offer in catalog.offers)}
    assert catalog.as_of == date(2031, 5, 6)
    assert catalog.offer("nobody/nothing") is None
