"""What the log says at a start and at a reload: what is in force, and what of it may not be meant or does not work."""

import structlog

import notifier
from notifier.judging.advice import dead_routes, deaf_workspaces, noisy_receivers, passed_over_routes, short_secrets
from notifier.service.worker import Worker
from notifier.watchlist.models import Watchlist

log = structlog.get_logger(__name__)


async def log_start(worker: Worker, listen: str | None) -> None:
    """`listen`: where the server listens, if there is one."""
    database = str(worker.store.path)
    figures = _figures(worker.watchlist)
    log.info("notifier started", version=notifier.__version__, **figures, database=database, listen=listen)
    _warn(worker.watchlist)
    await _recall_what_is_broken(worker)


def log_reload(watchlist: Watchlist) -> None:
    log.info("watchlist reloaded", **_figures(watchlist))
    _warn(watchlist)


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
