"""When a delivery is tried again, and when it is given up. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from notifier.model.delivery import (
    Broken,
    Delivered,
    DeliveryState,
    Outcome,
    PendingDelivery,
    ReceiverState,
    Refused,
    Retry,
    Settlement,
)
from notifier.model.times import counted
from notifier.watchlist.models import DeliverySettings

STEPS_ASIDE_AFTER: Final = timedelta(minutes=15)
FAILING_AFTER: Final = timedelta(minutes=5)
PROBE_INTERVAL: Final = timedelta(minutes=5)
LONGEST_REASON: Final = 500  # characters of an outcome kept for `deliveries`


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
    """What an attempt's outcome makes of its delivery. `age`: how long ago its clock was started."""
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


def hold_of(outcome: Outcome) -> timedelta | None:
    """How long the receiver asked to be left alone, whatever else it said."""
    match outcome:
        case Delivered() | Refused():
            return outcome.hold
        case Broken() | Retry():
            return outcome.after


def learned(state: ReceiverState, outcome: Outcome, now: datetime, *, failed_for: timedelta) -> ReceiverState:
    """The receiver's state after an attempt: its hold, whether it works, what its sender wants remembered.

    `failed_for`: how long ago the first of its attempts was that have failed one after the other, up to this one.
    """
    hold = hold_of(outcome)
    if hold is not None and not (isinstance(outcome, Retry) and not outcome.for_all):
        state = replace(state, hold_until=now + hold)
    match outcome:
        case Delivered():
            note = outcome.note or state.note
            if outcome.unsent:
                return replace(state, note=note)
            works = replace(state, broken_since=None, last_error=None, failed_since=None, failing=False)
            return replace(works, last_accepted_at=now, note=note)
        case Broken():
            state = replace(state, broken_since=state.broken_since or now, last_error=outcome.reason)
        case Retry() | Refused():
            pass
    failing = state.failing or failed_for >= FAILING_AFTER
    state = replace(state, failed_since=state.failed_since or now, failing=failing)
    if failing and state.broken_since is None:
        state = replace(state, last_error=outcome.reason[:LONGEST_REASON])
    return state


def may_step_aside(delivery: PendingDelivery, failed_for: timedelta, *, accepted_since: bool) -> bool:
    """Whether it has failed for 15 minutes while its receiver accepted others: its followers need not wait longer."""
    return (
        not delivery.aside
        and delivery.first_failed_at is not None
        and failed_for >= STEPS_ASIDE_AFTER
        and accepted_since
    )
