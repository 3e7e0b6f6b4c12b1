"""The options of a call: every name is known, open or refused by name, and checked together with the request."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from vidorch.call import CALL_FIELDS, NOT_OPEN, Call, Options, RequestOptions, parse
from vidorch.choice import Choice
from vidorch.errors import InvalidRequest, Unsupported
from vidorch.request import Request


def call(**options: Any) -> Call:
    """The call that these options make."""
    return parse("a cat", options)[1]


def refused(**options: Any) -> InvalidRequest:
    """The error that these options meet."""
    with pytest.raises(InvalidRequest) as caught:
        parse("a cat", options)
    return caught.value


class TestNames:
    @pytest.mark.parametrize(
        ("typo", "meant"),
        [("durration", "duration"), ("aspect", "aspect_ratio"), ("negativ_prompt", "negative_prompt"), ("max_costs", "max_cost"), ("Model", "model"),
         ("callback", None), ("x", None)],
    )  # fmt: skip
    def test_unknown(self, typo: str, meant: str | None) -> None:
        """An unknown option is refused, with the nearest right one where there is one."""
        expected = f"There is no option {typo}=." + (f" Did you mean {meant}=?" if meant else "")
        assert expected == str(refused(**{typo: 1}))

    def test_unknown_carries_field_and_value(self) -> None:
        """The error has the name, the value and all that is allowed."""
        error = refused(durration=5)
        assert ("durration", 5, True) == (error.field, error.value, "duration" in error.allowed)

    @pytest.mark.parametrize("name", [1, None, ("a",), b"model"])
    def test_names_are_text(self, name: Any) -> None:
        """A mapping with other keys is refused, not crashed on."""
        with pytest.raises(InvalidRequest):
            parse("a cat", {name: 1})

    def test_every_option_is_named_for_editors(self) -> None:
        """`Options` lists every option, and every option it lists is known to `parse`."""
        names = set(Options.__annotations__) | set(RequestOptions.__annotations__)
        assert set(CALL_FIELDS) | set(NOT_OPEN) | set(RequestOptions.__annotations__) == names

    def test_every_field_of_a_request_is_an_option(self) -> None:
        """Whatever a `Request` takes, a call takes."""
        assert {item.name for item in dataclasses.fields(Request)} - {"prompt"} == set(
            RequestOptions.__annotations__
        )

    def test_a_request_has_no_prompt_option(self) -> None:
        """The prompt is the first argument and no option."""
        assert "prompt" == refused(prompt="a dog").field


class TestClosedOptions:
    @pytest.mark.parametrize("name", NOT_OPEN)
    def test_refused_by_name(self, name: str) -> None:
        """An option that is not open yet raises `Unsupported` with its name, and nothing was sent."""
        with pytest.raises(Unsupported, match=f"^{name}= is not open .* Nothing was sent"):
            parse("a cat", {name: "x"})

    @pytest.mark.parametrize("name", NOT_OPEN)
    @pytest.mark.parametrize("value", [None, False])
    def test_switched_off(self, name: str, value: Any) -> None:
        """Saying that it is not wanted is allowed."""
        assert Call() == call(**{name: value})


class TestRequestPart:
    def test_fields_become_a_request(self) -> None:
        """Fields of a request become one."""
        assert Request(prompt="a cat", duration=5) == parse("a cat", {"duration": 5, "timeout": 60})[0]

    def test_none_is_not_given(self) -> None:
        """None means "not said", for every option."""
        options = dict.fromkeys((*CALL_FIELDS, *NOT_OPEN, *RequestOptions.__annotations__))
        assert (Request(prompt="a cat"), Call()) == parse("a cat", options)

    def test_a_ready_request(self) -> None:
        """A ready request is taken as it is."""
        request = Request(prompt="a cat", duration=5)
        assert request is parse(request, {"timeout": 60})[0]

    def test_a_ready_request_beside_its_fields(self) -> None:
        """A field beside a ready request would say two things at once."""
        with pytest.raises(InvalidRequest, match="duration= was given beside a Request"):
            parse(Request(prompt="a cat"), {"duration": 5})

    @pytest.mark.parametrize(
        "bad",
        [
            {"duration": 0},
            {"size": "x"},
            {"image": "none.png"},
            {"image": samples.MP4},
            {"last_image": samples.PNG},
            {"video": samples.MP4},
        ],
    )
    def test_bad_fields(self, bad: dict[str, Any]) -> None:
        """Bad fields are refused here as there."""
        assert refused(**bad).charged is False


class TestCall:
    @pytest.mark.parametrize(
        ("model", "models"),
        [
            ("mini", ("mini",)), (" local/mini ", ("local/mini",)), (["a", "b"], ("a", "b")), (("a",), ("a",)),
            (Choice("a", duration=6), (Choice("a", duration=6),)), (["a", Choice("b")], ("a", Choice("b"))),
        ],
    )  # fmt: skip
    def test_models(self, model: Any, models: tuple[str | Choice, ...]) -> None:
        """One name, a choice, or a list of these in order of preference."""
        assert models == call(model=model).models

    @pytest.mark.parametrize(
        "model",
        ["", " ", [], (), [""], [None], 1, True, b"mini", {"mini": 1}, {"mini"}, [["mini"]], object()],
    )
    def test_bad_models(self, model: Any) -> None:
        """Anything else is refused."""
        assert "model" == refused(model=model).field

    @pytest.mark.parametrize(
        ("given", "amount"), [("3.00", "3.00"), (3, "3"), (Decimal("0.5"), "0.5"), ("$1", "1"), (0, "0")]
    )
    def test_max_cost(self, given: Any, amount: str) -> None:
        """The cap is exact."""
        assert Decimal(amount) == call(max_cost=given).max_cost

    @pytest.mark.parametrize("given", [3.0, float("nan"), True, -1, "x", "", [3], "NaN"])
    def test_bad_max_cost(self, given: Any) -> None:
        """Floats and what is no amount are refused."""
        assert "max_cost" == refused(max_cost=given).field

    @pytest.mark.parametrize(
        "timeout", [0, -1, float("nan"), float("inf"), True, "60", 10**400, 2_592_001, [60], b"60", object()]
    )
    def test_bad_timeout(self, timeout: Any) -> None:
        """A timeout is seconds, over 0 and at most 30 days."""
        assert "timeout" == refused(timeout=timeout).field

    @pytest.mark.parametrize("timeout", [0.1, 60, Decimal(60), 2_592_000])
    def test_timeout(self, timeout: Any) -> None:
        """Seconds, as a float."""
        assert float(timeout) == call(timeout=timeout).timeout

    @pytest.mark.parametrize("scope", ["", " ", "a\nb", "x" * 201, 1, True, b"x", "a\x00"])
    def test_bad_scope(self, scope: Any) -> None:
        """A scope is a word."""
        assert "scope" == refused(scope=scope).field

    @pytest.mark.parametrize(
        "tags",
        [
            "x",
            ["x"],
            {"a": 1},
            {1: "a"},
            {"": "a"},
            {"a": "x" * 201},
            {str(i): "x" for i in range(51)},
            {"a": "b\n"},
            1,
        ],
    )
    def test_bad_tags(self, tags: Any) -> None:
        """Tags are a bounded mapping of words to words."""
        assert "tags" == refused(tags=tags).field

    def test_tags(self) -> None:
        """Tags are copied."""
        tags = {"campaign": "spring"}
        made = call(tags=tags)
        tags["campaign"] = "summer"
        assert {"campaign": "spring"} == made.tags

    @pytest.mark.parametrize(
        "output",
        ["", b"x.mp4", 1, True, "a\x00.mp4", ["x.mp4"], object(), "~nosuchuser/x.mp4", "n" * 300 + ".mp4",
         "not-there/" + "n" * 300 + "/x.mp4", "file:///" + "n" * 300 + ".mp4", "a/" * 3000 + "x.mp4", "\ud800.mp4",
         "https://example.com/x.mp4", "s3://key:secret@bucket/x.mp4", "s3://bucket/x.mp4?signature=1"],
    )  # fmt: skip
    def test_bad_output(self, output: Any) -> None:
        """An output is a file or folder, by a name that this system can have."""
        assert "output" == refused(output=output).field

    @pytest.mark.parametrize(
        ("given", "output"),
        [
            ("out.mp4", "out.mp4"),
            (Path("a") / "b.mp4", str(Path("a") / "b.mp4")),
            ("file:///tmp/x%20y.mp4", "/tmp/x y.mp4"),
            ("clips/", "clips/"),
            ("s3://bucket/x.mp4", "s3://bucket/x.mp4"),
            ("gs://bucket/ads/", "gs://bucket/ads/"),
        ],
    )
    def test_output(self, given: Any, output: str) -> None:
        """Paths and URLs are kept, file:// URLs are unquoted."""
        assert output == call(output=given).output

    @pytest.mark.parametrize("overwrite", [1, 0, "yes", [], object()])
    def test_bad_overwrite(self, overwrite: Any) -> None:
        """Overwriting is True or False."""
        assert "overwrite" == refused(overwrite=overwrite).field

    @pytest.mark.parametrize("listener", [1, "print", [], object()])
    def test_bad_listener(self, listener: Any) -> None:
        """A listener can be called."""
        assert "on_progress" == refused(on_progress=listener).field

    def test_immutable(self) -> None:
        """A call cannot be changed."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            call().scope = "x"  # type: ignore[misc]
