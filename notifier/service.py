"""The worker: builds store, sessions and clients, runs the named loops, ends cleanly.

One TaskGroup holds every loop; a loop that dies stops the service, and the container's restart policy begins anew.
"""

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
import structlog

import notifier
from notifier.census.client import client_of, new_census_session
from notifier.config.checks import Checks, ChecksInForce
from notifier.config.models import Watchlist
from notifier.deliver import Deliverer
from notifier.errors import DatabaseUnusable, StoreError, StoreUnavailable
from notifier.health import Health
from notifier.inbox import Inbox
from notifier.lookout import Lookout, open_lookout
from notifier.meter import DEAF_TO_WORKSPACE, WorkspaceMeter
from notifier.metrics import Metrics, Sources, WorkspaceGauges
from notifier.model import ReceiverState, Sync, WorkspaceState
from notifier.noise import noisy_receivers
from notifier.outage import Outage
from notifier.poll import Observer
from notifier.receiver_queue import ReceiverQueue
from notifier.receivers import open_senders
from notifier.record import Recorder
from notifier.roster import Roster
from notifier.route import readers_of
from notifier.scheduler import WorkspaceWatcher
from notifier.store.lock import worker_lock
from notifier.store.migrate import migrate
from notifier.store.store import Store, open_store
from notifier.target import SyncTarget
from notifier.watch import watches_of
from notifier.web.app import door_of, make_app
from notifier.web.connections import listening
from notifier.web.insight import Insight
from notifier.web.reception import Reception

log = structlog.get_logger(__name__)

SIGN_OF_LIFE: Final = timedelta(seconds=60)
STORE_CHECK: Final = timedelta(seconds=5)
PRUNE_EVERY: Final = timedelta(hours=1)
GRACE: Final = 7.0  # seconds for attempts under way when the worker is asked to stop; it ends within 10
HARD_END: Final = 9.5  # seconds after which the process ends whatever hangs (a DNS look-up can)


@dataclass(frozen=True, slots=True)
class Worker:
    """All parts of a running worker."""

    watchlist: Watchlist
    store: Store
    watchers: tuple[WorkspaceWatcher, ...]
    deliverer: Deliverer
    metrics: Metrics
    started_at: datetime
    lookout: Lookout
    inboxes: Mapping[str, Inbox]

    def workspaces_now(self) -> dict[str, WorkspaceGauges]:
        """How each workspace fares, for the metrics."""
        return {each.name: WorkspaceGauges(each.health.state.ok, each.watched_syncs) for each in self.watchers}

    def not_ready(self) -> str | None:
        """Which workspace has neither been read since the start nor been found unreachable. None once all have."""
        waiting = [watcher.name for watcher in self.watchers if not watcher.health.is_judged]
        return f"not polled yet: {', '.join(waiting)}" if waiting else None

    def listed(self) -> Iterator[tuple[str, Sync, bool]]:
        """Each workspace's syncs as Census last listed them, and whether they are watched."""
        for watcher in self.watchers:
            for sync, watched in watcher.listed():
                yield watcher.name, sync, watched

    def watched(self) -> Iterator[tuple[str, SyncTarget]]:
        """The watched syncs of each workspace."""
        for watcher in self.watchers:
            for target in watcher.watched():
                yield watcher.name, target

    async def sign_of_life(self) -> None:
        """Tells `status` that the worker is well, and what it knows of its workspaces."""
        await self.store.save_worker(notifier.__version__, self.started_at, datetime.now(UTC))
        self.lookout.wrote()
        for watcher in self.watchers:
            await self.store.save_workspace(watcher.health.state)

    async def prune(self) -> None:
        """Removes what is older than the watchlist's retention."""
        await self.store.prune(datetime.now(UTC) - self.watchlist.retention)


@asynccontextmanager
async def open_worker(watchlist: Watchlist, *, once: bool = False) -> AsyncIterator[Worker]:
    """Locks and migrates the database, opens everything, closes it again. Raises StoreError."""
    path = watchlist.database_path
    async with AsyncExitStack() as stack:
        stack.enter_context(worker_lock(path))
        migrate(path)
        store = await stack.enter_async_context(open_store(path))
        tls = ssl.create_default_context()
        metrics = Metrics(notifier.__version__)
        queues = await _queues(watchlist, store, stack, tls, metrics, once=once)
        deliverer = Deliverer(queues, store)
        await store.abandon_all_but(list(watchlist.receivers), datetime.now(UTC))
        states = await store.workspaces()
        for gone in states.keys() - watchlist.workspaces.keys():
            await _let_go(watchlist, gone, store, deliverer)
        watchers: list[WorkspaceWatcher] = []
        inboxes: dict[str, Inbox] = {}
        for name, settings in watchlist.workspaces.items():
            session = await stack.enter_async_context(new_census_session(settings, tls))
            state = states.get(name, WorkspaceState(name))
            watcher, inbox = _watcher(watchlist, name, session, store, deliverer, state, metrics, once=once)
            watchers.append(watcher)
            if inbox is not None:
                inboxes[name] = inbox
        lookout = await stack.enter_async_context(open_lookout(watchlist, store, watchers))
        worker = Worker(watchlist, store, tuple(watchers), deliverer, metrics, datetime.now(UTC), lookout, inboxes)
        metrics.read_from(Sources(worker.workspaces_now, deliverer.working, store.backlog))
        yield worker


async def _queues(
    watchlist: Watchlist, store: Store, stack: AsyncExitStack, tls: ssl.SSLContext, metrics: Metrics, *, once: bool
) -> dict[str, ReceiverQueue]:
    senders = await stack.enter_async_context(open_senders(watchlist.delivery.timeout, tls))
    known = await store.receivers()
    states = {name: known.get(name, ReceiverState(name)) for name in watchlist.receivers}
    return {
        name: ReceiverQueue(
            senders.build(name, settings, states[name].note),
            states[name],
            store,
            watchlist.delivery,
            once=once,
            meter=metrics.receiver(name),
        )
        for name, settings in watchlist.receivers.items()
    }


def _watcher(
    watchlist: Watchlist,
    name: str,
    session: aiohttp.ClientSession,
    store: Store,
    deliverer: Deliverer,
    state: WorkspaceState,
    metrics: Metrics,
    *,
    once: bool,
) -> tuple[WorkspaceWatcher, Inbox | None]:
    settings = watchlist.workspaces[name]
    health = Health(state, store.save_workspace)
    meter = metrics.workspace(name, state.last_polled_at)
    client = client_of(settings, session, patient=not once, on_throttled=health.throttled, meter=meter)
    recorder = _recorder(watchlist, name, settings.app_url, store, deliverer, meter)
    checks = watchlist.checks or Checks()
    roster = Roster(name, watches_of(name, watchlist.watches), store, recorder, checks=checks)
    outage = Outage(health, recorder, store, ChecksInForce.of(checks))
    observer = Observer(client, store, recorder)
    watcher = WorkspaceWatcher(settings, client, observer, roster, health, outage=outage, meter=meter)
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


@asynccontextmanager
async def _open_server(worker: Worker) -> AsyncIterator[str | None]:
    """The server, if the watchlist wants one; gives its address. Raises AddressUnusable."""
    watchlist, address = worker.watchlist, worker.watchlist.server.address
    if address is None:
        yield None
        return
    insight = Insight(
        database=worker.store.path,
        workspaces=watchlist.workspaces,
        receivers=tuple(watchlist.receivers),
        ailment=worker.lookout.ailment,
        not_ready=worker.not_ready,
        listed=worker.listed,
        watched=worker.watched,
        hearings=worker.inboxes,
        metrics=worker.metrics,
    )
    async with listening(make_app(Reception(insight, door_of(watchlist))), address) as bound:
        yield str(bound)


async def _let_go(watchlist: Watchlist, workspace: str, store: Store, deliverer: Deliverer) -> None:
    """Ends what was open of a workspace that the watchlist no longer names, and forgets the workspace."""
    incidents = await store.open_incidents(workspace)
    told = [json.loads(body)["data"]["sync"] for i in incidents if (body := await store.told_of(i)) is not None]
    links = (sync["url"].partition("/syncs/")[0] for sync in told if sync is not None)
    recorder = _recorder(watchlist, workspace, next(links, ""), store, deliverer)
    await Roster(workspace, (), store, recorder).load(None)
    outage = Outage(Health(WorkspaceState(workspace), store.save_workspace), recorder, store, ChecksInForce())
    await outage.load()
    await outage.end()
    await store.forget_workspace(workspace)


def _recorder(
    watchlist: Watchlist,
    workspace: str,
    app_url: str,
    store: Store,
    deliverer: Deliverer,
    meter: WorkspaceMeter = DEAF_TO_WORKSPACE,
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


async def run(watchlist: Watchlist) -> None:
    """The worker, until SIGTERM or SIGINT. Raises StoreError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _asked_to_stop, stop)
    await serve(watchlist, stop)


def _asked_to_stop(stop: asyncio.Event) -> None:
    if not stop.is_set():
        asyncio.get_running_loop().call_later(HARD_END, _end_hard)
    stop.set()


def _end_hard() -> None:
    log.error("something hangs; ending all the same")
    sys.stderr.flush()
    os._exit(1)


async def serve(watchlist: Watchlist, stop: asyncio.Event) -> None:
    """Watches and delivers until `stop`; then lets the attempts under way end, for 7 seconds at most."""
    async with open_worker(watchlist) as worker, _open_server(worker) as listen:
        log.info(
            "notifier started",
            version=notifier.__version__,
            watches=len(watchlist.watches),
            receivers=len(watchlist.receivers),
            database=str(watchlist.database_path),
            listen=listen,
        )
        _warn_of_noise(watchlist)
        await _recall_what_is_bad(worker)
        await worker.sign_of_life()
        watching = asyncio.create_task(_watch(worker), name="watch")
        delivering = asyncio.create_task(worker.deliverer.run(), name="deliver")
        stopping = asyncio.create_task(stop.wait(), name="wait for a signal")
        worker.lookout.watch(watching, delivering)
        try:
            await asyncio.wait((watching, delivering, stopping), return_when=asyncio.FIRST_COMPLETED)
            worker.lookout.stopping()
            if not stop.is_set():
                _asked_to_stop(stop)  # by a loop that died: the end has its deadline all the same
            await _end(watching)
            worker.deliverer.stop()
            await asyncio.wait((delivering,), timeout=GRACE)
            await _end(delivering)
            await _farewell(worker)
        finally:
            for task in (watching, delivering, stopping):
                task.cancel()
            await asyncio.gather(watching, delivering, stopping, return_exceptions=True)
        log.info("notifier stopped")


def _warn_of_noise(watchlist: Watchlist) -> None:
    for name in noisy_receivers(watchlist):
        log.warning(
            "a Slack receiver would get queued or working of more than 10 syncs; name its events in a route",
            receiver=name,
        )


async def _recall_what_is_bad(worker: Worker) -> None:
    """What broke before this start was told then, and is not told again: whoever restarts sees it here."""
    for watcher in worker.watchers:
        if not watcher.health.state.ok:
            log.warning(
                "workspace could not be read before this start",
                workspace=watcher.name,
                error=watcher.health.state.last_error,
            )
    for name, state in (await worker.store.receivers()).items():
        if state.broken_since is not None:
            log.warning("receiver was broken before this start", receiver=name, error=state.last_error)


async def _end(task: "asyncio.Task[None]") -> None:
    """Ends a loop; its own error, if it had one, is raised here. Of a group, ours is the one worth telling."""
    task.cancel()
    (error,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(error, BaseExceptionGroup):
        raise _first(error, StoreError) or error
    if isinstance(error, Exception):
        raise error


def _first(group: BaseExceptionGroup[BaseException], kind: type[StoreError]) -> StoreError | None:
    for error in group.exceptions:
        found = _first(error, kind) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, kind):
            return found
    return None


async def _farewell(worker: Worker) -> None:
    try:
        await worker.sign_of_life()
    except StoreUnavailable as error:
        log.warning("the last sign of life could not be kept", error=str(error))


async def _watch(worker: Worker) -> None:
    async with asyncio.TaskGroup() as loops:
        for watcher in worker.watchers:
            loops.create_task(watcher.run(), name=f"watch {watcher.name}")
        loops.create_task(_every(SIGN_OF_LIFE, worker.sign_of_life), name="sign of life")
        loops.create_task(_every(PRUNE_EVERY, worker.prune), name="retention")
        loops.create_task(_look_after_store(worker), name="look after the database")
        loops.create_task(worker.lookout.run(), name="lookout")


async def _every(interval: timedelta, act: Callable[[], Awaitable[None]]) -> None:
    """Acts now and then; what a database that can't be written now leaves undone is done the next time."""
    while True:
        try:
            await act()
        except StoreUnavailable as error:
            log.debug("put off: the database can't be written", error=str(error))
        await asyncio.sleep(interval.total_seconds())


async def _look_after_store(worker: Worker) -> None:
    """Notices a database that was deleted or replaced, and tries one that could not be written."""
    while True:
        await asyncio.sleep(STORE_CHECK.total_seconds())
        if not worker.store.is_in_place():
            raise DatabaseUnusable(f"{worker.store.path} was deleted or replaced while the worker ran")
        if not worker.store.works:
            with suppress(StoreUnavailable):
                await worker.sign_of_life()


async def run_once(watchlist: Watchlist) -> tuple[bool, bool]:
    """One round. Whether everything could be read, and whether everything was delivered. Raises StoreError."""
    try:
        async with open_worker(watchlist, once=True) as worker:
            return await _round(worker)
    except BaseExceptionGroup as group:
        raise _first(group, StoreError) or group from group


async def _round(worker: Worker) -> tuple[bool, bool]:
    await worker.sign_of_life()
    read = await asyncio.gather(*(watcher.run_once() for watcher in worker.watchers))
    delivered = await worker.deliverer.drain_once()
    await worker.prune()
    await worker.sign_of_life()
    return all(read), delivered
