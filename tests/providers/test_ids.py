"""The vendor's id of what it took: the only way to what was paid for."""

from __future__ import annotations

import pytest

from vidorch.errors import ProviderFailed
from vidorch.hosted import Hosted
from vidorch_providers.fal import Fal
from vidorch_providers.gemini import Gemini
from vidorch_providers.kling import Kling
from vidorch_providers.openai import Openai
from vidorch_providers.replicate import Replicate
from vidorch_providers.runway import Runway

HOSTED = (Fal, Gemini, Kling, Openai, Replicate, Runway)


@pytest.mark.parametrize("vendor", HOSTED)
class TestIdIn:
    @pytest.mark.parametrize(
        "given",
        [
            "0f3c-77",
            "v1_ChdXS0l4Zw==",
            "video_bGl0ZWxsbTo+fg",
            "models/veo-3.1/operations/a.7",
            "a:b@c",
            "x..y",
        ],
    )
    def test_whatever_can_stand_in_a_url_is_taken(self, vendor: type[Hosted], given: str) -> None:
        """An id that is thrown away is a paid clip that nobody can fetch."""
        assert given == vendor().id_in(given)

    def test_a_number_is_one(self, vendor: type[Hosted]) -> None:
        """In whole digits."""
        assert "860123456789012345" == vendor().id_in(860123456789012345)

    @pytest.mark.parametrize(
        "given", ["../account", "a/../b", "a//b", "/a", "a?b=c", "a#b", "a b", "a\nb", "é", "."]
    )
    def test_another_is_shown_as_it_came(self, vendor: type[Hosted], given: str) -> None:
        """It would ask for something else; a person may adopt the job by it."""
        with pytest.raises(ProviderFailed) as caught:
            vendor().id_in(given)
        assert (None, True) == (caught.value.charged, repr(given) in str(caught.value))

    @pytest.mark.parametrize("given", [None, "", {}, ["a"]])
    def test_none_at_all_is_said(self, vendor: type[Hosted], given: object) -> None:
        """Whether the job was taken is open."""
        with pytest.raises(ProviderFailed, match="without an id. It may have been accepted"):
            vendor().id_in(given)
