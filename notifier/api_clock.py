"""The API's own time, as the `Date` of its answers tells it.

Ages are by the API's clock, because that is the one by which it dates runs. Between two answers it goes on by the
monotonic clock: what our own wall clock does moves nothing, once an answer has come.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

log = structlog.get_logger(__name__)

FAR: Final = timedelta(days=7)  # off both our clock and the last answer, a `Date` is no clock


class ApiClock:
    """The clock of one workspace's API; ours, until an answer has told the time."""

    def __init__(self, workspace: str, ours: Callable[[], datetime]) -> None:
        self._workspace = workspace
        self._ours = ours
        self._last: datetime | None = None
        self._last_at = 0.0  # of the loop's clock
        self._reported = False

    def now(self) -> datetime:
        """The API's time, as far as it is known."""
        if self._last is None:
            return self._ours()
        return self._last + timedelta(seconds=asyncio.get_running_loop().time() - self._last_at)

    def latest(self, api_now: datetime) -> datetime:
        """Nothing that an answer of that time tells of can have happened later. Of two clocks that differ, the one that
        is ahead: a `Date` that jumps back for once must not make what is new look old."""
        return max(api_now, self._ours())

    def read(self, date: datetime | None) -> datetime:
        """The time of an answer that bears this `Date`: that, unless there is none or it can't be a clock's."""
        expected = self.now()
        if date is None:
            return expected
        if abs(date - self._ours()) > FAR and (self._last is None or abs(date - expected) > FAR):
            if not self._reported:
                self._reported = True
                log.warning("an answer's Date is no clock, and is left aside", workspace=self._workspace, date=date)
            return expected
        self._last, self._last_at, self._reported = date, asyncio.get_running_loop().time(), False
        return date
