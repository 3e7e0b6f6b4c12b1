"""10,000 random requests: whatever is asked, the answer is a request, a plan, or a typed error that says what is wrong."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vidorch
from tests import samples
from vidorch.call import CALL_FIELDS, NOT_OPEN, RequestOptions, parse
from vidorch.engine.targets import target_of
from vidorch.errors import InvalidRequest, VidorchError
from vidorch.request import RESOLUTIONS, TASKS, Request

NAMES = (*RequestOptions.__annotations__, *CALL_FIELDS, *NOT_OPEN)
MODELS = (
    "mini",
    "local/mini",
    "veo-3.1-fast",
    "kling-3.0-pro",
    "fal/kling-3.0-pro",
    "gen4.5",
    "sora-2",
    "nothing",
)


class _Odd:
    """A value of no known type whose texts cannot be had."""

    def __repr__(self) -> str:
        raise RuntimeError("shy")

    __str__ = __repr__


text = st.one_of(st.text(max_size=40), st.text(st.characters(), max_size=8), st.just("x" * 40_000))
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.just(10**4000),
    st.just(Fraction(1, 3)),
)
media = st.sampled_from(
    [samples.PNG, samples.JPEG, samples.MP4, samples.WAV, samples.HTML, samples.TEXT, "none.png", "/", "https://example.com/a.png", "https://[::1/x",
     "http://example.com/a.png", "file:///none", Path("none.mp4"), bytearray(samples.PNG)],
)  # fmt: skip
words = st.one_of(
    st.sampled_from(
        [
            *TASKS,
            *RESOLUTIONS,
            *MODELS,
            "16:9",
            "9:16",
            "0:0",
            "1280x720",
            "1080X1920",
            "0x0",
            "strict",
            "exact",
            "3.00",
            "$1",
            "NaN",
            "-0",
        ]
    ),
    st.from_regex(r"[0-9]{1,5}[x:][0-9]{1,5}", fullmatch=True),
)
leaves = st.one_of(
    st.none(),
    text,
    numbers,
    media,
    words,
    st.binary(max_size=80),
    st.builds(_Odd),
    st.just(print),
    st.builds(vidorch.Choice, st.sampled_from(MODELS)),
)
junk = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=3),
    ),
    max_leaves=4,
)
good: dict[str, st.SearchStrategy[Any]] = {
    "task": st.sampled_from(TASKS), "image": st.just(samples.PNG), "last_image": st.just(samples.PNG), "video": st.just(samples.MP4),
    "audio_track": st.just(samples.WAV), "reference_images": st.lists(st.just(samples.PNG), max_size=3),
    "duration": st.one_of(st.integers(1, 20), st.floats(0.1, 20), st.decimals("0.1", "20")), "resolution": st.sampled_from(list(RESOLUTIONS)),
    "aspect_ratio": st.sampled_from(["16:9", "9:16", "1:1", "21:9"]), "size": st.sampled_from(["1280x720", (256, 256), "1080x1920"]),
    "audio": st.booleans(), "seed": st.integers(0, 2**32 - 1), "negative_prompt": st.text(max_size=10), "camera": st.text(max_size=10),
    "steps": st.integers(1, 50), "guidance": st.floats(0, 20), "fit": st.sampled_from(["strict", "exact", "nearest"]),
    "candidates": st.integers(1, 4), "model": st.one_of(st.sampled_from(MODELS), st.lists(st.sampled_from(MODELS), max_size=3)),
    "output": st.sampled_from(
        ["x.mp4", "new/", "~/x.mp4", "~nosuchuser/x.mp4", "~nosuchuser", "n" * 300 + ".mp4", "n" * 300 + "/x.mp4", "a/" * 3000 + "x.mp4", "/dev/null/x.mp4",
         "/dev/null", "x.avi", "\udc80.mp4", "\ud800.mp4", "file:///x.mp4", "file://far/x.mp4", "file://[::1/x.mp4", "s3://bucket/x.mp4", ".", "", Path("x.mp4"), Path()]
    ),
    "max_cost": st.sampled_from(["0", "1.00", 100, Decimal("0.01")]), "timeout": st.integers(1, 100),
}  # fmt: skip
prompts = st.one_of(
    st.sampled_from(["a red ball rolling left", "two blue squares bouncing", "a cat", ""]), junk
)
bad_options = st.dictionaries(
    st.one_of(st.sampled_from(NAMES), st.text(min_size=1, max_size=12)), junk, max_size=4
)
good_options = st.lists(st.sampled_from(sorted(good)), max_size=5, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({n: good[n] for n in names})
)
mixed_options = st.builds(
    lambda a, b: {**a, **b}, good_options, st.dictionaries(st.sampled_from(NAMES), junk, max_size=1)
)


def check(error: VidorchError) -> None:
    """What every error of a request must be: readable, not too long, and about money that was not spent."""
    assert str(error)
    assert len(str(error)) < 20_000
    assert error.charged is False
    if type(error) is InvalidRequest:
        assert error.field
        assert error.allowed


def _placed(output: str | None) -> None:
    """What is done with `output=` next, before anything runs."""
    with contextlib.suppress(InvalidRequest):
        target_of(output, False, Path("own"))


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
class TestParse:
    @settings(max_examples=4000, suppress_health_check=list(HealthCheck))
    @given(prompts, bad_options)
    def test_junk(self, prompt: Any, options: dict[str, Any]) -> None:
        """Junk of every type, for every option: only typed errors."""
        try:
            _placed(parse(prompt, options)[1].output)
        except VidorchError as error:
            check(error)

    @settings(max_examples=3000, suppress_health_check=list(HealthCheck))
    @given(prompts, mixed_options)
    def test_nearly_right(self, prompt: Any, options: dict[str, Any]) -> None:
        """Right options with one that is not: only typed errors, and what is taken can be written down and told again."""
        try:
            request, call = parse(prompt, options)
        except VidorchError as error:
            check(error)
        else:
            _placed(call.output)
            assert request.fingerprint() == Request(**request.given()).fingerprint()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> vidorch.Client:
    """One client for all: planning keeps nothing."""
    return vidorch.Client(home=tmp_path_factory.mktemp("home"))


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
class TestPlan:
    @settings(max_examples=2000, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(["a red ball rolling left", "a cat", "🐈"]), good_options)
    def test_right(self, client: vidorch.Client, prompt: str, options: dict[str, Any]) -> None:
        """Right options through the whole plan: offers with prices, or each one's reason; else a typed error."""
        options.pop("timeout", None)
        try:
            plan = client.plan(prompt, **options)
        except VidorchError as error:
            check(error)
        else:
            assert all(
                0 <= entry.cost.low <= entry.cost.expected <= entry.cost.high for entry in plan.entries
            )

    @settings(max_examples=1000, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(["a red ball rolling left", "a cat"]), mixed_options)
    def test_nearly_right(self, client: vidorch.Client, prompt: str, options: dict[str, Any]) -> None:
        """With one option that is not right: an estimate, or a typed error."""
        try:
            estimate = client.estimate(prompt, **options)
        except VidorchError as error:
            check(error)
        else:
            cost = estimate.cost  # None where no bounded price is known
            assert cost is None or 0 <= cost.low <= cost.expected <= cost.high
