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
from notifier.service.notices import log_reload, log_start, log_work
from notifier.service.reload import Reloads
from notifier.service.resources import Resources, open_resources
from notifier.service.standby import facts_standing_by, liveness_standing_by
from notifier.service.worker import Worker, open_worker, rehearse
from notifier.watchlist.models import Watchlist
from notifier.web.worker import InForce, WorkerFacts, door_of

log = structlog.get_logger(__name__)

STORE_PATIENCE: Final = 1.0  # seconds between two looks at whether a reload can begin
GLANCE: Final = 0.1  # seconds between two looks at whether there is a place


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
    async with open_resources(watchlist.database_place) as resources, AsyncExitStack() as server:
        await rehearse(resources, watchlist)
        await _Service(resources, server, stop, reloads, on_end).run(watchlist)
        log.info("notifier stopped")


class _Service:
    """One worker after another, each from when it is trusted with a place until it is not, or until another watchlist
    takes effect."""

    def __init__(
        self,
        resources: Resources,
        server: AsyncExitStack,
        stop: asyncio.Event,
        reloads: Reloads | None,
        on_end: Callable[[], None],
    ) -> None:
        self._resources = resources
        self._seat = resources.store.seat
        self._server = server
        self._stop = stop
        self._reloads = reloads
        self._on_end = on_end
        self._replaced = Replaced()
        server.push_async_callback(self._replaced.end)
        self._in_force: InForce | None = None
        self._kept_out = False
        """Whether webhooks wait for the next worker."""
        self._newest: Watchlist | None = None
        """The last that was read; the worker that goes by it may not be open yet."""

    async def run(self, watchlist: Watchlist) -> None:
        before: Worker | None = None
        following: Watchlist | None = watchlist
        while following is not None:
            opened = await self._open(following, before.deliverer if before is not None else None)
            if opened is None:
                self._let_in()
                await self._replaced.end(GRACE)
                return
            life, worker = opened
            try:
                await self._begin(worker, before)
                before, following = worker, await self._work(worker, life)
            finally:
                await life.aclose()

    async def _begin(self, worker: Worker, before: Worker | None) -> None:
        """Puts a worker behind the server, and says what is in force."""
        has_stood_by = self._in_force is not None
        await self._show(facts_of(worker, self._reloads), worker.watchlist)
        if before is None:
            try:
                await log_work(worker, _today())
                await worker.sign_of_life()
            except StoreUnavailable as error:
                if not has_stood_by:
                    raise
                log.warning("the first sign of life could not be kept", error=str(error))
        elif before.watchlist != worker.watchlist:
            log_reload(worker.watchlist, before.watchlist, _today())

    async def _show(self, facts: WorkerFacts, watchlist: Watchlist) -> None:
        if self._in_force is None:
            self._in_force = InForce(facts, door_of(watchlist))
            log_start(watchlist, await self._server.enter_async_context(_open_server(self._in_force, watchlist)))
            return
        self._in_force.worker, self._in_force.door = facts, door_of(watchlist)
        self._let_in()

    async def _keep_out(self) -> None:
        if self._in_force is not None:
            await self._in_force.taking.acquire()
            self._kept_out = True

    def _let_in(self) -> None:
        if self._in_force is not None and self._kept_out:
            self._in_force.taking.release()
            self._kept_out = False

    async def _work(self, worker: Worker, life: AsyncExitStack) -> Watchlist | None:
        """Watches and delivers until something else is to be done; the watchlist to go on with, None to end."""
        async with working(worker) as loops:
            following = await self._following(worker, loops)
            if following is None:
                worker.liveness.stopping()
                if not self._stop.is_set():
                    self._stop.set()
                    self._on_end()  # a loop died: the end has its deadline all the same
                await loops.end(self._replaced)
            elif self._seat.trusted:
                worker.liveness.reloading()
                await self._keep_out()
                await loops.give_way(self._replaced, life)
            else:
                await loops.lose(self._replaced, life)
            return following

    async def _following(self, worker: Worker, loops: Loops) -> Watchlist | None:
        """The watchlist to go on with, once there is one, or the place may be lost; None when told to stop, or when a
        loop died."""
        stopping = asyncio.create_task(self._stop.wait(), name="wait for a signal")
        losing = asyncio.create_task(self._seat.until(trusted=False), name="wait until the place may be another's")
        reloading = asyncio.create_task(self._next_watchlist(worker), name="wait for another watchlist")
        try:
            await loops.until(stopping, losing, reloading, self._resources.store.attending)
            if self._resources.store.attending.done():
                self._resources.store.attending.result()
            if not loops.alive or stopping.done():
                return None
            if reloading.done():
                reloading.result()
            return self._newest or worker.watchlist
        finally:
            await cancelled(stopping, losing, reloading)

    async def _next_watchlist(self, worker: Worker) -> Watchlist:
        """The next one, once the database can be written."""
        watchlist = await self._read_again()
        while True:
            try:
                await worker.try_database()
            except StoreUnavailable:
                await asyncio.sleep(STORE_PATIENCE)
            else:
                return watchlist

    async def _read_again(self) -> Watchlist:
        if self._reloads is None:
            never: asyncio.Future[Watchlist] = asyncio.get_running_loop().create_future()
            return await never
        rehearsal = partial(rehearse, self._resources)
        self._newest = await self._reloads.next(rehearsal, self._resources.metrics.reloaded, self._seat.insist)
        return self._newest

    async def _open(self, watchlist: Watchlist, before: Deliverer | None) -> tuple[AsyncExitStack, Worker] | None:
        """The next worker and what it lives by, once it is trusted with a place and the database can be written; None
        when told to stop before that."""
        while not self._stop.is_set():
            if not self._seat.trusted:
                watchlist = await self._stand_by(watchlist)
                continue
            life = AsyncExitStack()
            try:
                worker = await life.enter_async_context(open_worker(self._resources, watchlist, before=before))
                if before is not None:
                    await worker.sign_of_life()
            except StoreUnavailable as error:
                log.debug("the watchlist waits until the database can be written", error=str(error))
                await life.aclose()
                if before is None and self._in_force is None:
                    raise
                await self._pause(STORE_PATIENCE)
            else:
                return life, worker
        return None

    async def _stand_by(self, watchlist: Watchlist) -> Watchlist:
        """Until there is a place, or told to stop; the watchlist to go by then."""
        liveness = liveness_standing_by(self._resources)
        await self._show(facts_standing_by(self._resources, watchlist, liveness, self._problem), watchlist)
        reading = asyncio.create_task(self._read_again(), name="wait for another watchlist")
        living = asyncio.create_task(liveness.run(), name="liveness")
        try:
            while not (self._seat.trusted or self._stop.is_set() or reading.done()):
                if self._seat.is_lost:
                    await self._end_life()
                if self._resources.store.attending.done():
                    self._resources.store.attending.result()
                await self._pause(GLANCE)
            if not reading.done():
                return watchlist
            liveness.reloading()
            log_reload(reading.result(), watchlist, _today())
            return reading.result()
        finally:
            await cancelled(reading, living)

    async def _end_life(self) -> None:
        """Nothing of the old life may reach the database in the new one, nor what it knew be taken for what is."""
        await self._replaced.end()
        if self._in_force is not None:
            async with self._in_force.taking:  # until the webhook that is taken now is; the next meets who stands by
                pass
        await self._resources.forget()
        self._seat.anew()

    def _problem(self) -> str | None:
        return self._reloads.problem if self._reloads is not None else None

    async def _pause(self, seconds: float) -> None:
        """So many seconds, or until told to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


def _today() -> date:
    return datetime.now(UTC).date()


def facts_of(worker: Worker, reloads: Reloads | None) -> WorkerFacts:
    """What the server knows of a worker, and of a watchlist that is not in force."""
    watchlist = worker.watchlist
    return WorkerFacts(
        database=worker.store.place,
        workspaces=watchlist.workspaces,
        watches=watchlist.watches,
        receivers=tuple(watchlist.receivers),
        ailment=worker.liveness.ailment,
        not_ready=worker.not_ready,
        not_in_force=lambda: reloads.problem if reloads is not None else None,
        listed=worker.listed,
        watched=worker.watched,
        elsewhere=worker.elsewhere,
        inboxes=worker.boxes(),
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
