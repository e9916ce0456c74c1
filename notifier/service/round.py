"""`run --once`: one round of every watch, then one attempt for each delivery that is pending."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from notifier.model.errors import StoreError, first_of
from notifier.service.notices import log_endings
from notifier.service.parts import fingerprint, parts_of
from notifier.service.resources import open_resources
from notifier.service.worker import Worker, open_worker, rehearse
from notifier.watching.health import Health
from notifier.watchlist.models import Watchlist


@dataclass(frozen=True, slots=True)
class Round:
    """How one round went: by workspace, why not all of it could be read; by receiver, how many deliveries are left
    pending and how many died in this round."""

    unread: Mapping[str, str]
    pending: Mapping[str, int]
    died: Mapping[str, int]


async def run_once(watchlist: Watchlist) -> Round:
    """One round. Raises StoreError."""
    try:
        async with open_resources(watchlist.database_place) as resources:
            await resources.store.take_alone(parts_of(watchlist), fingerprint(watchlist))
            async with open_worker(resources, watchlist, once=True) as worker:
                await rehearse(resources, watchlist)
                log_endings(watchlist.workspaces, datetime.now(UTC).date())
                return await _round(worker)
    except BaseExceptionGroup as group:
        raise first_of(group, StoreError) or group from group


def _why(health: Health) -> str:
    """What of the workspace could not be read; else what one of its syncs said."""
    return health.state.last_error or health.last_failure or "its answers could not be kept"


async def _round(worker: Worker) -> Round:
    await worker.sign_of_life()
    read = await asyncio.gather(*(watcher.run_once() for watcher in worker.watchers))
    await worker.deliverer.drain_once()
    await worker.prune()
    await worker.sign_of_life()
    failed = (watcher for watcher, good in zip(worker.watchers, read, strict=True) if not good)
    unread = {watcher.name: _why(watcher.health) for watcher in failed}
    return Round(unread, (await worker.store.backlog()).pending, worker.deliverer.died())
