"""Rules that cannot be are refused when they are made."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from vidorch.errors import InvalidRequest
from vidorch.testing import Mock, Rule
from vidorch.testing.rules import Rules


@pytest.fixture
def rule() -> Rule:
    return Rules().on(())


class TestWrongWords:
    @pytest.mark.parametrize(
        "make",
        [
            lambda rule: rule.fail().succeed(),
            lambda rule: rule.refuse().refuse(stage="output"),
            lambda rule: rule.fail().bad_file(),
            lambda rule: rule.expire_url().refuse(stage="output"),
            lambda rule: rule.reject().hold(),
            lambda rule: rule.hold().reject(),
            lambda rule: rule.lose_reply(accepted=False).crash_poll(),
            lambda rule: rule.lose_reply().lose_reply(accepted=False),
            lambda rule: rule.throttle().throttle(),
        ],
    )
    def test_what_cannot_happen_to_one_job(self, rule: Rule, make: Callable[[Rule], object]) -> None:
        """A job that failed has no file, and what was never accepted is never polled."""
        with pytest.raises(InvalidRequest, match="A rule cannot say"):
            make(rule)

    @pytest.mark.parametrize(
        "make",
        [
            lambda rule: rule.throttle(retry_after=2).lose_reply().crash_poll(times=2).hold().expire_url().bad_file(times=1),
            lambda rule: rule.hold().fail(),
            lambda rule: rule.succeed(cost="1").expire_url().bad_file(),
            lambda rule: rule.lose_reply().refuse(stage="output"),
        ],
    )  # fmt: skip
    def test_what_can(self, rule: Rule, make: Callable[[Rule], object]) -> None:
        """Everything else goes together."""
        assert rule is make(rule)

    @pytest.mark.parametrize(
        ("word", "arguments"),
        [
            ("succeed", {"cost": 0.1}), ("succeed", {"cost": "-1"}), ("succeed", {"latency": -1}), ("succeed", {"latency": "x"}),
            ("succeed", {"clip": "/nowhere/at-all.mp4"}), ("fail", {"charged": "yes"}), ("refuse", {"stage": "middle"}),
            ("throttle", {"times": 0}), ("throttle", {"retry_after": -1}), ("lose_reply", {"accepted": 1}),
            ("crash_poll", {"times": True}), ("expire_url", {"times": 1.5}), ("bad_file", {"times": 0}), ("reject", {"code": 5}),
        ],
    )  # fmt: skip
    def test_values(self, rule: Rule, word: str, arguments: dict[str, Any]) -> None:
        """A value that means nothing is named at once."""
        with pytest.raises(InvalidRequest, match=next(iter(arguments))):
            getattr(rule, word)(**arguments)

    def test_release_without_hold(self, rule: Rule) -> None:
        """There is nothing to let go."""
        with pytest.raises(InvalidRequest, match="hold"):
            rule.release()


class TestWrongMatches:
    def test_unknown_model(self, m: Mock) -> None:
        """A model that no catalog has would never match; the nearest is named."""
        with pytest.raises(InvalidRequest, match="did you mean 'test/basic'"):
            m.on(model="test/basik")

    @pytest.mark.parametrize("arguments", [{"prompt": 5}, {"scope": ""}, {"call": 0}, {"call": True}])
    def test_values(self, m: Mock, arguments: dict[str, Any]) -> None:
        """Each is named."""
        with pytest.raises(InvalidRequest, match=next(iter(arguments))):
            m.on(**arguments)


def test_a_clip_is_read_at_once(rule: Rule, tmp_path: Path) -> None:
    """What happens to the file afterwards does not matter."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"content")
    behaviour = rule.succeed(clip=path, cost=Decimal("0.1")).behaviour()
    path.unlink()
    assert (b"content", Decimal("0.1")) == (behaviour.clip, behaviour.cost)
