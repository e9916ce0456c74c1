"""Durations as people write them: `500ms`, `10s`, `5m`, `1h30m`, `2d`."""

import re
from datetime import timedelta
from typing import Final

DURATION_PATTERN: Final = r"^(?=[0-9])(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m(?!s))?(?:[0-9]+s)?(?:[0-9]+ms)?$"
"""For the JSON Schema too: ECMA-262 reads it the same way."""

LONGEST: Final = timedelta(days=36_500)
"""A century: what is added to or taken from a date of today stays a date."""

_MILLISECONDS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_MILLISECONDS: Final = LONGEST // timedelta(milliseconds=1)
_MOST_DIGITS: Final = len(str(_LONGEST_MILLISECONDS))
_SHAPE: Final = re.compile(DURATION_PATTERN)
_PART: Final = re.compile(r"([0-9]+)(ms|[smhd])")


def parse_duration(text: str) -> timedelta:
    """Read `1h30m`: whole numbers, each with a unit (d, h, m, s, ms), the largest first, each unit once.

    Raises ValueError, whose text never repeats `text`: it may have come from the environment.
    """
    if not _SHAPE.match(text) or text.endswith("\n"):
        raise ValueError("must be a duration such as 500ms, 10s, 5m, 1h30m or 2d")
    parts = [(number.lstrip("0"), unit) for number, unit in _PART.findall(text)]
    # Counted before it is converted: int() refuses some thousand digits with an error of its own.
    if any(len(number) > _MOST_DIGITS for number, _ in parts):
        raise _too_long()
    milliseconds = sum(int(number or "0") * _MILLISECONDS[unit] for number, unit in parts)
    if milliseconds > _LONGEST_MILLISECONDS:
        raise _too_long()
    if milliseconds == 0:
        raise ValueError("must be longer than nothing")
    return timedelta(milliseconds=milliseconds)


def not_below_first(longest: timedelta, first: object, name: str, default: timedelta) -> timedelta:
    """The longest of growing pauses, unless it is below the first, a field called `name`. Below the first's default it
    may be where no first is given: it shortens that too. Raises ValueError."""
    if isinstance(first, timedelta) and default != first > longest:
        raise ValueError(f"must not be shorter than {name}")
    return longest


def _too_long() -> ValueError:
    return ValueError(f"is too long: {LONGEST.days}d is the most")
