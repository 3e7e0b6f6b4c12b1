"""Reading values out of a TOML file, so that every mistake is told with its file, line and field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from vidorch.errors import CatalogError, VidorchError
from vidorch.request import nearest_name

__all__ = ["REQUIRED", "Fault", "Source", "Table", "Where", "parse", "quoted"]

Where = tuple[str | int, ...]
"""Where a value stands inside its offer, such as `("price", "row", 1, "per_second")`."""

Fault = Callable[[str, str, "int | None", str], VidorchError]
"""Makes the error of a file: message, file, line (None when it cannot be told), field."""

REQUIRED: Any = object()
_MOST = Decimal(
    10**9
)  # no price, length or size of this world is larger; keeps arithmetic far from the context's limits
_HEADER = re.compile(r"\[(\[)?\s*([A-Za-z0-9_.\- ]+?)\s*\]\]?\s*(#.*)?")
_KEY = re.compile(
    r"""((?:[A-Za-z0-9_\-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_\-]+|"[^"]*"|'[^']*'))*)\s*="""
)


def _catalog_error(message: str, file: str, line: int | None, field: str) -> VidorchError:
    return CatalogError(message, file=file, line=line, field=field)


class Source:
    """One file: its name for people, and its text to find lines in (empty for a mapping).

    Args:
        rooted: its tables stand at the top, not inside of an `[[offer]]` each. fault: makes its errors.
    """

    def __init__(
        self, file: str, text: str = "", *, rooted: bool = False, fault: Fault = _catalog_error
    ) -> None:
        self.file = file
        self.text = text
        self._rooted = rooted
        self._fault = fault

    def error(
        self, message: str, path: Where = (), offer: int | None = None, line: int | None = None
    ) -> VidorchError:
        field = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in path)
        line = self.line_of(path, offer) if self.text and line is None else line
        where = self.file if line is None else f"{self.file}, line {line}"
        return self._fault(f"{where}: {field + ': ' if field else ''}{message}", self.file, line, field)

    def line_of(self, path: Where, offer: int | None) -> int | None:
        """The line that comes nearest to a value: its own, else its table's, else its offer's."""
        best: tuple[int, int] | None = None
        seen = -1
        here: Where = ()
        rows: dict[str, int] = {}
        for number, line in enumerate(self.text.splitlines(), 1):
            found: Where | None = None
            text = line.strip()
            if header := _HEADER.fullmatch(text):
                names = tuple(part.strip() for part in header[2].split("."))
                if self._rooted:
                    here = names
                elif names == ("offer",):
                    seen, rows, here = seen + 1, {}, ()
                elif header[1]:
                    rows[header[2]] = rows.get(header[2], -1) + 1
                    here = (*names[1:], rows[header[2]])
                else:
                    here = names[1:]
                found = here
            elif key := _KEY.match(text):
                found = (*here, *(part.strip().strip("\"'") for part in _parts(key[1])))
            if found is None or (seen if seen >= 0 else None) != offer or found != path[: len(found)]:
                continue
            if best is None or len(found) > best[0]:
                best = (len(found), number)
        return best[1] if best else None


def _parts(dotted: str) -> list[str]:
    return re.findall(r"""[A-Za-z0-9_\-]+|"[^"]*"|'[^']*'""", dotted)


def parse(source: Source) -> dict[str, Any]:
    """The file's content; numbers with a point come as `Decimal`, exactly as written."""
    try:
        return tomllib.loads(source.text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        raise source.error(f"not valid TOML: {error}", line=int(found[1]) if found else None) from None
    except (RecursionError, ArithmeticError, ValueError) as error:
        raise source.error(f"not valid TOML: {type(error).__name__}") from None


class Table:
    """One table of a file. Each getter checks its value; `done` refuses whatever no getter asked for."""

    def __init__(self, source: Source, data: Any, path: Where = (), offer: int | None = None) -> None:
        self.source = source
        self.path = path
        self.offer = offer
        if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
            raise source.error("has to be a table", path, offer)
        self.data: Mapping[str, Any] = data
        self._known: set[str] = set()

    def error(self, key: str | int | None, message: str) -> VidorchError:
        return self.source.error(message, self.path if key is None else (*self.path, key), self.offer)

    def take(self, key: str, default: Any, wanted: str, check: Callable[[Any], bool]) -> Any:
        """The value of `key`, or the default; `wanted` says in words what `check` lets through."""
        self._known.add(key)
        if key not in self.data:
            if default is REQUIRED:
                mistyped = nearest_name(key, self.data.keys() - self._known)
                if mistyped:
                    raise self.error(mistyped, f"there is no such field here. Did you mean {key!r}?")
                raise self.error(key, f"is missing. It has to be {wanted}.")
            return default
        value = self.data[key]
        if not check(value):
            raise self.error(key, f"{_shown(value)} cannot be used. It has to be {wanted}.")
        return value

    def text(self, key: str, default: Any = REQUIRED, *, pattern: str = "", wanted: str = "text") -> str:
        fits = re.compile(pattern or r"(?s).*\S.*").fullmatch
        return str(
            self.take(key, default, wanted, lambda value: isinstance(value, str) and fits(value) is not None)
        )

    def one_of(self, key: str, allowed: Iterable[str], default: Any = REQUIRED) -> Any:
        names = tuple(allowed)
        value = self.take(key, default, "one of " + ", ".join(names), lambda value: isinstance(value, str))
        if key in self.data and value not in names:
            raise self.error(
                key,
                f"{_shown(value)} is not one of {', '.join(names)}.{_meant(value, names)}",
            )
        return value

    def texts(
        self, key: str, default: Any = (), *, among: Iterable[str] = (), pattern: str = ""
    ) -> tuple[str, ...]:
        names = tuple(among)
        fits = re.compile(pattern or r"(?s).*\S.*").fullmatch
        values = self.take(key, default, "a list of texts", lambda value: _is_list(value, str))
        for value in values:
            if names and value not in names:
                raise self.error(key, f"{_shown(value)} is not known.{_meant(value, names)}")
            if fits(value) is None:
                raise self.error(key, f"{_shown(value)} cannot be used.")
        if len(set(values)) != len(values):
            raise self.error(key, "names a value twice.")
        return tuple(values)

    def number(self, key: str, default: Any = REQUIRED, *, least: int = 0, above: bool = False) -> Decimal:
        """An exact number: digits, or digits as text. A Python float is not what was written."""
        self._known.add(key)
        if key not in self.data:
            return Decimal(self.take(key, default, "a number", bool))
        return self.as_number(key, self.data[key], least=least, above=above)

    def as_number(self, key: str, value: Any, *, least: int = 0, above: bool = False) -> Decimal:
        wanted = f"a number {'over' if above else 'from'} {least}, as digits or as text"
        try:
            if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
                raise InvalidOperation
            number = Decimal(value)
        except InvalidOperation:
            as_text = f", such as {str(value)!r}: a float is not exact" if isinstance(value, float) else ""
            raise self.error(
                key, f"{_shown(value)} cannot be used. It has to be {wanted}{as_text}."
            ) from None
        if not number.is_finite() or number > _MOST or number < least or (above and number == least):
            raise self.error(key, f"{_shown(value)} cannot be used. It has to be {wanted}.")
        return number

    def numbers(self, key: str, *, above: bool = True) -> tuple[Decimal, ...]:
        values = self.take(key, (), "a list of numbers", lambda value: _is_list(value, object))
        return tuple(self.as_number(key, value, above=above) for value in values)

    def pair(self, key: str) -> tuple[Decimal, Decimal] | None:
        """`[least, most]`, or None where it is not given."""
        values = self.numbers(key, above=False)
        if key not in self.data:
            return None
        if len(values) != 2 or values[0] > values[1]:
            raise self.error(key, f"{_shown(self.data[key])} cannot be used. It has to be [least, most].")
        return (values[0], values[1])

    def whole(self, key: str, default: Any = REQUIRED, *, least: int = 0) -> Any:
        wanted = f"a whole number from {least}"
        return self.take(
            key, default, wanted, lambda value: type(value) is int and least <= value <= int(_MOST)
        )

    def real(self, key: str, default: Any = REQUIRED) -> float:
        """Seconds of a clock, where the last digit does not matter."""
        wanted = "a number from 0"
        right = lambda value: type(value) in (int, float, Decimal) and 0 <= value <= int(_MOST)  # noqa: E731
        return float(self.take(key, default, wanted, right))

    def flag(self, key: str, default: Any = REQUIRED) -> bool:
        return bool(self.take(key, default, "true or false", lambda value: isinstance(value, bool)))

    def day(self, key: str, default: Any = REQUIRED) -> Any:
        right = lambda value: isinstance(value, date) and not isinstance(value, datetime)  # noqa: E731
        return self.take(key, default, "a date, such as 2026-11-22", right)

    def table(self, key: str) -> Table:
        return Table(
            self.source, self.take(key, {}, "a table", lambda _: True), (*self.path, key), self.offer
        )

    def tables(self, key: str) -> list[Table]:
        values = self.take(key, (), "a list of tables", lambda value: _is_list(value, Mapping))
        return [Table(self.source, value, (*self.path, key, i), self.offer) for i, value in enumerate(values)]

    def done(self, names: Iterable[str] = ()) -> None:
        """Refuse what nobody asked for: a mistyped key would otherwise be a fact that is silently lost."""
        known = self._known | set(names)
        for key in self.data:
            if key not in known:
                raise self.error(key, f"there is no such field here.{_meant(key, known)}")


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, kind) for item in value)


def _meant(value: Any, names: Iterable[str]) -> str:
    near = nearest_name(str(value), sorted(names))
    return f" Did you mean {near!r}?" if near else ""


def _shown(value: Any) -> str:
    shown = str(value) if isinstance(value, Decimal) else repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def quoted(value: Any) -> str:
    """A text, a number, a flag or a list of them as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(quoted, value))}]"
    if isinstance(value, (Decimal, int)):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    return '"' + "".join(_escaped(one) for one in str(value)) + '"'


def _escaped(one: str) -> str:
    if one in '"\\':
        return "\\" + one
    return f"\\u{ord(one):04X}" if ord(one) < 0x20 or ord(one) == 0x7F else one
