"""One worker, built from a watchlist: the composition root. A reload builds another one with the same resources."""

import asyncio
from collections import ChainMap
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import notifier
from notifier.census.client import client_of, new_census_session
from notifier.delivering.deliverer import Deliverer
from notifier.model.api_version import retires_on
from notifier.model.identity import Id
from notifier.model.part import UPKEEP, kind_of, workspace_of, workspace_part
from notifier.model.sync import Sync, WorkspaceState
from notifier.receivers.senders import open_senders
from notifier.service.building import builders_of, forget, watcher_of
from notifier.service.heartbeat import open_heartbeat
from notifier.service.liveness import Liveness, open_liveness
from notifier.service.metrics import Metrics, SharedGauges, Sources, WorkspaceGauges
from notifier.service.parts import fingerprint, parts_of, receivers_of
from notifier.service.resources import Resources
from notifier.store.store import Store
from notifier.watching.hint_box import Pickup, hint_boxes
from notifier.watching.inbox import Inbox
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.models import Watchlist
from notifier.web.worker import WatchedNow, WebhookInbox, not_polled


@dataclass(slots=True)
class Worker:
    """What a worker is made of, and what works at the parts of the work that it has taken."""

    watchlist: Watchlist
    resources: Resources
    deliverer: Deliverer
    receivers: Mapping[str, Collection[str]]
    """The parts that deliver, each with its receivers."""
    once: bool
    liveness: Liveness
    watching: dict[str, WorkspaceWatcher]
    """By workspace."""
    inboxes: dict[str, Inbox] = field(default_factory=dict)
    """By workspace that is watched here."""
    pickups: dict[str, Pickup] = field(default_factory=dict)
    """Take to these what reached other workers."""
    taken: set[str] = field(default_factory=set)
    """The parts that are worked at."""
    is_tidy: bool = False
    """Whether all is gone that the watchlist no longer names."""

    @property
    def store(self) -> Store:
        """The database."""
        return self.resources.store

    @property
    def metrics(self) -> Metrics:
        """The counts."""
        return self.resources.metrics

    @property
    def watchers(self) -> tuple[WorkspaceWatcher, ...]:
        """Of the workspaces that are watched here."""
        return tuple(self.watching.values())

    # --- taking and letting go ---

    async def take(self, part: str, states: Mapping[str, WorkspaceState] | None = None) -> None:
        """Builds what works at a part, from what the database holds. Raises StoreError.

        `states`: of all workspaces, where they were just read."""
        if part == UPKEEP:
            if self.store.seat.is_unanimous:
                await self.tidy(states)
        elif part in self.receivers:
            self.deliverer.begin(self.receivers[part])
        else:
            await self._take_workspace(part, states)
        self.taken.add(part)

    async def let_go(self, part: str) -> None:
        """Ends what works at a part; returns when attempts under way are over."""
        self.taken.discard(part)
        if part in self.receivers:
            await self.deliverer.end(self.receivers[part])
        elif part != UPKEEP:
            name = workspace_of(part)
            del self.watching[name]
            self.pickups.pop(name, None)
            if (inbox := self.inboxes.pop(name, None)) is not None:
                await inbox.close()
            await self.resources.let_go(name)

    async def attempts_over(self, part: str) -> None:
        """Waits until no attempt is under way any more for a part: of this worker, or of those before it, whose
        watchlists may have named others."""
        if kind_of(part) in {UPKEEP, kind_of(workspace_part(""))}:
            return
        gone = self.deliverer.unfinished() - self.watchlist.receivers.keys()
        for name in (*self.receivers.get(part, ()), *gone):
            await self.deliverer.over(name)

    async def close_inboxes(self) -> None:
        """Webhooks of Census are for whoever watches next from now on; returns once what is being kept is."""
        while self.inboxes:
            await self.inboxes.popitem()[1].close()

    async def tidy(self, states: Mapping[str, WorkspaceState] | None = None) -> None:
        """Ends and forgets what the watchlist no longer names. Raises StoreError."""
        store, named = self.store, self.watchlist.workspaces
        leaving = self.deliverer.unfinished()
        await store.delivering.abandon_all_but([*self.watchlist.receivers, *leaving], datetime.now(UTC))
        known = states if states is not None else await store.watching.workspaces()
        for gone in known.keys() - named.keys():
            if not store.seat.is_unanimous:  # any more: one of them may have loaded what names it
                return
            await forget(self.watchlist, known[gone], store.watching, self.deliverer)
        self.is_tidy = True

    async def _take_workspace(self, part: str, states: Mapping[str, WorkspaceState] | None) -> None:
        name = workspace_of(part)
        settings = self.watchlist.workspaces[name]
        known = states if states is not None else await self.store.watching.workspaces()
        state = replace(known.get(name, WorkspaceState(name)), app_url=settings.app_url, api=settings.api)
        line = await self.resources.line(name, settings, state, patient=not self.once)
        watcher, inbox = watcher_of(self.watchlist, name, line, self.store.watching, self.deliverer, once=self.once)
        self.watching[name] = watcher
        if inbox is not None:
            self.inboxes[name] = inbox
            if self.store.seat.is_shared:
                self.pickups[name] = Pickup(name, inbox, self.store.watching)

    def hinted(self) -> None:
        """Other workers were told something by Census."""
        for pickup in self.pickups.values():
            pickup.wake()

    # --- what is asked of it ---

    def boxes(self) -> Mapping[str, WebhookInbox]:
        """Who takes the webhooks of each workspace, whoever watches it at that moment."""
        if not self.store.seat.is_shared:
            return self.inboxes
        return ChainMap[str, WebhookInbox](self.inboxes, hint_boxes(self.watchlist.workspaces, self.store.watching))  # type: ignore[arg-type]  # which nobody writes to

    def workspaces_now(self) -> dict[str, WorkspaceGauges]:
        """How each workspace fares, for the metrics."""
        return {
            each.name: WorkspaceGauges(each.health.state.ok, each.watched_syncs, retires_on(each.health.state.api))
            for each in self.watchers
        }

    def elsewhere(self) -> frozenset[str]:
        """The workspaces that are not watched here now: of which the database knows more than this worker, until it has
        read their list of syncs itself. At a database of its own there are none."""
        if not self.store.seat.is_shared:
            return frozenset()
        here = {name for name, watcher in self.watching.items() if watcher.has_listed}
        return frozenset(self.watchlist.workspaces.keys() - here)

    def not_ready(self) -> str | None:
        """Which workspace nobody watches, or this worker has neither read since the start nor found unreachable. None
        once all is well, and for a worker that has no part beside others that have: it may go by another watchlist, of
        whose workspaces some are nobody's as long as that one is not in force."""
        if self.store.seat.is_overtaken:
            return None
        others = self.store.seat.elsewhere
        if others and not self.taken:
            return None

        def waits(name: str) -> bool:
            if name in self.watching:
                return not self.watching[name].health.is_judged
            return workspace_part(name) not in others

        return not_polled(filter(waits, self.watchlist.workspaces))

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
        await self.metrics.refresh(
            Sources(self.workspaces_now, self.deliverer.working, self.store.backlog, self._shared)
        )
        return await asyncio.to_thread(self.metrics.exposition)

    def _shared(self) -> SharedGauges | None:
        if not self.store.seat.is_shared:
            return None
        seat, taken = self.store.seat, frozenset(self.taken)
        # Who has nothing may go by another watchlist, and know parts that there are not.
        others = (seat.elsewhere | seat.nobodys if taken else seat.elsewhere) - taken
        return SharedGauges(taken, seat.members if UPKEEP in taken else None, others)

    async def sign_of_life(self) -> None:
        """Tells `status` that the worker is well, and what it knows of its workspaces."""
        await self.try_database()
        for watcher in self.watchers:
            if self.watching.get(watcher.name) is watcher:  # else another may know more of it by now
                await self.store.watching.save_workspace(watcher.health.state)

    async def try_database(self) -> None:
        """Writes the least there is. Raises StoreError."""
        if UPKEEP in self.taken:
            await self.store.save_worker(notifier.__version__, self.resources.started_at, datetime.now(UTC))
        else:
            await self.store.try_it()

    async def prune(self) -> None:
        """Removes what is older than the watchlist's retention, of this worker's parts. Raises StoreError."""
        cutoff = self.resources.present() - self.watchlist.retention
        await self.store.prune(cutoff, self._raise_floor, self.watching, finished=UPKEEP in self.taken)

    def _raise_floor(self, workspace: str, sync_id: Id, floor: datetime) -> None:
        if (watcher := self.watching.get(workspace)) is not None:
            watcher.raise_floor(sync_id, floor)


@asynccontextmanager
async def open_worker(
    resources: Resources, watchlist: Watchlist, *, once: bool = False, before: Deliverer | None = None
) -> AsyncIterator[Worker]:
    """Opens what differs from the worker before, takes the parts of the work that are this one's, and closes it again.
    Raises StoreError.

    `before` is the deliverer of the worker that this one replaces; attempts of its may still be under way.
    """
    store = resources.store
    want(store, watchlist)
    await resources.remember_the_present()
    async with AsyncExitStack() as stack:
        held = store.seat.parts
        await resources.keep_only(watchlist, held)
        builders = await builders_of(watchlist, resources, stack, once=once)
        deliverer = Deliverer(builders, store.delivering, before, may_forget=lambda: store.seat.is_unanimous)
        watching: dict[str, WorkspaceWatcher] = {}
        liveness = await stack.enter_async_context(open_liveness(watchlist, store, watching))
        worker = Worker(watchlist, resources, deliverer, receivers_of(watchlist), once, liveness, watching)
        states = await store.watching.workspaces() if held else None
        for part in parts_of(watchlist):
            if part in held:
                await worker.take(part, states)
        yield worker


def want(store: Store, watchlist: Watchlist) -> None:
    """From now on this worker goes by that watchlist."""
    store.seat.wants(parts_of(watchlist), fingerprint(watchlist) if store.seat.is_shared else "")


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
