"""What a worker is while it has no place at its database that it can trust: alive, ready, showing what all can see."""

import asyncio
import os
from collections.abc import Callable

from notifier.census.lifecycle import is_signed
from notifier.model.delivery import Backlog
from notifier.model.errors import StoreUnavailable
from notifier.model.part import workspace_part
from notifier.service.liveness import Liveness
from notifier.service.metrics import SharedGauges, Sources
from notifier.service.parts import parts_of
from notifier.service.resources import Resources
from notifier.service.systemd import Systemd
from notifier.watchlist.models import Watchlist
from notifier.web.worker import WorkerFacts, not_polled


class Elsewhere:
    """The inbox of a workspace that another worker watches: Census is asked to send the webhook again."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def is_signed(self, body: bytes, signature: bytes | None) -> bool:
        return is_signed(self._secret, body, signature)

    async def take(self, body: bytes) -> None:
        raise StoreUnavailable("another worker watches this workspace")


def liveness_standing_by(resources: Resources) -> Liveness:
    """Without a heartbeat: that all is well is for the worker to say that does the work."""
    return Liveness(resources.store, (), Systemd.of(os.environ, os.getpid()), None, stands_by=True)


def facts_standing_by(
    resources: Resources, watchlist: Watchlist, liveness: Liveness, not_in_force: Callable[[], str | None]
) -> WorkerFacts:
    """What the server knows while another does the work."""
    hooks = {name: each.lifecycle_webhook for name, each in watchlist.workspaces.items()}

    def not_ready() -> str | None:
        seat = resources.store.seat
        if seat.is_overtaken:  # else an upgrade of all, one after the other, would wait for this one for ever
            return seat.ailment
        if seat.stands_aside:
            return "the database is not brought to this version's schema yet"
        return not_polled([name for name in watchlist.workspaces if workspace_part(name) not in seat.elsewhere])

    async def exposition() -> tuple[bytes, str]:
        # Where nobody has a place, as while the database is away, this is all that says that nobody works.
        shared = SharedGauges((), None, parts_of(watchlist))
        await resources.metrics.refresh(Sources(dict, dict, _no_backlog, lambda: shared))
        return await asyncio.to_thread(resources.metrics.exposition)

    return WorkerFacts(
        database=resources.store.place,
        workspaces=watchlist.workspaces,
        watches=watchlist.watches,
        receivers=tuple(watchlist.receivers),
        ailment=liveness.ailment,
        not_ready=not_ready,
        not_in_force=not_in_force,
        listed=tuple,
        watched=tuple,
        elsewhere=lambda: frozenset(watchlist.workspaces),
        inboxes={name: Elsewhere(hook.secret.get_secret_value()) for name, hook in hooks.items() if hook is not None},
        exposition=exposition,
        token_refused=resources.metrics.token_refused,
    )


async def _no_backlog() -> Backlog:
    """Gauges of the database come from the worker that does the work, or their sum would be wrong."""
    return Backlog({}, {}, {}, {})
