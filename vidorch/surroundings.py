"""What a client stands on where its caller says nothing: the real world, or the one that `vidorch.testing` builds.

`VIDORCH_MOCK` in the environment puts a whole process, the command line included, into the latter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from vidorch.contract import Clock, Provider

__all__ = ["VARIABLE", "Surroundings", "enter", "entered", "surroundings"]

VARIABLE = "VIDORCH_MOCK"


class Surroundings(Protocol):
    """A world of its own: clients that are made in it reach nothing outside."""

    @property
    def home(self) -> Path:
        """The home folder."""

    @property
    def clock(self) -> Clock:
        """Its time."""

    def catalog(self, argument: Any) -> Any:
        """What to load as the catalog, with the caller's own layer on top."""

    def providers(self, given: Mapping[str, Provider] | None, catalog: Any = None) -> Mapping[str, Provider]:
        """Providers by name, those that the caller brought before the others; for a client with its own catalog layer."""

    def made(self, client: Any) -> None:
        """Told of every client that is made."""

    def planned(self, plan: Any) -> None:
        """Told of every plan that is made to be carried out."""


_current: Surroundings | None = None


def enter(world: Surroundings | None) -> Surroundings | None:
    """From now on clients stand on `world`; None is the real one. Gives back what they stood on before."""
    global _current
    before, _current = _current, world
    return before


def entered() -> bool:
    """Whether this process is in a world of its own already."""
    return _current is not None


def surroundings() -> Surroundings | None:
    """The world that a new client stands on; None is the real one.

    Raises:
        InvalidRequest: `VIDORCH_MOCK` names a script that cannot be used.
    """
    if _current is None and os.environ.get(VARIABLE, "0") not in ("", "0"):
        import_module("vidorch.testing.process").begin(os.environ[VARIABLE])
    return _current
