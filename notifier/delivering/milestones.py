"""How old a delivery can be, whatever the wall clock says. Pure: times are given, in seconds of one monotonic clock.

Numbers are given in the order of the commits: what has a higher number than all that there was at some time came later.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import timedelta


@dataclass(slots=True)
class _Milestone:
    """Up to which number there were deliveries, from when to when at least."""

    number: int
    first: float
    last: float


class Milestones:
    """What one process has seen of a queue's end. `precision`: of what it says; `reach`: of the past that matters."""

    def __init__(self, precision: timedelta, reach: timedelta) -> None:
        self._precision = precision.total_seconds()
        self._reach = reach.total_seconds()
        self._passed: list[_Milestone] = []

    def saw(self, number: int, now: float) -> None:
        """There are deliveries up to this number, and none beyond it."""
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
        """How old a delivery is at least and at most; None where it may be from before this process."""
        place = bisect_left(self._passed, number, key=lambda milestone: milestone.number)
        least = now - self._passed[place].first if place < len(self._passed) else 0.0
        most = timedelta(seconds=now - self._passed[place - 1].last) if place else None
        return timedelta(seconds=least), most
