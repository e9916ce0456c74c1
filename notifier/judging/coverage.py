"""What a watchlist would do with a workspace's syncs: watches that match nothing, syncs that no route serves. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from notifier.judging.route import Subject, receivers_of
from notifier.model.event import EventType
from notifier.model.incident import Check
from notifier.watchlist.checks import ChecksInForce
from notifier.watchlist.covers import Coverage, covers, watches_of
from notifier.watchlist.models import Watch, Watchlist

_OF_INCIDENTS: Final = tuple(kind for kind in EventType if kind.startswith("incident."))
_OF_SYNCS: Final = tuple(check for check in Check if check is not Check.UNREACHABLE)  # which is the workspace's
_Kind = tuple[EventType, Check | None]


def idle_watches(watchlist: Watchlist, workspace: str, labels_of_syncs: Mapping[int, str | None]) -> tuple[int, ...]:
    """Places in the watchlist of watches of syncs that match none of these."""
    return tuple(
        place
        for place, watch in enumerate(watchlist.watches)
        if watch.workspace == workspace
        and watch.sync_run is None
        and not any(covers(watch, sync_id, label) for sync_id, label in labels_of_syncs.items())
    )


def unserved_syncs(watchlist: Watchlist, workspace: str, labels_of_syncs: Mapping[int, str | None]) -> tuple[int, ...]:
    """Watched syncs none of whose events would go anywhere."""
    if watchlist.routes is None:
        return ()
    watches = watches_of(workspace, watchlist.watches)
    coverage = Coverage(watches)
    kinds: dict[tuple[int, ...], tuple[_Kind, ...]] = {}  # of thousands of syncs with the same few watches
    unserved = []
    for sync_id, labels in coverage.labels_of(labels_of_syncs).items():
        label = labels_of_syncs[sync_id]
        found = coverage.places(sync_id, label)
        if found not in kinds:
            kinds[found] = tuple(_kinds(watchlist, [watches[place] for place in found]))
        subjects = (Subject(kind, workspace, sync_id, label, labels, check) for kind, check in kinds[found])
        if not any(receivers_of(subject, watchlist.routes, tuple(watchlist.receivers)) for subject in subjects):
            unserved.append(sync_id)
    return tuple(unserved)


def _kinds(watchlist: Watchlist, watches: Sequence[Watch]) -> Iterator[_Kind]:
    """The events that a sync may have. Those of an incident bear its check, if that is on."""
    yield from ((kind, None) for kind in EventType if kind not in _OF_INCIDENTS)
    in_force = ChecksInForce.of(watchlist.checks, [watch.checks for watch in watches])
    on = [check for check in _OF_SYNCS if getattr(in_force, check) is not None]
    yield from ((kind, check) for check in on for kind in _OF_INCIDENTS if _may_happen(kind, in_force))


def _may_happen(kind: EventType, checks: ChecksInForce) -> bool:
    return kind is not EventType.INCIDENT_REMINDER or checks.reminders is not None
