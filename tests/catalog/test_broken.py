"""Broken catalog files: every mistake is told with its file, line and field."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidorch.catalog import load
from vidorch.errors import CatalogError, VidorchError

GOOD = """\
family = "acme"

[[offer]]
model = "one"
endpoint = "acme"
provider = "acme"
title = "One"
as_of = 2026-12-01
[offer.capabilities]
durations = { choices = [4, 8] }
resolutions = ["720p", "1080p"]
aspect_ratios = ["16:9"]
[offer.routes.text-to-video]
path = "/v1"
[offer.price]
source = "a page"
[[offer.price.row]]
when = { resolution = "720p" }
per_second = 0.10
[[offer.price.row]]
when = { resolution = "1080p" }
per_second = 0.20

[[offer]]
like = "acme/one"
model = "two"
title = "Two"
as_of = 2026-12-01
[offer.price]
source = "a page"
[[offer.price.row]]
per_second = 0.30
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return path


def broken(path: Path | dict[str, Any]) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        load(path, environ={}, user_file="none")
    return caught.value


def test_good(tmp_path: Path) -> None:
    """The file that the other tests break is good."""
    assert load(write(tmp_path, GOOD), environ={}, user_file="none").offer("acme/two") is not None


BREAKS = [
    ('title = "One"', 'titel = "One"', 7, "titel", "Did you mean 'title'?"),
    ('title = "One"\n', "", 3, "title", "is missing"),
    ("as_of = 2026-12-01\n[offer.cap", "[offer.cap", 3, "as_of", "is missing"),
    ("as_of = 2026-12-01\n[offer.cap", 'as_of = "soon"\n[offer.cap', 8, "as_of", "a date"),
    ('model = "one"', 'model = "One Two"', 4, "model", "lower-case"),
    ('"1080p"]', '"1080"]', 11, "capabilities.resolutions", "Did you mean '1080p'?"),
    ('["16:9"]', '["wide"]', 12, "capabilities.aspect_ratios", "'wide' cannot be used"),
    ("choices = [4, 8]", "choices = [8, 4]", 10, "capabilities.durations.choices", "rise"),
    ("choices = [4, 8]", "choices = [4, 8], step = 1", 10, "capabilities.durations.step", "beside choices"),
    ("choices = [4, 8]", "least = 8, most = 4", 10, "capabilities.durations.most", "less than least"),
    ("choices = [4, 8]", "choices = [0, 8]", 10, "capabilities.durations.choices", "over 0"),
    ("text-to-video", "text-to-film", 13, "routes.text-to-film", "Did you mean 'text-to-video'?"),
    ('path = "/v1"\n', "", 13, "routes.text-to-video.path", "is missing"),
    (
        'source = "a page"\n[[offer.price.row]]\nwhen',
        "[[offer.price.row]]\nwhen",
        15,
        "price.source",
        "is missing",
    ),
    ("per_second = 0.20", "per_second = -0.20", 22, "price.row.2.per_second", "a number from 0"),
    ("per_second = 0.20", "per_second = nan", 22, "price.row.2.per_second", "a number from 0"),
    ("per_second = 0.20", 'per_second = "cheap"', 22, "price.row.2.per_second", "a number from 0"),
    ("per_second = 0.20", "per_seconds = 0.20", 22, "price.row.2.per_seconds", "no such field"),
    ("per_second = 0.20\n", "", 20, "price.row.2.per_second", "says no price"),
    (
        "per_second = 0.20",
        "per_second = 0.20\nhigh_per_second = 0.1",
        23,
        "price.row.2.high_per_second",
        "less than",
    ),
    ('resolution = "1080p" }', 'resolution = "720p" }', 15, "price.row", "rows 1 and 2"),
    ('resolution = "1080p" }', 'resolution = "4k" }', 21, "price.row.2.when.resolution", "'4k'"),
    ('resolution = "1080p" }', 'resolution = "8k" }', 21, "price.row.2.when.resolution", "'8k'"),
    ('resolution = "1080p" }', 'size = "1080p" }', 21, "price.row.2.when.size", "no such field"),
    ('like = "acme/one"', 'like = "acme/on"', 25, "like", "Did you mean 'acme/one'?"),
    ('model = "two"\n', "", 24, "model", "stands here twice"),
    ("[[offer]]\nmodel", "[[offers]]\nmodel", None, "", ""),
    ('family = "acme"', 'famly = "acme"', 1, "famly", "Did you mean 'family'?"),
    ('family = "acme"', "format = 2", 1, "format", "newer than this version"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "field", "says"), BREAKS)
def test_one_mistake(tmp_path: Path, right: str, wrong: str, line: int | None, field: str, says: str) -> None:
    """One mistake in a good file is told with the file, the line it stands in, the field and what is allowed."""
    assert right in GOOD
    path = write(tmp_path, GOOD.replace(right, wrong, 1))
    error = broken(path)
    assert error.file == str(path)
    assert str(path) in str(error)
    assert says in str(error)
    if field:
        assert (error.line, error.field) == (line, field)


def test_syntax(tmp_path: Path) -> None:
    """What is not TOML is told with its line."""
    error = broken(write(tmp_path, GOOD.replace("per_second = 0.30", "per_second = ")))
    assert error.line == GOOD.splitlines().index("per_second = 0.30") + 1


def test_not_text(tmp_path: Path) -> None:
    """Bytes that are no text are told, not raised as something else."""
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in str(broken(path))


def test_folder(tmp_path: Path) -> None:
    """A folder in place of a file is told."""
    assert "cannot be read" in str(broken(tmp_path))


def test_mapping_has_no_lines() -> None:
    """A mistake in a mapping has a field and no line."""
    error = broken({"offer": [{"model": "one"}]})
    assert (error.file, error.line, error.field) == ("argument", None, "as_of")


def test_float_money() -> None:
    """A Python float is no amount: 0.1 is not a tenth."""
    price = {"source": "a page", "row": [{"per_second": 0.1}]}
    offer = {
        "model": "one", "endpoint": "acme", "provider": "acme", "family": "acme", "title": "One", "price": price,
        "as_of": date(2026, 12, 1), "routes": {"text-to-video": {"path": "/"}},
    }  # fmt: skip
    error = broken({"offer": [offer]})
    assert ("price.row.1.per_second", True) == (
        error.field,
        "such as '0.1': a float is not exact" in str(error),
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "model",
        "endpoint",
        "provider",
        "title",
        "as_of",
        "capabilities",
        "routes",
        "price",
        "latency",
        "fields",
        "like",
        "notes",
        "row",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(KEYS, JSON, max_size=8))
def test_any_mapping(offer: dict[str, Any]) -> None:
    """Whatever stands in a layer, only a VidorchError comes out."""
    good = {
        "model": "one",
        "endpoint": "acme",
        "provider": "acme",
        "family": "acme",
        "title": "One",
        "as_of": date(2026, 12, 1),
    }
    try:
        load({"offer": [{**good, "routes": {"text-to-video": {"path": "/"}}, "price": {"rule": "unpriced"}, **offer}]},
             environ={}, user_file="none")  # fmt: skip
    except VidorchError:
        return
