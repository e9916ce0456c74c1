"""Between which bounds a delivery's age lies, whatever the wall clock says. Pure: times are given, in seconds of one
monotonic clock.

A delivery's number is higher than those of all that were committed before it. So it is younger than any moment at which
the highest number was lower than its own, and older than any at which that was as high.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import timedelta


@dataclass(slots=True)
class _Milestone:
    """The highest number that there was for a while."""

    number: int
    first: float
    """When it was seen first."""
    last: float
    """When it was seen last."""


class Milestones:
    """What one process has seen of the highest numbers."""

    def __init__(self, precision: timedelta, reach: timedelta) -> None:
        """`precision`: by how much the bounds may be off. `reach`: what lies longer ago is forgotten."""
        self._precision = precision.total_seconds()
        self._reach = reach.total_seconds()
        self._passed: list[_Milestone] = []

    def saw(self, number: int, now: float) -> None:
        """This is the highest number now."""
        passed = self._passed
        if passed and number <= passed[-1].number:
            passed[-1].last = now
            return
        if passed and now - passed[-1].first < self._precision:
            return
        passed.append(_Milestone(number, now, now))
        while len(passed) > 1 and passed[1].first < now - self._reach:
            passed.pop(0)

    def bounds(self, number: int, now: float) -> tuple[timedelta, timedelta | None]:
        """How old a delivery is at least, and at most; None where it may be from before this process."""
        place = bisect_left(self._passed, number, key=lambda milestone: milestone.number)
        least = now - self._passed[place].first if place < len(self._passed) else 0.0
        most = timedelta(seconds=now - self._passed[place - 1].last) if place else None
        return timedelta(seconds=least), most
