"""What an attempt makes of its delivery and of what is known of the receiver. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from notifier.model.delivery import (
    Broken,
    Delivered,
    DeliveryState,
    Message,
    Outcome,
    PendingDelivery,
    ReceiverState,
    Refused,
    Retry,
    Settlement,
    Shown,
)
from notifier.model.times import counted
from notifier.watchlist.models import DeliverySettings

STEPS_ASIDE_AFTER: Final = timedelta(minutes=15)
FAILING_AFTER: Final = timedelta(minutes=5)
LONGEST_REASON: Final = 500  # characters of an outcome kept for `deliveries`
KEEP_ACCEPTED_EVERY: Final = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Known:
    """What one process knows of a receiver. Numbers are seconds of its monotonic clock."""

    state: ReceiverState
    """As the database is to remember it."""
    accepted_at: float | None = None
    """When it took a message last."""
    failed_from: float | None = None
    """The first failed attempt since then."""
    kept_at: float | None = None
    """When the state was news last."""
    is_news: bool = False
    """Whether the last attempt changed the state in a way that the database is told."""

    def after(self, outcome: Outcome, at: datetime, now: float) -> "Known":
        """What is known after an attempt that ended `at` that time by the wall clock, and `now`."""
        failed_from, accepted_at = self.failed_from, self.accepted_at
        if not isinstance(outcome, Delivered):
            failed_from = now if failed_from is None else failed_from
        elif not outcome.unsent:
            failed_from, accepted_at = None, now
        failed_for = timedelta(seconds=now - failed_from) if failed_from is not None else timedelta(0)
        state = learned(self.state, outcome, at, failed_for=failed_for)
        is_news = self._is_news(state, now)
        return Known(state, accepted_at, failed_from, now if is_news else self.kept_at, is_news)

    def _is_news(self, state: ReceiverState, now: float) -> bool:
        """That it accepted one more message is written now and then, all else at once."""
        if replace(state, last_accepted_at=self.state.last_accepted_at) != self.state:
            return True
        return state != self.state and (self.kept_at is None or now - self.kept_at >= KEEP_ACCEPTED_EVERY)


def back_off(attempts: int, settings: DeliverySettings, jitter: float) -> timedelta:
    """Time to wait after the n-th failed attempt: doubling from `first_retry` to `longest_retry`, up to 20 % more."""
    times = 1 << min(attempts - 1, 60)
    if times >= settings.longest_retry / settings.first_retry:  # asked first: the product may be more than a timedelta
        return settings.longest_retry * (1 + 0.2 * jitter)
    return settings.first_retry * times * (1 + 0.2 * jitter)


def settled(
    delivery: PendingDelivery,
    outcome: Outcome,
    settings: DeliverySettings,
    now: datetime,
    jitter: float,
    *,
    age: timedelta,
) -> Settlement:
    """What an outcome makes of a delivery. `age`: for how long it has tried to arrive."""
    attempts = delivery.attempts + 1
    state, reason, next_attempt_at = DeliveryState.PENDING, None, None
    first_failed_at = delivery.first_failed_at
    maybe_sent_at = None
    match outcome:
        case Delivered():
            state, reason = DeliveryState.DELIVERED, outcome.caveat
        case Refused():
            state, reason = DeliveryState.DEAD, outcome.reason
        case Broken():
            # It waits for the receiver, however long that takes: only a person can mend it.
            reason, next_attempt_at = outcome.reason, now
            maybe_sent_at = delivery.maybe_sent_at if outcome.maybe_sent else None
        case Retry():
            reason = outcome.reason
            maybe_sent_at = delivery.maybe_sent_at if outcome.maybe_sent else None
            first_failed_at = first_failed_at or now
            if age >= settings.give_up_after:
                state = DeliveryState.DEAD
                reason = f"given up after {counted(attempts, 'attempt')}: {reason}"
            else:
                next_attempt_at = now + (outcome.after or back_off(attempts, settings, jitter))
    return Settlement(
        delivery_id=delivery.id,
        state=state,
        attempts=attempts,
        settled_at=now,
        next_attempt_at=next_attempt_at,
        first_failed_at=first_failed_at,
        aside=delivery.aside,
        last_error=reason[:LONGEST_REASON] if reason else None,
        maybe_sent_at=maybe_sent_at,
    )


def left_by(delivery: PendingDelivery, settlement: Settlement) -> PendingDelivery:
    """The delivery as it is after an attempt that was settled so."""
    return replace(
        delivery,
        attempts=settlement.attempts,
        first_failed_at=settlement.first_failed_at,
        maybe_sent_at=settlement.maybe_sent_at,
        next_attempt_at=settlement.next_attempt_at or delivery.next_attempt_at,
    )


def hold_of(outcome: Outcome) -> timedelta | None:
    """How long the receiver asked to be left alone, whatever else it said."""
    match outcome:
        case Delivered() | Refused():
            return outcome.hold
        case Broken() | Retry():
            return outcome.after


def learned(state: ReceiverState, outcome: Outcome, now: datetime, *, failed_for: timedelta) -> ReceiverState:
    """The receiver's state after an attempt: its hold, whether it works, what its sender wants remembered.

    `failed_for`: how long ago the first attempt was of those that have failed in a row, up to this one.
    """
    hold = hold_of(outcome)
    if hold is not None and not (isinstance(outcome, Retry) and not outcome.for_all):
        state = replace(state, hold_until=now + hold)
    match outcome:
        case Delivered():
            note = outcome.note or state.note
            if outcome.unsent:
                return replace(state, note=note)
            return replace(
                state,
                broken_since=None,
                last_error=None,
                failed_since=None,
                failing=False,
                last_accepted_at=now,
                note=note,
            )
        case Broken():
            state = replace(state, broken_since=state.broken_since or now, last_error=outcome.reason)
        case Retry() | Refused():
            pass
    failing = state.failing or failed_for >= FAILING_AFTER
    state = replace(state, failed_since=state.failed_since or now, failing=failing)
    if failing and state.broken_since is None:
        state = replace(state, last_error=outcome.reason[:LONGEST_REASON])
    return state


def shown_after(receiver: str, message: Message | None, outcome: Outcome, at: datetime) -> Shown | None:
    """Where the message's story stands at the receiver, if the outcome says so."""
    story = message.story if message is not None else None
    if story is None or not isinstance(outcome, Delivered) or outcome.posted is None:
        return None
    taken = (story.run_story,) if story.run_story is not None else ()
    return Shown(receiver, story.name, outcome.posted, at, taken)


def may_step_aside(delivery: PendingDelivery, failed_for: timedelta, *, accepted_since: bool) -> bool:
    """Whether it has failed for 15 minutes while its receiver accepted others: its followers need not wait longer."""
    return (
        not delivery.aside
        and delivery.first_failed_at is not None
        and failed_for >= STEPS_ASIDE_AFTER
        and accepted_since
    )


def stepped_aside(delivery: PendingDelivery, now: datetime) -> Settlement:
    """What the database is told when a delivery steps aside: no attempt was made."""
    return Settlement(
        delivery_id=delivery.id,
        state=DeliveryState.PENDING,
        attempts=delivery.attempts,
        settled_at=now,
        next_attempt_at=delivery.next_attempt_at,
        first_failed_at=delivery.first_failed_at,
        aside=True,
        last_error="stepped aside after failing for 15 minutes",
        maybe_sent_at=delivery.maybe_sent_at,
    )
