"""How often to ask: intervals, the factor that stretches them, and the wait after failures. Pure.

All times here are seconds of one monotonic clock.
"""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil, floor
from typing import Final

TICK: Final = 0.25  # seconds: what is due within it begins together, for most of what a poll costs is waking up for it
FEWEST_TICKS: Final = 8  # in an interval, so that a short one is not polled in two or three heaps
ROUNDING: Final = 1e-6  # of a tick
GOLDEN: Final = 0.6180339887498949  # multiples of it, modulo 1, spread evenly however many there are
LONGEST_BACK_OFF: Final = 300.0
FIRST_BACK_OFF: Final = 1.0
SELDOM: Final = 10  # intervals at rest between two polls of a sync whose changes the list of syncs announces
LISTINGS: Final = 10  # polls at rest between two listings of the workspace...
LONGEST_LISTING_INTERVAL: Final = 240.0  # ...but new syncs are picked up within five minutes


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often the targets of one workspace are polled."""

    rest: float
    """Seconds between two polls of a target at rest, as the watchlist asks for."""
    active: float
    """The same for a target that has a run under way."""
    stretch: float = 1.0
    """The factor that keeps all intervals within the request budget."""


def phase(number: int) -> float:
    """The place of the n-th poller in the interval, from 0 to 1."""
    return (number * GOLDEN) % 1.0


def next_poll(now: float, number: int, intervals: Intervals, *, active: bool, seldom: bool = False) -> float:
    """When to poll again after a poll that was due, or ended, at `now`: at the next place of the n-th poller.

    That is never later than one interval from now. Syncs that became active together are spread over the interval too.
    Places are ticks: an interval has a whole number of them, so that none is polled a moment sooner or later than it
    asks for, and those of intervals of whole ticks fall together, in whatever workspace.
    """
    interval = (intervals.active if active else intervals.rest * (SELDOM if seldom else 1)) * intervals.stretch
    ticks = max(ceil(interval / TICK - ROUNDING), FEWEST_TICKS)
    place = floor(phase(number) * ticks) * interval / ticks
    turn = floor((now - place) / interval) + 1
    due = place + turn * interval
    return due if due > now else due + interval


def back_off(failures: int, jitter: float) -> float:
    """Seconds to wait after the n-th failure in a row: 1, 2, 4 ... 300, and up to 20 % more (`jitter` from 0 to 1)."""
    return min(FIRST_BACK_OFF * 2.0 ** min(failures - 1, 20), LONGEST_BACK_OFF) * (1 + 0.2 * jitter)


def listing_interval(rest: timedelta) -> float:
    """Seconds between two listings of a workspace."""
    return min(LISTINGS * rest.total_seconds(), LONGEST_LISTING_INTERVAL)


def announced_listing_interval(active: float, pages: int, allowed: float) -> float:
    """Seconds between two listings that are relied on: as between two polls of what is active, but never so that they
    take more than half of the `allowed` requests a second."""
    return max(active, 2 * pages / allowed)


def demand(*, resting: int, seldom: int, active: int, outside: int, intervals: Intervals) -> float:
    """Requests a second that the intervals need unstretched; `outside` counts runs that are fetched one by one."""
    return (resting + seldom / SELDOM) / intervals.rest + (active + outside) / intervals.active


def stretch(polls: float, listings: float, allowed: float) -> float:
    """The factor for all intervals: 1 while the budget is enough, and else in steps of 5 %, so that it is not reckoned
    anew for every change.

    The arguments are requests a second. Listings are not stretched, so that new syncs are picked up in time; but they
    never take more than half of the budget from the polls.
    """
    left = max(allowed - listings, allowed / 2)
    return max(1.0, ceil(polls / left * 20) / 20)
