"""What adapters read in vendors' words."""

from __future__ import annotations

import pytest

from vidorch.told import kind_of, moment, number, suffix_of


class TestKindOf:
    """By the name in the link's path."""

    @pytest.mark.parametrize(
        ("link", "kind"),
        [
            ("https://v3.fal.media/a/output.mp4", "video/mp4"),
            ("https://cdn/a.WEBM?sign=x.png", "video/webm"),
            ("https://cdn/a.jpg#x", "image/jpeg"),
            ("https://cdn/mp4", ""),
            ("https://cdn/a.tar", ""),
        ],
    )
    def test_it_goes_by_the_end_of_the_path(self, link: str, kind: str) -> None:
        """Not by what stands behind it, and not by capitals."""
        assert kind == kind_of(link)


class TestSuffixOf:
    """For uploads."""

    @pytest.mark.parametrize(
        ("kind", "suffix"), [("image/jpeg", "jpg"), ("video/quicktime", "mov"), ("image/*", "bin")]
    )
    def test_each_kind_has_one(self, kind: str, suffix: str) -> None:
        """The usual one; for a kind that is not known, one that says nothing."""
        assert suffix == suffix_of(kind)


class TestMoment:
    """Seconds since 1970."""

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("1970-01-01T00:01:00Z", 60.0),
            ("1970-01-01T01:01:00+01:00", 60.0),
            ("1970-01-01T00:01:00", 60.0),  # no zone: never that of this machine
            (60, 60.0),
            (True, None),
            (None, None),
            ("soon", None),
        ],
    )
    def test_it_is_read_wherever_it_is_one(self, value: object, seconds: float | None) -> None:
        """In ISO 8601 with and without a zone, or as a number."""
        assert seconds == moment(value)


class TestNumber:
    """A number of JSON."""

    @pytest.mark.parametrize(
        ("value", "read"), [(3, 3.0), (0.5, 0.5), (False, None), ("3", None), (None, None)]
    )
    def test_only_a_number_is_one(self, value: object, read: float | None) -> None:
        """Neither true nor a word is."""
        assert read == number(value)
