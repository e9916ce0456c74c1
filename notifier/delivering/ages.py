"""How old deliveries are and when they are due, though the wall clock, by which that is stored, may jump.

A stored time is translated to the monotonic clock once, when it is first met, and within bounds. Numbers are seconds of
the monotonic clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from notifier.delivering.milestones import Milestones
from notifier.http.client import LONGEST_HOLD
from notifier.model.delivery import PendingDelivery
from notifier.watchlist.models import DeliverySettings

BELIEVED: Final = 0.75
"""How much of `give_up_after` may lie before this process: the wall clock may have jumped while none ran, and each
message is tried for the rest of it in any case."""
PRECISION: Final = 100  # to how much of `give_up_after` a delivery's age is known without the wall clock


@dataclass(frozen=True, slots=True)
class Failed:
    """A delivery that failed and is pending."""

    next_attempt_at: datetime
    """When it is tried again, as stored."""
    due: float
    """The same by the monotonic clock."""
    first_failed_at: datetime | None
    """Since when it fails, as stored; None while it only waits for a broken receiver."""
    since: float | None
    """The same by the monotonic clock."""


class Ages:
    """The ages of one receiver's deliveries. Both clocks are given."""

    def __init__(
        self, settings: DeliverySettings, wall: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._wall = wall
        self._monotonic = monotonic
        self._began = monotonic()
        self._milestones = Milestones(settings.give_up_after / PRECISION, settings.give_up_after)
        self._failed: dict[int, Failed] = {}
        self._revived: dict[int, tuple[datetime, float]] = {}

    def saw(self, number: int, at: float) -> None:
        """At that time the newest delivery had this number."""
        self._milestones.saw(number, at)

    def past(self, at: datetime | None) -> float | None:
        """A stored time of the past on the monotonic clock."""
        return None if at is None else self._monotonic() - max((self._wall() - at).total_seconds(), 0)

    def failure(self, delivery: PendingDelivery) -> Failed:
        """When a delivery that has failed is tried again, and since when it fails.

        What another process decided can't make it wait longer than it ever would.
        """
        known = self._failed.get(delivery.id)
        stored = delivery.next_attempt_at, delivery.first_failed_at
        if known is None or (known.next_attempt_at, known.first_failed_at) != stored:
            longest = max(self._settings.longest_retry * 1.2, LONGEST_HOLD)
            wait = min(delivery.next_attempt_at - self._wall(), longest)
            same = known is not None and known.first_failed_at == delivery.first_failed_at
            since = known.since if known is not None and same else self.past(delivery.first_failed_at)
            due = self._monotonic() + wait.total_seconds()
            known = self._failed[delivery.id] = Failed(delivery.next_attempt_at, due, delivery.first_failed_at, since)
        return known

    def has_failed(self, delivery: PendingDelivery, wait: timedelta, since: float | None) -> float:
        """It failed, and is tried again after so long: says when that is. `since`: when it failed first, if it had
        failed before."""
        now = self._monotonic()
        if since is None and delivery.first_failed_at is not None:
            since = now
        due = now + wait.total_seconds()
        self._failed[delivery.id] = Failed(delivery.next_attempt_at, due, delivery.first_failed_at, since)
        return due

    def finished(self, delivery_id: int) -> None:
        """It is delivered or dead: what is known of it can be forgotten."""
        self._failed.pop(delivery_id, None)
        self._revived.pop(delivery_id, None)

    def meet(self, delivery: PendingDelivery) -> None:
        """It was read from the database. If a command has started its clock anew, its age counts from about now."""
        if delivery.clock_started_at != delivery.created_at:
            self._revived_at(delivery)

    def _revived_at(self, delivery: PendingDelivery) -> float:
        at, since = self._revived.get(delivery.id, (None, 0.0))
        if at != delivery.clock_started_at:
            most = (self._settings.give_up_after * BELIEVED).total_seconds()
            ago = min(max((self._wall() - delivery.clock_started_at).total_seconds(), 0), most)
            since = self._monotonic() - ago
            self._revived[delivery.id] = delivery.clock_started_at, since
        return since

    def of(self, delivery: PendingDelivery) -> timedelta:
        """How long it has had to arrive: by the wall clock, within the bounds of what this process has seen."""
        now = self._monotonic()
        if delivery.clock_started_at != delivery.created_at:
            return timedelta(seconds=now - self._revived_at(delivery))
        least, most = self._milestones.bounds(delivery.id, now)
        if most is None:
            most = timedelta(seconds=now - self._began) + self._settings.give_up_after * BELIEVED
        return max(least, min(self._wall() - delivery.clock_started_at, most))
