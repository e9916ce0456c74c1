"""The worker's life: its named loops, its end, and what happens to it when the watchlist changes.

One TaskGroup holds every loop; a loop that dies stops the service, and the container's restart policy begins anew.
A reload is a restart within the process: attempts under way end, and another worker goes on from what the database
holds, on the same foundation and behind the same socket.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog

import notifier
from notifier.delivering.deliverer import Deliverer
from notifier.judging.advice import dead_routes, deaf_workspaces, noisy_receivers, passed_over_routes, short_secrets
from notifier.model.errors import DatabaseUnusable, StoreError, StoreUnavailable, first_of
from notifier.service.ending import Ending
from notifier.service.reload import Reloads
from notifier.service.resources import Foundation, open_foundation
from notifier.service.worker import Worker, open_worker, rehearse
from notifier.store.store import Store
from notifier.watchlist.models import Watchlist
from notifier.web.app import door_of, make_app
from notifier.web.socket import listening
from notifier.web.worker import InForce, WorkerFacts

log = structlog.get_logger(__name__)

SIGN_OF_LIFE: Final = timedelta(seconds=60)
STORE_CHECK: Final = timedelta(seconds=5)  # so a write is tried every 10 s at least, though there be nothing to write
PRUNE_EVERY: Final = timedelta(hours=1)
GRACE: Final = 7.0  # seconds for attempts under way when the worker is asked to stop; it ends within 10
STORE_PATIENCE: Final = 1.0  # seconds between two looks at whether a reload can begin


async def run(watchlist: Watchlist, reloads: Reloads) -> None:
    """The worker, until SIGTERM or SIGINT; SIGHUP reads the watchlist again. Raises StoreError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    ending = Ending(partial(loop.call_soon_threadsafe, stop.set), partial(loop.call_soon_threadsafe, reloads.ask))
    ending.listen()
    await serve(watchlist, stop, reloads, ending.begin)


async def serve(
    watchlist: Watchlist,
    stop: asyncio.Event,
    reloads: Reloads | None = None,
    on_end: Callable[[], None] = lambda: None,
) -> None:
    """Watches and delivers until `stop`; then lets the attempts under way end, for 7 seconds at most.

    `on_end` is called when it ends by itself, by a loop that died.
    """
    replaced = _Replaced()
    async with open_foundation(watchlist.database_path) as foundation, AsyncExitStack() as server:
        server.push_async_callback(replaced.end)
        await rehearse(foundation, watchlist)
        if reloads is not None:
            reloads.report = foundation.metrics.reloaded
            reloads.rehearse = partial(rehearse, foundation)
        life = AsyncExitStack()
        worker = await life.enter_async_context(open_worker(foundation, watchlist))
        in_force = InForce(facts_of(worker, reloads), door_of(watchlist))
        try:
            listen = await server.enter_async_context(_open_server(in_force, watchlist))
            _log_start(worker, listen)
            _warn(watchlist)
            await _recall_what_is_bad(worker)
            await worker.sign_of_life()
            while (following := await _work(worker, stop, reloads, in_force, replaced, life, on_end)) is not None:
                opened = await _open_next(foundation, following, worker.deliverer, stop)
                if opened is None:
                    await replaced.end(GRACE)
                    break
                life, worker = opened
                in_force.worker, in_force.door = facts_of(worker, reloads), door_of(following)
                in_force.taking.release()
                log.info("watchlist reloaded", **_figures(following))
                _warn(following)
        finally:
            await life.aclose()
        log.info("notifier stopped")


async def _open_next(
    foundation: Foundation, watchlist: Watchlist, before: Deliverer, stop: asyncio.Event
) -> tuple[AsyncExitStack, Worker] | None:
    """The next worker and what it lives by, once the database can be written; None when told to stop before that."""
    while not stop.is_set():
        life = AsyncExitStack()
        try:
            worker = await life.enter_async_context(open_worker(foundation, watchlist, before=before))
            await worker.sign_of_life()
        except StoreUnavailable as error:
            log.debug("the watchlist waits until the database can be written", error=str(error))
            await life.aclose()
            with suppress(TimeoutError):
                async with asyncio.timeout(STORE_PATIENCE):
                    await stop.wait()
        else:
            return life, worker
    return None


class _Replaced:
    """Deliverers of workers that were replaced, and what they live by, until their last attempts are over."""

    def __init__(self) -> None:
        self.ending: set[asyncio.Task[None]] = set()

    def add(self, delivering: "asyncio.Task[None]", life: AsyncExitStack) -> None:
        """`delivering` was told to stop; `life` is closed after it."""
        ending = asyncio.create_task(_outlive(delivering, life), name="last attempts before the reload")
        self.ending.add(ending)
        ending.add_done_callback(self._over)

    def _over(self, ending: "asyncio.Task[None]") -> None:
        self.ending.discard(ending)
        if not ending.cancelled() and (error := ending.exception()) is not None:  # the next worker meets the same
            log.error("the last attempts before a reload ended by an error", error=str(error))

    async def end(self, patience: float = 0) -> None:
        """Lets them end for so many seconds, then ends them."""
        if ending := tuple(self.ending):
            await asyncio.wait(ending, timeout=patience)
            for task in ending:
                await _end(task)


async def _outlive(delivering: "asyncio.Task[None]", life: AsyncExitStack) -> None:
    async with life:
        await _finished(delivering)


async def _work(
    worker: Worker,
    stop: asyncio.Event,
    reloads: Reloads | None,
    in_force: InForce,
    replaced: _Replaced,
    life: AsyncExitStack,
    on_end: Callable[[], None],
) -> Watchlist | None:
    """One worker's life: None at its end, or the watchlist to go on with. Then its last attempts are `replaced`'s."""
    watching = asyncio.create_task(_watch(worker), name="watch")
    delivering = asyncio.create_task(worker.deliverer.run(), name="deliver")
    stopping = asyncio.create_task(stop.wait(), name="wait for a signal")
    reloading = asyncio.create_task(_next_watchlist(worker, reloads), name="wait for another watchlist")
    tasks: set[asyncio.Task[Any]] = {watching, delivering, stopping, reloading}
    worker.lookout.watch(watching, delivering)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not any(task.done() for task in (watching, delivering, stopping)):
            worker.lookout.reloading()
            await in_force.taking.acquire()
            worker.lookout.watch()
            worker.deliverer.stop()
            await _end(watching)
            await _farewell(worker)  # one write after all others: what polls had begun to keep is kept, or is not
            tasks.discard(delivering)
            replaced.add(delivering, life.pop_all())
            return reloading.result()
        worker.lookout.stopping()
        if not stop.is_set():
            stop.set()
            on_end()  # a loop died: the end has its deadline all the same
        await _end(watching)
        worker.deliverer.stop()
        hurrying = asyncio.create_task(worker.store.hurry(), name="hurry")
        tasks.add(hurrying)
        await asyncio.wait((delivering, hurrying, *replaced.ending), timeout=GRACE)
        await _end(delivering)
        await replaced.end()
        await _end(reloading)
        await _farewell(worker)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return None


async def _next_watchlist(worker: Worker, reloads: Reloads | None) -> Watchlist:
    """The next one, once the database can be written."""
    if reloads is None:
        never: asyncio.Future[Watchlist] = asyncio.get_running_loop().create_future()
        return await never
    watchlist = await reloads.next()
    while True:
        try:
            await worker.try_database()
        except StoreUnavailable:
            await asyncio.sleep(STORE_PATIENCE)
        else:
            return watchlist


def facts_of(worker: Worker, reloads: Reloads | None) -> WorkerFacts:
    """What the server knows of a worker, and of a watchlist that is not in force."""
    watchlist = worker.watchlist
    return WorkerFacts(
        database=worker.store.path,
        workspaces=watchlist.workspaces,
        receivers=tuple(watchlist.receivers),
        ailment=worker.lookout.ailment,
        not_ready=worker.not_ready,
        not_in_force=lambda: reloads.problem if reloads is not None else None,
        listed=worker.listed,
        watched=worker.watched,
        inboxes=worker.inboxes,
        exposition=worker.exposition,
        token_refused=worker.metrics.token_refused,
    )


@asynccontextmanager
async def _open_server(in_force: InForce, watchlist: Watchlist) -> AsyncIterator[str | None]:
    """The server, if the watchlist wants one; gives its address. Raises AddressUnusable."""
    address = watchlist.server.address
    if address is None:
        yield None
        return
    async with listening(make_app(in_force), address) as bound:
        yield str(bound)


def _log_start(worker: Worker, listen: str | None) -> None:
    database = str(worker.store.path)
    figures = _figures(worker.watchlist)
    log.info("notifier started", version=notifier.__version__, **figures, database=database, listen=listen)


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
        elif state.failing:
            log.warning("receiver took nothing before this start", receiver=name, error=state.last_error)


async def _end(task: "asyncio.Task[None] | asyncio.Task[Watchlist]") -> None:
    """Ends a loop; its own error, if it had one, is raised here. Of a group, ours is the one worth telling."""
    task.cancel()
    await _finished(task)


async def _finished(task: "asyncio.Task[None] | asyncio.Task[Watchlist]") -> None:
    (error,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(error, BaseExceptionGroup):
        raise first_of(error, StoreError) or error
    if isinstance(error, Exception):
        raise error


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
        loops.create_task(look_after_store(worker.store, worker.try_database), name="look after the database")
        loops.create_task(worker.lookout.run(), name="lookout")


async def _every(interval: timedelta, act: Callable[[], Awaitable[None]]) -> None:
    """Acts now and then; what a database that can't be written now leaves undone is done the next time."""
    while True:
        try:
            await act()
        except StoreUnavailable as error:
            log.debug("put off: the database can't be written", error=str(error))
        await asyncio.sleep(interval.total_seconds())


async def look_after_store(store: Store, try_it: Callable[[], Awaitable[None]]) -> None:
    """Notices a database that was deleted or replaced; tries one that could not be written, or was not for a while."""
    while True:
        await asyncio.sleep(STORE_CHECK.total_seconds())
        if not store.is_in_place():
            raise DatabaseUnusable(f"{store.path} was deleted or replaced while the worker ran")
        if not store.works or store.idle >= STORE_CHECK:
            with suppress(StoreUnavailable):
                await try_it()
