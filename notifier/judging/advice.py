"""What a watchlist would do that its author may not have meant. Pure.

It floods a channel, has routes and watches without effect, secrets that others could guess, or a version of the API
that ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Final
from urllib.parse import urlsplit

from notifier.judging.route import Subject, is_any, is_for_workspaces, matches, receivers_of
from notifier.model.api_version import RETIRES_ON, ApiVersion
from notifier.model.event import EventType
from notifier.model.identity import Id
from notifier.model.incident import Check
from notifier.watchlist.checks import ChecksInForce
from notifier.watchlist.covers import Coverage, covers, watches_of
from notifier.watchlist.models import Watch, Watchlist

QUIET: Final = 10  # syncs whose every start a channel can bear
LONG_ENOUGH: Final = 16  # characters
NOISE: Final = (EventType.QUEUED, EventType.WORKING)
_OF_INCIDENTS: Final = tuple(kind for kind in EventType if kind.startswith("incident."))
_OF_SYNCS: Final = tuple(check for check in Check if check is not Check.UNREACHABLE)  # which is the workspace's
_Kind = tuple[EventType, Check | None]

# --- what the watchlist alone shows ---


def noisy_receivers(watchlist: Watchlist, many: int = QUIET + 1) -> tuple[str, ...]:
    """Receivers of which people read every start, and that get `queued` or `working` of more than 10 syncs.

    A watch of all syncs, or of some by their label, counts as `many`: how many there are only the API knows.
    """
    counts = {name: 0 for name, settings in watchlist.receivers.items() if settings.shows_every_start}
    for watch in watchlist.watches:
        weight = _weight(watch, many)
        for name in counts.keys() & _receivers(watchlist, watch):
            counts[name] += weight
    return tuple(name for name in watchlist.receivers if counts.get(name, 0) > QUIET)


def _weight(watch: Watch, many: int) -> int:
    if watch.sync_run is not None:
        return 0
    return 1 if watch.sync is not None else many


def _receivers(watchlist: Watchlist, watch: Watch) -> set[str]:
    names: set[str] = set()
    for kind in NOISE:
        subject = Subject(kind, watch.workspace, watch.sync or 0, None, watch.labels)
        names.update(receivers_of(subject, watchlist.routes, list(watchlist.receivers)))
    return names


def deaf_workspaces(watchlist: Watchlist) -> tuple[str, ...]:
    """Workspaces that are to take webhooks of Census, where no server listens for them."""
    if watchlist.server.address is not None:
        return ()
    return tuple(name for name, settings in watchlist.workspaces.items() if settings.lifecycle_webhook is not None)


def short_secrets(watchlist: Watchlist) -> tuple[str, ...]:
    """Places of secrets that others could guess, since strangers may try them: they have less than 16 characters."""
    given = {"server.token": watchlist.server.token} | {
        f"workspaces.{name}.lifecycle_webhook.secret": settings.lifecycle_webhook.secret
        for name, settings in watchlist.workspaces.items()
        if settings.lifecycle_webhook is not None
    }
    return tuple(
        place for place, secret in given.items() if secret is not None and len(secret.get_secret_value()) < LONG_ENOUGH
    )


def ending_workspaces(watchlist: Watchlist) -> dict[str, date]:
    """Workspaces that use a version of the API with an announced end, and which is the first day without it."""
    return {
        name: RETIRES_ON[settings.api] for name, settings in watchlist.workspaces.items() if settings.api in RETIRES_ON
    }


def misplaced_workspaces(watchlist: Watchlist) -> dict[str, ApiVersion]:
    """Workspaces whose `base_url` ends with the name of another version than the one in use, which it should name."""
    return {
        name: settings.api
        for name, settings in watchlist.workspaces.items()
        if settings.base_url is not None and _last_part(settings.base_url) in {*ApiVersion} - {settings.api}
    }


def _last_part(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]


def dead_routes(watchlist: Watchlist) -> tuple[int, ...]:
    """Places, from 0, of routes that no event can take: they name checks, and no event of an incident."""
    return tuple(
        place
        for place, route in enumerate(watchlist.routes or ())
        if route.checks and not any(is_any(kind, route.events or ("*",)) for kind in _OF_INCIDENTS)
    )


def passed_over_routes(watchlist: Watchlist) -> tuple[int, ...]:
    """Places, from 0, of routes that ask for nothing but incidents of workspaces, and for some syncs: where a route
    without such a condition takes those incidents, no other gets any."""
    routes = watchlist.routes or ()
    served = {
        name
        for name in watchlist.workspaces
        for route in routes
        if is_for_workspaces(route)
        and matches(route, Subject(EventType.INCIDENT_OPENED, name, None, None, {}, Check.UNREACHABLE))
    }
    return tuple(
        place
        for place, route in enumerate(routes)
        if route.checks
        and set(route.checks) == {Check.UNREACHABLE}
        and not is_for_workspaces(route)
        and served.issuperset(route.workspaces or watchlist.workspaces)
    )


# --- what the syncs of a workspace show beside it ---


def idle_watches(watchlist: Watchlist, workspace: str, labels_of_syncs: Mapping[Id, str | None]) -> tuple[int, ...]:
    """Places in the watchlist of watches of syncs that match none of these."""
    return tuple(
        place
        for place, watch in enumerate(watchlist.watches)
        if watch.workspace == workspace
        and watch.sync_run is None
        and not any(covers(watch, sync_id, label) for sync_id, label in labels_of_syncs.items())
    )


def unserved_syncs(watchlist: Watchlist, workspace: str, labels_of_syncs: Mapping[Id, str | None]) -> tuple[Id, ...]:
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
