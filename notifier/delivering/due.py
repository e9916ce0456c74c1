"""What one receiver's queue may do now, and when there is more to do. Pure bookkeeping: no clock, no I/O.

Times are seconds of one monotonic clock; `now` is given.
"""

from typing import Final

from notifier.delivering.lanes import Lane, Lanes
from notifier.model.delivery import Delivered, Outcome, ReceiverState

PROBE_EVERY: Final = 300.0  # how often a broken receiver is tried
ASIDE_EVERY: Final = 5.0
LOOK_EVERY: Final = 60.0  # bounds what a call that was lost can cost
FAULT_PAUSE: Final = 60.0  # how long the queue rests after a fault of ours, which may come again
STORE_RETRY: Final = 1.0


class Due:
    """Which of the lanes may begin an attempt, of which `concurrency` may be under way together."""

    def __init__(self, lanes: Lanes, concurrency: int) -> None:
        self._lanes = lanes
        self._concurrency = concurrency
        self._probe_at = 0.0  # a broken receiver is tried at start
        self._look_at = 0.0
        self._look_aside_at = 0.0
        self._rests_until = 0.0

    # --- sending ---

    def take(self, now: float, *, opens_at: float, is_broken: bool) -> Lane | None:
        """A lane whose delivery may be sent now; it is under way from then on. `opens_at`: when the receiver's
        turnstile lets it through. A broken receiver is tried with one at a time."""
        if self._lanes.flying >= self._concurrency or now < opens_at:
            return None
        if not is_broken:
            return self._lanes.take()
        if self._lanes.flying or now < self._probe_at:
            return None
        lane = self._lanes.take_another()
        if lane is not None:
            self._probe_at = now + PROBE_EVERY
        return lane

    def probe(self, at: float) -> None:
        """A broken receiver may be tried then, if not before."""
        self._probe_at = min(self._probe_at, at)

    def learned(self, lane: Lane, outcome: Outcome, old: ReceiverState, new: ReceiverState, now: float) -> None:
        """What an attempt of a lane made of the receiver's state."""
        if old.broken_since is None and new.broken_since is not None:
            self._lanes.broke_with(lane)
            self._probe_at = now + PROBE_EVERY
        if old.broken_since is not None and isinstance(outcome, Delivered) and outcome.unsent:
            self.probe(now)  # that was no trial: with another
        if old.broken_since is not None and new.broken_since is None:
            self._lanes.wake_all()

    # --- reading ---

    def due_to_read(self, now: float) -> bool:
        """Whether it is time to read what is pending though nobody said that there is more. A yes counts as done."""
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_EVERY
        return True

    def due_to_look_aside(self, now: float) -> bool:
        """Whether it is time to look at what has failed for long. A yes counts as done."""
        if now < self._look_aside_at:
            return False
        self._look_aside_at = now + ASIDE_EVERY
        return True

    # --- waiting ---

    def rest(self, now: float) -> float:
        """There was a fault of ours: seconds to rest."""
        self._rests_until = now + FAULT_PAUSE
        return FAULT_PAUSE

    def rest_left(self, now: float) -> float:
        """Seconds that are left of such a rest."""
        return max(self._rests_until - now, 0.0)

    def patience(self, now: float, *, opens_at: float, is_broken: bool, store_works: bool) -> float:
        """Seconds until there may be something to do though nobody called."""
        until_look = max(self._look_at - now, 0)
        own = self._patience(now, opens_at, is_broken=is_broken, store_works=store_works)
        return until_look if own is None else min(own, until_look)

    def _patience(self, now: float, opens_at: float, *, is_broken: bool, store_works: bool) -> float | None:
        """As far as the deliveries go that are in memory; None where only a call brings more to do."""
        if not len(self._lanes):
            return None
        if not store_works:
            return STORE_RETRY
        if is_broken:
            return max(self._probe_at - now, opens_at - now, 0) if not self._lanes.flying else None
        times = [opens_at] if opens_at > now else []
        due = self._lanes.next_due()
        if due is not None:
            times.append(max(due, opens_at))
        if self._lanes.any_failing:
            times.append(self._look_aside_at)
        return max(min(times) - now, 0) if times else None
