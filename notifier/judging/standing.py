"""What a sync's incidents come to where no run decides: it is paused, it can't be read, a check is off. Pure."""

from collections.abc import Container
from dataclasses import replace
from datetime import datetime, timedelta

from notifier.judging.checks import Scene, Step, SyncState, good_since
from notifier.model.identity import Id
from notifier.model.incident import Check, Reason
from notifier.model.measure import NotRead
from notifier.model.sync import Standing, Sync
from notifier.watchlist.checks import ChecksInForce


def standing_after(old: Standing, sync: Sync, listed_at: datetime) -> Standing:
    """What is known of a sync once a listing showed it. Time in which no run was due is held against no sync."""
    begins_to_be_due = (old.paused and not sync.paused) or (old.scheduled is False and sync.scheduled)
    return Standing(sync.paused, sync.scheduled, listed_at if begins_to_be_due else old.stale_from)


def counted_from(state: SyncState, now: datetime) -> Standing:
    """What is known of a sync once it is asked for how long no run completed: at the least, since now."""
    return state.standing if good_since(state) is not None else replace(state.standing, stale_from=now)


def next_due_at(checks: ChecksInForce, state: SyncState) -> datetime | None:
    """When the time itself opens an incident of a sync that has no run under way; None: never, as far as is known."""
    since = good_since(state)
    rests = state.standing.paused or state.standing.scheduled is False
    return since + checks.stale.after if checks.stale is not None and since is not None and not rests else None


def resting_checks(sync: Sync) -> tuple[Check, ...]:
    """The checks that say nothing of a sync while it is paused, or has no schedule."""
    if sync.paused:
        return (Check.SLOW_RUN, Check.STALE)
    return () if sync.scheduled else (Check.STALE,)


def turned_off(state: SyncState, checks: ChecksInForce) -> tuple[Check, ...]:
    """The checks of open incidents that are no longer on."""
    return tuple(check for check in state.open if getattr(checks, check.value) is None)


def out_of_sight(state: SyncState, followed: Container[Id | None], scene: Scene) -> tuple[Step, ...]:
    """The run that took too long is no longer `followed`: nobody will see it end."""
    incident = state.open.get(Check.SLOW_RUN)
    if incident is None or incident.last_run_id in followed:
        return ()
    return (scene.resolved(incident, Reason.UNWATCHED),)


def unreadable(
    checks: ChecksInForce, state: SyncState, lasted: timedelta | None, run_id: Id | None, error: str, scene: Scene
) -> tuple[Step, ...]:
    """The incident of a sync that can't be read, or one of whose runs (`run_id`) can't, once that has lasted too long.
    `error`: why it can't."""
    settings = checks.unreadable
    if settings is None or lasted is None or lasted < settings.after or Check.UNREADABLE in state.open:
        return ()
    return (scene.opened(Check.UNREADABLE, measure=NotRead(settings.after, error, run_id)),)


def readable(state: SyncState, scene: Scene) -> tuple[Step, ...]:
    """The sync can be read: the incident that it could not is over."""
    incident = state.open.get(Check.UNREADABLE)
    return (scene.resolved(incident, Reason.RECOVERED),) if incident is not None else ()
