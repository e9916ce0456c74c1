"""Which time retention takes for now. Pure.

If the clock leaps ahead, at a start or later, all that has ended would be old at once and be removed. So a leap is not
believed for a day. A machine that slept or was off leaps too; there, what is old is removed a day later, which is fine.
"""

from datetime import datetime, timedelta
from typing import Final

LEAP: Final = timedelta(days=1)  # more than that beyond the time that has passed is doubted
BELIEVED_AFTER: Final = timedelta(hours=24)  # of a process that goes on, with somebody to mend its clock


class SteadyPresent:
    """The wall clock, but a leap ahead takes effect a day later. `last_seen`: when the worker before was last alive."""

    def __init__(self, last_seen: datetime | None, passed: float) -> None:
        self._wall = last_seen
        self._passed = passed
        self._doubted_since: float | None = None

    def at(self, wall: datetime, passed: float) -> datetime:
        """The present, by the wall clock and by the seconds of a clock that never leaps."""
        if self._wall is not None:
            expected = self._wall + timedelta(seconds=passed - self._passed)
            if wall > expected + LEAP and not self._is_believed(passed):
                return expected
        self._wall, self._passed, self._doubted_since = wall, passed, None
        return wall

    def _is_believed(self, passed: float) -> bool:
        if self._doubted_since is None:
            self._doubted_since = passed
        return passed - self._doubted_since >= BELIEVED_AFTER.total_seconds()
