"""What a good watchlist says that its author may not have meant. Pure."""

from typing import Final

from notifier.judging.route import Subject, is_any, is_for_workspaces, matches, receivers_of
from notifier.model.event import EventType
from notifier.model.incident import Check
from notifier.watchlist.models import SlackReceiver, SlackWebhookReceiver, Watch, Watchlist

QUIET: Final = 10  # syncs whose every start a channel can bear
LONG_ENOUGH: Final = 16  # characters
NOISE: Final = (EventType.QUEUED, EventType.WORKING)


def noisy_receivers(watchlist: Watchlist, many: int = QUIET + 1) -> tuple[str, ...]:
    """Slack receivers that get `queued` or `working` of more than 10 syncs.

    A watch of all syncs, or of some by their label, counts as `many`: how many there are only the API knows.
    """
    slack = {
        name for name, kind in watchlist.receivers.items() if isinstance(kind, SlackReceiver | SlackWebhookReceiver)
    }
    counts = dict.fromkeys(slack, 0)
    for watch in watchlist.watches:
        weight = _weight(watch, many)
        for name in slack & _receivers(watchlist, watch):
            counts[name] += weight
    return tuple(name for name in watchlist.receivers if counts.get(name, 0) > QUIET)


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


def dead_routes(watchlist: Watchlist) -> tuple[int, ...]:
    """Places, from 0, of routes that no event can take: they name checks, and no event of an incident."""
    of_incidents = [kind for kind in EventType if kind.startswith("incident.")]
    return tuple(
        place
        for place, route in enumerate(watchlist.routes or ())
        if route.checks and not any(is_any(kind, route.events or ("*",)) for kind in of_incidents)
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
