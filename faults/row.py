"""What a row is, and the words in which it passes or fails."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

_T = TypeVar("_T")

Figures = Mapping[str, object]
"""What was counted and measured, by name; shown in the table in this order."""


class Failed(Exception):
    """The criterion does not hold. The message is the evidence."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done: a little in CI, all of it by hand. The seed makes a run that failed happen again."""

    short: bool
    seed: int

    def pick(self, short: _T, long: _T) -> _T:
        """The first in the short form, the second in the long one."""
        return short if self.short else long

    def chance(self, salt: int = 0) -> random.Random:
        """Randomness of the seed; another stream for each salt."""
        return random.Random(self.seed * 1_000_003 + salt)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. `run` returns its figures or raises; it has `limits` seconds, (short, long).

    They and the waits within a row end what hangs; they say nothing of speed, for CI runs rows beside the tests.
    """

    number: int
    title: str
    criterion: str
    run: Callable[[Size], Figures]
    limits: tuple[float, float]


def must(holds: object, evidence: str) -> None:
    """Raises Failed with the evidence unless it holds."""
    if not holds:
        raise Failed(evidence)


def fail(evidence: str) -> NoReturn:
    """Raises Failed."""
    raise Failed(evidence)


def say(sentence: str) -> None:
    """Progress, for whoever watches the long form."""
    print(f"    {sentence}", flush=True)
