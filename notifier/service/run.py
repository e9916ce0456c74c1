"""The worker's life: from its start, over reloads, to its end.

A reload is a restart within the process: attempts under way end, and another worker goes on from what the database
holds, with the same resources and behind the same socket.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

import structlog

from notifier.delivering.deliverer import Deliverer
from notifier.model.errors import StoreUnavailable
from notifier.service.ending import Ending
from notifier.service.loops import GRACE, Loops, Replaced, cancelled, working
from notifier.service.notices import log_reload, log_start
from notifier.service.reload import Reloads
from notifier.service.resources import Resources, open_resources
from notifier.service.worker import Worker, open_worker, rehearse
from notifier.watchlist.models import Watchlist
from notifier.web.worker import InForce, WorkerFacts, door_of

log = structlog.get_logger(__name__)

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

    `on_end` is called when it ends by itself, by a loop that died. Raises StoreError.
    """
    replaced = Replaced()
    async with open_resources(watchlist.database_path) as resources, AsyncExitStack() as server:
        server.push_async_callback(replaced.end)
        await rehearse(resources, watchlist)
        life = AsyncExitStack()
        worker = await life.enter_async_context(open_worker(resources, watchlist))
        in_force = InForce(facts_of(worker, reloads), door_of(watchlist))
        try:
            await log_start(worker, await server.enter_async_context(_open_server(in_force, watchlist)), _today())
            await worker.sign_of_life()
            while True:
                async with working(worker) as loops:
                    following = await _following(worker, loops, stop, reloads, resources)
                    if following is None:
                        worker.liveness.stopping()
                        if not stop.is_set():
                            stop.set()
                            on_end()  # a loop died: the end has its deadline all the same
                        await loops.end(replaced)
                        break
                    worker.liveness.reloading()
                    async with in_force.taking:  # webhooks wait for the next worker
                        await loops.give_way(replaced, life)
                        opened = await _open_next(resources, following, worker.deliverer, stop)
                        if opened is None:
                            await replaced.end(GRACE)
                            break
                        before, (life, worker) = worker.watchlist, opened
                        in_force.worker, in_force.door = facts_of(worker, reloads), door_of(following)
                log_reload(following, before, _today())
        finally:
            await life.aclose()
        log.info("notifier stopped")


def _today() -> date:
    return datetime.now(UTC).date()


async def _following(
    worker: Worker, loops: Loops, stop: asyncio.Event, reloads: Reloads | None, resources: Resources
) -> Watchlist | None:
    """The watchlist to go on with, once there is one; None when told to stop, or when a loop died."""
    stopping = asyncio.create_task(stop.wait(), name="wait for a signal")
    reloading = asyncio.create_task(_next_watchlist(worker, reloads, resources), name="wait for another watchlist")
    try:
        await loops.until(stopping, reloading)
        return reloading.result() if loops.alive and not stopping.done() else None
    finally:
        await cancelled(stopping, reloading)


async def _next_watchlist(worker: Worker, reloads: Reloads | None, resources: Resources) -> Watchlist:
    """The next one, once the database can be written."""
    if reloads is None:
        never: asyncio.Future[Watchlist] = asyncio.get_running_loop().create_future()
        return await never
    watchlist = await reloads.next(partial(rehearse, resources), resources.metrics.reloaded)
    while True:
        try:
            await worker.try_database()
        except StoreUnavailable:
            await asyncio.sleep(STORE_PATIENCE)
        else:
            return watchlist


async def _open_next(
    resources: Resources, watchlist: Watchlist, before: Deliverer, stop: asyncio.Event
) -> tuple[AsyncExitStack, Worker] | None:
    """The next worker and what it lives by, once the database can be written; None when told to stop before that."""
    while not stop.is_set():
        life = AsyncExitStack()
        try:
            worker = await life.enter_async_context(open_worker(resources, watchlist, before=before))
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


def facts_of(worker: Worker, reloads: Reloads | None) -> WorkerFacts:
    """What the server knows of a worker, and of a watchlist that is not in force."""
    watchlist = worker.watchlist
    return WorkerFacts(
        database=worker.store.path,
        workspaces=watchlist.workspaces,
        receivers=tuple(watchlist.receivers),
        ailment=worker.liveness.ailment,
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
    from notifier.web.app import make_app  # here: routes and templates take 4 MB, and many workers have no server
    from notifier.web.socket import listening

    async with listening(make_app(in_force), address) as bound:
        yield str(bound)
