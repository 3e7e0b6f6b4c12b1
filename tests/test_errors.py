"""The error tree: its shape, what each error carries, and that nothing is lost on the way to another process."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest

from vidorch import errors
from vidorch.contract import Rejected
from vidorch.errors import (
    BadMedia,
    CatalogError,
    GenerationFailed,
    InvalidRequest,
    KeyConflict,
    LedgerUnavailable,
    LiveCallInTest,
    MissingCredentials,
    OverBudget,
    ProviderFailed,
    Refused,
    Retired,
    SubmissionUnknown,
    Throttled,
    TimedOut,
    Unsupported,
    VidorchError,
)

COMMON: dict[str, Any] = {
    "hint": "Do this.", "charged": None, "retryable": True, "provider": "fal", "run_id": "run_1", "job_id": "job_1",
    "remote_id": "r-1", "request_id": "req-1", "code": "E42",
}  # fmt: skip

OWN: dict[type[VidorchError], dict[str, Any]] = {
    VidorchError: {},
    InvalidRequest: {"field": "duration", "value": -1, "allowed": "seconds over 0"},
    Unsupported: {"reasons": {"fal/kling": "no sound"}, "offers": ("vertex/veo",)},
    Retired: {"reasons": {"openai/sora-2": "retired"}, "offers": ("vertex/veo", "fal/kling")},
    MissingCredentials: {"variable": "FAL_KEY", "extra": "fal"},
    OverBudget: {"needed": "3.00", "available": "2.00", "budget": "spring"},
    Refused: {"stage": "output"},
    Throttled: {"retry_after": 3.5},
    ProviderFailed: {},
    TimedOut: {},
    SubmissionUnknown: {"possible_ids": ("a", "b")},
    BadMedia: {"path": "clip.mp4"},
    KeyConflict: {"differs": ("prompt", "duration")},
    LedgerUnavailable: {},
    LiveCallInTest: {},
    CatalogError: {"file": "a.toml", "line": 3, "field": "price"},
}


def _made(kind: type[VidorchError]) -> VidorchError:
    return kind("It happened.", **OWN[kind], **COMMON)


def _copied(error: VidorchError) -> VidorchError:
    return copy.copy(error)


def _deep(error: VidorchError) -> VidorchError:
    return copy.deepcopy(error)


def _pickled(error: VidorchError) -> VidorchError:
    return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]


WAYS = [_copied, _deep, _pickled]
KINDS = sorted(OWN, key=lambda kind: kind.__name__)


def _drawn() -> list[str]:
    """Names in the tree of the module's docstring, in its order."""
    return re.findall(r"[├└]── (\w+)", errors.__doc__ or "")


class TestTheTree:
    def test_drawn_whole(self) -> None:
        """The tree in the docstring has every public error, and nothing else."""
        assert set(errors.__all__) - {"VidorchError"} == set(_drawn())

    def test_drawn_once(self) -> None:
        """No error is drawn twice."""
        assert len(set(_drawn())) == len(_drawn())

    @pytest.mark.parametrize("name", sorted(errors.__all__))
    def test_one_base(self, name: str) -> None:
        """Whoever catches `VidorchError` catches each of them."""
        assert issubclass(getattr(errors, name), VidorchError)

    @pytest.mark.parametrize(
        ("kind", "builtin"),
        [
            (InvalidRequest, ValueError),
            (TimedOut, TimeoutError),
            (GenerationFailed, ExceptionGroup),
            (Retired, Unsupported),
        ],
    )
    def test_also_a(self, kind: type, builtin: type) -> None:
        """Where Python has a class for it, the error is one of that too; a retired model is unsupported."""
        assert issubclass(kind, builtin)

    @pytest.mark.parametrize("kind", [*KINDS, GenerationFailed], ids=lambda k: k.__name__)
    def test_says_what_it_is(self, kind: type) -> None:
        """Each class has a docstring of its own."""
        assert kind.__doc__ not in (None, "", VidorchError.__doc__ if kind is not VidorchError else None)


class TestVidorchError:
    def test_message_and_hint(self) -> None:
        """`str` says what happened and what to do next."""
        assert str(VidorchError("It broke.", hint="Mend it.")) == "It broke. Mend it."

    def test_no_hint(self) -> None:
        """Without a hint, `str` is the message alone."""
        assert str(VidorchError("It broke.")) == "It broke."

    def test_message_without_hint(self) -> None:
        """`message` leaves the hint out."""
        assert VidorchError("It broke.", hint="Mend it.").message == "It broke."

    @pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
    def test_every_kind_shows_its_hint(self, kind: type[VidorchError]) -> None:
        """Every kind of error shows its hint."""
        assert str(_made(kind)) == "It happened. Do this."

    @pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
    def test_carries_what_it_was_given(self, kind: type[VidorchError]) -> None:
        """Every attribute given is there to be read."""
        given = COMMON | OWN[kind]
        assert given == {name: getattr(_made(kind), name) for name in given}

    @pytest.mark.parametrize(
        ("kind", "charged"),
        [
            (InvalidRequest, False), (Unsupported, False), (Retired, False), (MissingCredentials, False), (OverBudget, False),
            (Refused, False), (Throttled, False), (KeyConflict, False), (LedgerUnavailable, False), (CatalogError, False),
            (BadMedia, False), (ProviderFailed, None), (TimedOut, None), (SubmissionUnknown, None),
        ],
    )  # fmt: skip
    def test_charged_by_default(self, kind: type[VidorchError], charged: bool | None) -> None:
        """What was certainly not paid says False; what nobody can know says None."""
        assert kind("It happened.").charged is charged

    @pytest.mark.parametrize("charged", [True, False, None])
    def test_charged_as_given(self, charged: bool | None) -> None:
        """None is an answer of its own, not "use the default"."""
        assert VidorchError("It happened.", charged=charged).charged is charged

    @pytest.mark.parametrize("kind", [Throttled, TimedOut])
    def test_retryable_by_default(self, kind: type[VidorchError]) -> None:
        """Being asked for patience, and not having waited long enough, can succeed later without a change."""
        assert kind("It happened.").retryable is True


class TestCrossingProcesses:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
    def test_class_and_message(
        self, kind: type[VidorchError], way: Callable[[VidorchError], VidorchError]
    ) -> None:
        """A copy is of the same class and says the same."""
        again = way(_made(kind))
        assert (kind, "It happened. Do this.") == (type(again), str(again))

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
    def test_attributes(self, kind: type[VidorchError], way: Callable[[VidorchError], VidorchError]) -> None:
        """A copy has every attribute."""
        assert vars(_made(kind)) == vars(way(_made(kind)))

    @pytest.mark.parametrize("way", WAYS)
    def test_rejected(self, way: Callable[[VidorchError], VidorchError]) -> None:
        """The contract's own error keeps its cause and its delay."""
        again = way(Rejected(Throttled("Later."), retry_after=2.0))
        assert isinstance(again, Rejected)
        assert (Throttled, 2.0) == (type(again.cause), again.retry_after)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_group(self, way: Callable[[VidorchError], VidorchError]) -> None:
        """A group keeps its message, attributes and causes, with theirs."""
        group = GenerationFailed(
            "All failed.",
            [Refused("No.", stage="output"), ProviderFailed("Broke.", code="X")],
            run_id="run_1",
        )
        again = way(group)
        assert isinstance(again, GenerationFailed)
        seen = (
            str(again),
            again.run_id,
            getattr(again.exceptions[0], "stage", None),
            getattr(again.exceptions[1], "code", None),
        )
        assert (str(group), "run_1", "output", "X") == seen

    def test_notes(self) -> None:
        """Notes that somebody added travel along."""
        error = VidorchError("It broke.")
        error.add_note("in the kitchen")
        assert ["in the kitchen"] == _pickled(error).__notes__


class TestGenerationFailed:
    def test_is_a_group_of_its_causes(self) -> None:
        """`.exceptions` holds each cause, in order."""
        causes = (Refused("No."), ProviderFailed("Broke."))
        assert causes == GenerationFailed("All failed.", causes).exceptions

    def test_except_star_picks_one_kind(self) -> None:
        """`except*` takes the causes of one kind and leaves the others."""
        caught: list[BaseException] = []
        try:
            raise GenerationFailed("All failed.", [Refused("No."), ProviderFailed("Broke.")])
        except* Refused as group:
            caught += group.exceptions
        except* ProviderFailed:
            pass
        assert ["No."] == [str(one) for one in caught]

    def test_the_rest_keeps_its_class(self) -> None:
        """What `except*` leaves over is a GenerationFailed still, with the run's id and hint."""
        _, rest = GenerationFailed(
            "All failed.", [Refused("No."), ProviderFailed("Broke.")], run_id="run_1", hint="Look."
        ).split(Refused)
        assert isinstance(rest, GenerationFailed)
        assert ("run_1", "Look.", 1) == (rest.run_id, rest.hint, len(rest.exceptions))

    def test_caught_as_one_error(self) -> None:
        """A plain `except VidorchError` catches it as a whole."""
        with pytest.raises(VidorchError) as caught:
            raise GenerationFailed("All failed.", [Refused("No."), ProviderFailed("Broke.")])
        assert isinstance(caught.value, GenerationFailed)

    def test_str_tells_every_cause(self) -> None:
        """`str` tells the hint and every cause with its own hint, numbered."""
        group = GenerationFailed(
            "All failed.", [Refused("No."), ProviderFailed("Broke.", hint="Try.")], hint="Look."
        )
        assert str(group) == "All failed. Look. Causes: 1. No.; 2. Broke. Try."

    @pytest.mark.parametrize(
        ("outcomes", "charged"),
        [
            ([False, False], False), ([False, True], True), ([None, True], True), ([None, False], None), ([None], None),
            ([True], True), ([False], False),
        ],
    )  # fmt: skip
    def test_charged_is_that_of_its_causes(self, outcomes: list[bool | None], charged: bool | None) -> None:
        """Any cause that cost money makes it True; else any doubt makes it None; else it is False."""
        assert (
            GenerationFailed("All.", [ProviderFailed("x", charged=one) for one in outcomes]).charged
            is charged
        )

    def test_charged_as_given(self) -> None:
        """Who knows better may say so."""
        assert GenerationFailed("All.", [ProviderFailed("x")], charged=False).charged is False

    def test_needs_causes(self) -> None:
        """A failure without any cause is a mistake of the caller, as with every ExceptionGroup."""
        with pytest.raises(ValueError, match="non-empty"):
            GenerationFailed("All failed.", [])
