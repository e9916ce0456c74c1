"""What the log says at a start and at a reload: what is in force, and what of it may not be meant or does not work."""

from collections.abc import Collection, Mapping
from datetime import date

import structlog

import notifier
from notifier.judging.advice import dead_routes, deaf_workspaces, noisy_receivers, passed_over_routes, short_secrets
from notifier.model.api_version import REMEDY, days_left, retires_on
from notifier.model.part import workspace_part
from notifier.service.worker import Worker
from notifier.watchlist.database import ServerUrl
from notifier.watchlist.models import Watchlist, Workspace

log = structlog.get_logger(__name__)


def log_start(watchlist: Watchlist, listen: str | None) -> None:
    """`listen`: where the server listens, if there is one."""
    database = str(watchlist.database_place)
    figures = _figures(watchlist)
    log.info("notifier started", version=notifier.__version__, **figures, database=database, listen=listen)


async def log_work(worker: Worker, today: date) -> None:
    """What whoever began the work with this worker should know. Where there may be several, what ends is said by
    `log_endings_of`."""
    _warn(worker.watchlist)
    if not worker.store.seat.is_shared:
        log_endings(worker.watchlist.workspaces, today)
    await _recall_what_is_broken(worker)


def log_reload(watchlist: Watchlist, before: Watchlist, today: date) -> None:
    """`before`: the watchlist that was in force. Of a workspace that stays as it was, it is not told anew what ends;
    where there may be several workers, `log_endings_of` says it."""
    log.info("watchlist reloaded", **_figures(watchlist))
    _warn(watchlist)
    if isinstance(watchlist.database_place, ServerUrl):
        return
    brought = {name: each for name, each in watchlist.workspaces.items() if before.workspaces.get(name) != each}
    log_endings(brought, today)


def log_endings_of(worker: Worker, parts: Collection[str], today: date) -> None:
    """Warns of the workspaces among parts that are this worker's now, of each once in the life of the process as long
    as it stays as it is: of several workers the one says it that reads the workspace."""
    warned = worker.resources.warned
    ours = {name: each for name, each in worker.watchlist.workspaces.items() if workspace_part(name) in parts}
    log_endings({name: each for name, each in ours.items() if warned.get(name) != each}, today)
    warned.update(ours)


def log_endings(workspaces: Mapping[str, Workspace], today: date) -> None:
    """Warns of each workspace that is read by a version of the API whose end is announced."""
    for name, settings in workspaces.items():
        if (end := retires_on(settings.api)) is not None:
            log.warning(
                "a workspace is read by a version of the Census API that Census ends",
                workspace=name,
                api=settings.api.value,
                retires_on=end.isoformat(),
                days_left=days_left(end, today),
                remedy=REMEDY,
            )


def _figures(watchlist: Watchlist) -> dict[str, int]:
    return {"watches": len(watchlist.watches), "receivers": len(watchlist.receivers)}


def _warn(watchlist: Watchlist) -> None:
    for name in noisy_receivers(watchlist):
        log.warning(
            "a Slack receiver would get queued or working of more than 10 syncs; name its events in a route",
            receiver=name,
        )
    for name in deaf_workspaces(watchlist):
        log.warning("a workspace has a lifecycle_webhook, and no server to take it; set server.listen", workspace=name)
    for secret in short_secrets(watchlist):
        log.warning("a secret that strangers may try has less than 16 characters; take a longer one", secret=secret)
    for place in dead_routes(watchlist):
        log.warning(
            "a route names checks but no event of an incident, so that it never applies", route=f"routes[{place}]"
        )
    for place in passed_over_routes(watchlist):
        log.warning(
            "a route never applies: incidents of a workspace go to routes without syncs and labels, which there are",
            route=f"routes[{place}]",
        )


async def _recall_what_is_broken(worker: Worker) -> None:
    """What broke before this start was told when it broke, and is not told again. Whoever restarts sees it here."""
    for watcher in worker.watchers:
        if not watcher.health.state.ok:
            log.warning(
                "workspace could not be read before this start",
                workspace=watcher.name,
                error=watcher.health.state.last_error,
            )
    for name, state in (await worker.store.delivering.receivers()).items():
        if state.broken_since is not None:
            log.warning("receiver was broken before this start", receiver=name, error=state.last_error)
        elif state.failing:
            log.warning("receiver took nothing before this start", receiver=name, error=state.last_error)
