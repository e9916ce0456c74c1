"""Since when something has given no usable answer: a workspace's polls, its listing, one of its syncs."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta


class Silence:
    """One silence, or none.

    It lasts by the loop's clock, which does not jump. `since` is when it began by ours, for the database; what that
    remembers from before a start counts once a request has failed after it.
    """

    def __init__(self, clock: Callable[[], datetime], remembered: datetime | None = None) -> None:
        self._clock = clock
        self._remembered = remembered
        self._began_at: float | None = None
        self.since: datetime | None = None

    @property
    def lasted(self) -> timedelta | None:
        """How long it has been silent; None while it is not, as far as is known since the start."""
        if self._began_at is None:
            return None
        return timedelta(seconds=asyncio.get_running_loop().time() - self._began_at)

    def fails(self, begun: float | None = None) -> None:
        """A request failed that began then, by the loop's clock; just now by default."""
        if self._began_at is not None:
            return
        loop_now, now = asyncio.get_running_loop().time(), self._clock()
        self._began_at = loop_now if begun is None else begun
        self.since = now - timedelta(seconds=loop_now - self._began_at)
        if self._remembered is not None and self._remembered <= self.since:  # else it is of another clock
            self._began_at -= (self.since - self._remembered).total_seconds()
            self.since = self._remembered

    def ends(self) -> None:
        """There was a usable answer."""
        self._began_at = self._remembered = self.since = None

    def begins_no_earlier_than(self, moment: float) -> None:
        """What lies before that, by the loop's clock, does not count: nobody could have read it."""
        if self._began_at is not None and self._began_at < moment:
            self.since = self._clock() - timedelta(seconds=asyncio.get_running_loop().time() - moment)
            self._began_at = moment

    def was_not_seen_for(self, seconds: float) -> None:
        """The process stood still that long: what nobody asked did not fail to answer."""
        if self._began_at is not None:
            self.begins_no_earlier_than(self._began_at + seconds)
