"""The API's own time, as the `Date` of its answers tells it.

Ages are by the API's clock, because that is the one by which it dates runs. Between two answers it goes on by the
monotonic clock: what our own wall clock does moves nothing, once an answer has come.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

log = structlog.get_logger(__name__)

FAR: Final = timedelta(days=7)  # off both our clock and the last answer, a `Date` is no clock
AGREEING: Final = 20  # answers in a row that agree with each other are a clock, though with nothing else


@dataclass(frozen=True, slots=True)
class ApiTime:
    """When an answer was made, by the API's clock. Where the clocks are too far apart to be believed, that lies between
    two times, so that nothing is taken for old, or for new, by a clock that is wrong."""

    now: datetime
    earliest: datetime
    """It was made no earlier."""
    latest: datetime
    """It was made no later. This never goes back."""


class ApiClock:
    """The clock of one workspace's API; ours, until an answer has told the time.

    `remembered`: what an answer told before this start; it is no use for telling the time, but for believing another.
    """

    def __init__(self, workspace: str, ours: Callable[[], datetime], remembered: datetime | None = None) -> None:
        self._workspace = workspace
        self._ours = ours
        self._remembered = remembered
        self._last: datetime | None = None
        self._last_at = 0.0  # of the loop's clock
        self._latest: datetime | None = None  # at that time, by whichever answer was ahead of the others
        self._refused: datetime | None = None
        self._refused_at = 0.0
        self._agreeing = 0
        self._reported = False

    def remember(self, told: datetime | None) -> None:
        """An answer told this time, before this start."""
        self._remembered = told

    def now(self) -> datetime:
        """The API's time, as far as it is known."""
        if self._last is None:
            return self._ours()
        return self._last + self._passed(self._last_at)

    def read(self, date: datetime | None) -> ApiTime:
        """The time of an answer that bears this `Date`: that, unless there is none or it can't be a clock's.

        While there is no telling which of two clocks is wrong, the time is the earlier one: nobody is late by it.
        """
        at = self._loop_time()
        passed, is_known = timedelta(seconds=at - self._last_at), self._last is not None
        expected = self._ours() if self._last is None else self._last + passed
        latest = expected if self._latest is None else self._latest + passed
        if date is None:
            return ApiTime(expected, expected, latest)
        if not self._is_a_clock(date, expected):
            self._report(date)
            now = expected if is_known else min(date, expected)
            return ApiTime(now, min(date, expected), latest)
        self._latest = max(date, latest) if is_known else date
        self._last, self._last_at = date, at
        self._refused, self._agreeing, self._reported = None, 0, False
        return ApiTime(date, date, self._latest)

    def _is_a_clock(self, date: datetime, expected: datetime) -> bool:
        last = self._remembered if self._last is None else expected
        if (last is not None and abs(date - last) <= FAR) or abs(date - self._ours()) <= FAR:
            return True
        agrees = self._refused is not None and abs(date - self._refused - self._passed(self._refused_at)) <= FAR
        self._agreeing = self._agreeing + 1 if agrees else 1
        self._refused, self._refused_at = date, self._loop_time()
        return self._agreeing >= AGREEING

    def _report(self, date: datetime) -> None:
        if not self._reported:
            self._reported = True
            log.warning(
                "an answer's Date is no clock, and is left aside", workspace=self._workspace, date=date.isoformat()
            )

    def _passed(self, since: float) -> timedelta:
        return timedelta(seconds=self._loop_time() - since)

    def _loop_time(self) -> float:
        return asyncio.get_running_loop().time()
