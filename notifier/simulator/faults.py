"""What can go wrong on demand: a closed union of faults, and the board on which they hang.

A fault hangs for a number of requests or until it is cleared. Of those that match a request, the ones with a number
come first, oldest first (a script: twice 500, then a 429), then the lasting ones, newest first (the newest rule
overrides). Delay, Hang and Transform let the request go on to the next; every other fault is its end.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Generic, TypeVar


@dataclass(frozen=True, slots=True)
class Status:
    """This status and body instead of the answer."""

    code: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer, but `seconds` later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reset:
    """A TCP reset and no answer."""


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the fault is cleared or the server closes; then what would have been answered."""


@dataclass(frozen=True, slots=True)
class Drip:
    """200 and headers, then one byte every `interval` seconds, without end."""

    interval: float = 0.05


@dataclass(frozen=True, slots=True)
class Body:
    """200 with these bytes as they are."""

    content: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class GzipBomb:
    """200 with a small gzip that inflates to `size` bytes of JSON."""

    size: int


@dataclass(frozen=True, slots=True)
class Big:
    """200 with JSON of `size` bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect to `location`."""

    location: str
    code: int = 302


@dataclass(frozen=True, slots=True)
class Transform:
    """The answer, but its decoded JSON passed through `change` first: wrong shapes, empty lists, repeated pages."""

    change: Callable[[Any], Any]


Fault = Status | Delay | Reset | Hang | Drip | Body | GzipBomb | Big | Redirect | Transform

_T = TypeVar("_T")


class FaultHandle:
    """Takes back what was hung up; clearing twice does no harm."""

    def __init__(self, clear: Callable[[], None], hits: Callable[[], int]) -> None:
        self._clear = clear
        self._hits = hits

    def clear(self) -> None:
        """Takes the fault away and lets go of the requests that hang on it."""
        self._clear()

    @property
    def hits(self) -> int:
        """How many requests have met it."""
        return self._hits()


class Rule(Generic[_T]):
    """One thing on a board: what, for which paths, how often."""

    def __init__(self, what: _T, path: str, times: int | None) -> None:
        if times is not None and times < 1:
            raise ValueError(f"times must be positive or None, not {times}")
        self.what = what
        self.path = path
        self.left = times
        self.limited = times is not None
        self.hits = 0
        self.cleared = asyncio.Event()

    def take(self) -> None:
        """Counts one request against the rule."""
        self.hits += 1
        if self.left is not None:
            self.left -= 1


class Board(Generic[_T]):
    """Rules, in the order in which they apply."""

    def __init__(self) -> None:
        # A rule that is used up stays until it is cleared: a request may still hang on it.
        self._rules: list[Rule[_T]] = []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def hang(self, what: _T, path: str, times: int | None) -> FaultHandle:
        """Hangs up a rule; see the module for its place among others."""
        rule = Rule(what, path, times)
        # Both kinds go in here: a limited one becomes the last of its kind, a lasting one the first of its kind.
        place = next((i for i, other in enumerate(self._rules) if not other.limited), len(self._rules))
        self._rules.insert(place, rule)
        return FaultHandle(lambda: self._clear(rule), lambda: rule.hits)

    def matching(self, path: str) -> Iterator[Rule[_T]]:
        """The rules for a path. Each one handed out is counted: stop asking when the request has ended."""
        for rule in tuple(self._rules):
            if rule.left == 0 or rule.cleared.is_set() or not fnmatchcase(path, rule.path):
                continue
            rule.take()
            yield rule

    def clear(self) -> None:
        """Takes everything down and lets go of what hangs."""
        for rule in tuple(self._rules):
            self._clear(rule)

    def _clear(self, rule: Rule[_T]) -> None:
        if rule in self._rules:
            self._rules.remove(rule)
        rule.cleared.set()
