"""Finds providers by the entry point group `vidorch.providers`: the built-in ones come in by the same door as anybody's."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from vidorch.contract import Provider
from vidorch.errors import MissingCredentials, Unsupported, VidorchError

__all__ = ["GROUP", "Registry"]

GROUP = "vidorch.providers"


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


class Registry:
    """Providers by name, each loaded and made once, at first use.

    Args:
        given: ready-made providers, which go before installed ones of the same name.
    """

    def __init__(self, given: Mapping[str, Provider] | None = None) -> None:
        self._made: dict[str, Provider] = dict(given or {})
        self._making = threading.RLock()  # plans are made in many threads, providers once

    def names(self) -> frozenset[str]:
        """Every provider that is installed; none of them is loaded for this."""
        with self._making:
            return frozenset(self._made) | frozenset(_entry_points())

    def get(self, name: str) -> Provider:
        """The provider of that name.

        Raises:
            Unsupported: there is none, or what its entry point names is not a provider.
            MissingCredentials: a package that it needs is not installed; names the extra, or the package.
        """
        if (made := self._made.get(name)) is not None:
            return made
        with self._making:
            if name not in self._made:
                point = _entry_points().get(name)
                if point is None:
                    raise Unsupported(
                        f"No provider {name!r} is installed.",
                        hint=f"Installed are: {', '.join(sorted(self.names()))}.",
                    )
                self._made[name] = _make(name, point)
            return self._made[name]

    async def aclose(self) -> None:
        """Close every provider that was made; one that fails does not keep the others open."""
        troubles = []
        for provider in list(self._made.values()):
            try:
                await provider.aclose()
            except Exception as error:
                troubles.append(error)
        if troubles:
            raise ExceptionGroup("Some providers could not be closed.", troubles)


def _make(name: str, point: EntryPoint) -> Provider:
    try:
        kind = point.load()
    except ModuleNotFoundError as error:
        raise _missing(name, point, error, name) from error
    except Exception as error:
        raise _broken(name, point, f"cannot be loaded: {type(error).__name__}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Provider)):
        raise _broken(name, point, "is not a vidorch.contract.Provider")
    try:
        return kind()
    except VidorchError:
        raise
    except ModuleNotFoundError as error:
        raise _missing(name, point, error, kind.extra or name) from error
    except Exception as error:
        raise _broken(name, point, f"cannot be made: {type(error).__name__}: {error}") from error


def _missing(name: str, point: EntryPoint, error: ModuleNotFoundError, extra: str) -> MissingCredentials:
    """Only vidorch's own extras can be named: what another distribution calls its own, nobody here knows."""
    owner = getattr(point, "dist", None)
    said = f"The provider {name!r} needs the package {error.name!r}, which is not installed."
    if (
        owner is not None
        and owner.name == "vidorch"
        and extra in (owner.metadata.get_all("Provides-Extra") or ())
    ):
        return MissingCredentials(said, hint=f"pip install 'vidorch[{extra}]'", extra=extra)
    whose = f" It is {owner.name} that declares this provider." if owner is not None else ""
    return MissingCredentials(said, hint=f"Install what holds {error.name!r}.{whose}")


def _broken(name: str, point: EntryPoint, why: str) -> Unsupported:
    return Unsupported(
        f"The provider {name!r}, entry point {point.value!r} of group {GROUP}, {why}.",
        hint="Mend or uninstall the distribution that declares it.",
        provider=name,
    )
