"""One worker, built from a watchlist: the composition root. A reload builds another one with the same resources."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import notifier
from notifier.census.client import client_of, new_census_session
from notifier.delivering.deliverer import Builder, Deliverer
from notifier.delivering.queue import ReceiverQueue
from notifier.judging.route import readers_of
from notifier.model.api_version import retires_on
from notifier.model.delivery import ReceiverState
from notifier.model.identity import Id
from notifier.model.meters import NO_WORKSPACE_METER, WorkspaceMeter
from notifier.model.sync import Sync, WorkspaceState
from notifier.receivers.senders import open_senders
from notifier.service.heartbeat import open_heartbeat
from notifier.service.liveness import Liveness, open_liveness
from notifier.service.metrics import Metrics, Sources, WorkspaceGauges
from notifier.service.resources import Line, Resources
from notifier.service.retention import SteadyPresent
from notifier.store.store import Store
from notifier.store.watching import WatchingStore
from notifier.watching.health import Health
from notifier.watching.inbox import Inbox
from notifier.watching.listings import Listings
from notifier.watching.outage import Outage
from notifier.watching.poll import Observer
from notifier.watching.record import Recorder
from notifier.watching.roster import Roster
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.checks import Checks, ChecksInForce
from notifier.watchlist.covers import watches_of
from notifier.watchlist.models import Watchlist
from notifier.watchlist.receivers import Receiver
from notifier.web.worker import WatchedNow, not_polled


@dataclass(frozen=True, slots=True)
class Worker:
    """All parts of a running worker."""

    watchlist: Watchlist
    store: Store
    watchers: tuple[WorkspaceWatcher, ...]
    deliverer: Deliverer
    metrics: Metrics
    started_at: datetime
    """When the process started; a reload does not change it."""
    liveness: Liveness
    inboxes: Mapping[str, Inbox]
    present: SteadyPresent

    def workspaces_now(self) -> dict[str, WorkspaceGauges]:
        """How each workspace fares, for the metrics."""
        return {
            each.name: WorkspaceGauges(each.health.state.ok, each.watched_syncs, retires_on(each.health.state.api))
            for each in self.watchers
        }

    def not_ready(self) -> str | None:
        """Which workspace has neither been read since the start nor been found unreachable. None once all have."""
        return not_polled([watcher.name for watcher in self.watchers if not watcher.health.is_judged])

    def listed(self) -> Iterator[tuple[str, Sync, bool]]:
        """Each workspace's syncs as Census last listed them, and whether they are watched."""
        for watcher in self.watchers:
            for sync, watched in watcher.listed():
                yield watcher.name, sync, watched

    def watched(self) -> list[WatchedNow]:
        """The watched syncs of all workspaces, as they are at this moment."""
        return [
            WatchedNow(watcher.name, target.sync_id, target.label, target.labels, target.state.standing.paused)
            for watcher in self.watchers
            for target in watcher.watched()
        ]

    async def exposition(self) -> tuple[bytes, str]:
        """All metrics as Prometheus' text, and the text's content type."""
        await self.metrics.refresh(Sources(self.workspaces_now, self.deliverer.working, self.store.backlog))
        return await asyncio.to_thread(self.metrics.exposition)

    async def sign_of_life(self) -> None:
        """Tells `status` that the worker is well, and what it knows of its workspaces."""
        await self.try_database()
        for watcher in self.watchers:
            await self.store.watching.save_workspace(watcher.health.state)

    async def try_database(self) -> None:
        """Writes the least there is. Raises StoreError."""
        await self.store.save_worker(notifier.__version__, self.started_at, datetime.now(UTC))

    async def prune(self) -> None:
        """Removes what is older than the watchlist's retention."""
        now = self.present.at(datetime.now(UTC), time.monotonic())
        await self.store.prune(now - self.watchlist.retention, self._raise_floor)

    def _raise_floor(self, workspace: str, sync_id: Id, floor: datetime) -> None:
        for watcher in self.watchers:
            if watcher.name == workspace:
                watcher.raise_floor(sync_id, floor)


@asynccontextmanager
async def open_worker(
    resources: Resources, watchlist: Watchlist, *, once: bool = False, before: Deliverer | None = None
) -> AsyncIterator[Worker]:
    """Brings the database in line with the watchlist, opens what differs, closes it again. Raises StoreError.

    `before` is the deliverer of the worker that this one replaces; attempts of its may still be under way.
    """
    store, metrics = resources.store, resources.metrics
    async with AsyncExitStack() as stack:
        await resources.keep_only(watchlist)
        deliverer = Deliverer(await _builders(watchlist, resources, stack, once=once), store.delivering, before)
        leaving = before.unfinished() if before is not None else ()
        await store.delivering.abandon_all_but([*watchlist.receivers, *leaving], datetime.now(UTC))
        states = await store.watching.workspaces()
        for gone in states.keys() - watchlist.workspaces.keys():
            await _let_go(watchlist, states[gone], store.watching, deliverer)
        watchers: list[WorkspaceWatcher] = []
        inboxes: dict[str, Inbox] = {}
        for name, settings in watchlist.workspaces.items():
            state = replace(states.get(name, WorkspaceState(name)), app_url=settings.app_url, api=settings.api)
            line = await resources.line(name, settings, state, patient=not once)
            watcher, inbox = _watcher(watchlist, name, line, store.watching, deliverer, once=once)
            watchers.append(watcher)
            if inbox is not None:
                inboxes[name] = inbox
        liveness = await stack.enter_async_context(open_liveness(watchlist, store, watchers))
        started_at, present = resources.started_at, resources.present
        yield Worker(watchlist, store, tuple(watchers), deliverer, metrics, started_at, liveness, inboxes, present)


async def rehearse(resources: Resources, watchlist: Watchlist) -> None:
    """Builds what a watchlist may make impossible to build, and throws it away. Raises ProxyUnusable."""
    tls, timeout = resources.tls, watchlist.delivery.timeout
    async with AsyncExitStack() as stack:
        senders = await stack.enter_async_context(open_senders(timeout, tls))
        for name, receiver in watchlist.receivers.items():
            senders.build(name, receiver)
        for workspace in watchlist.workspaces.values():
            session = new_census_session(workspace, tls)
            stack.push_async_callback(session.close)
            client_of(workspace, session, patient=False)
        if watchlist.heartbeat is not None:
            await stack.enter_async_context(open_heartbeat(watchlist.heartbeat))


async def _builders(
    watchlist: Watchlist, resources: Resources, stack: AsyncExitStack, *, once: bool
) -> dict[str, Builder]:
    senders = await stack.enter_async_context(
        open_senders(watchlist.delivery.timeout, resources.tls, resources.paces, watchlist.server.public_url)
    )
    resources.paces.disband()  # those of a watchlist before this one begin nothing any more

    def builder(name: str, settings: Receiver) -> Builder:
        def build(state: ReceiverState) -> ReceiverQueue:
            sender = senders.build(name, settings, state.note)
            meter = resources.metrics.receiver(name)
            return ReceiverQueue(sender, state, resources.store.delivering, watchlist.delivery, once=once, meter=meter)

        return build

    return {name: builder(name, settings) for name, settings in watchlist.receivers.items()}


def _watcher(
    watchlist: Watchlist, name: str, line: Line, store: WatchingStore, deliverer: Deliverer, *, once: bool
) -> tuple[WorkspaceWatcher, Inbox | None]:
    settings, health = line.settings, line.health
    recorder = _recorder(watchlist, name, settings.app_url, store, deliverer, line.meter)
    checks = watchlist.checks or Checks()
    roster = Roster(name, watches_of(name, watchlist.watches), store, recorder, checks=checks)
    outage = Outage(health, recorder, store, ChecksInForce.of(checks))
    observer = Observer(line.client, store, recorder, is_listed=lambda: health.is_listed, may_lag=not once)
    watcher = WorkspaceWatcher(settings, line.client, observer, roster, health, outage, meter=line.meter)
    if (hook := settings.lifecycle_webhook) is None:
        return watcher, None
    inbox = Inbox(
        hook.secret.get_secret_value(),
        settings.app_url,
        roster,
        recorder,
        store,
        loaded=watcher.loaded,
        poll_soon=watcher.poll_soon,
    )
    return watcher, inbox


async def _let_go(watchlist: Watchlist, gone: WorkspaceState, store: WatchingStore, deliverer: Deliverer) -> None:
    """Ends what was open of a workspace that the watchlist no longer names, and forgets the workspace."""
    recorder = _recorder(watchlist, gone.name, gone.app_url or "", store, deliverer)
    await Roster(gone.name, (), store, recorder, checks=Checks()).load(Listings())
    outage = Outage(Health(WorkspaceState(gone.name), store.save_workspace), recorder, store, ChecksInForce())
    await outage.load()
    await outage.end()
    await store.forget_workspace(gone.name)


def _recorder(
    watchlist: Watchlist,
    workspace: str,
    app_url: str,
    store: WatchingStore,
    deliverer: Deliverer,
    meter: WorkspaceMeter = NO_WORKSPACE_METER,
) -> Recorder:
    return Recorder(
        workspace,
        app_url,
        store,
        routes=watchlist.routes,
        readers=readers_of(watchlist.receivers),
        recorded=deliverer.wake,
        meter=meter,
    )
