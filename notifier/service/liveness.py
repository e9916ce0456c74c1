"""Tells those who look at the worker from outside that it works: systemd, and whoever the heartbeat goes to."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from notifier.service.heartbeat import Heartbeat, open_heartbeat
from notifier.service.oversight import Oversight
from notifier.service.systemd import Systemd
from notifier.service.vitals import Vitals, WorkspaceVitals, ailment, trouble
from notifier.store.store import Store
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.models import Watchlist


class Liveness:
    """Knows how the worker is. Times are the loop's, which no change of the clock moves."""

    def __init__(
        self,
        store: Store,
        watchers: Collection[WorkspaceWatcher],
        systemd: Systemd,
        heartbeat: Heartbeat | None,
        oversight: Oversight | None = None,
        *,
        stands_by: bool = False,
    ) -> None:
        self._store = store
        self._stands_by = stands_by
        self._watchers = watchers
        self._systemd = systemd
        self._heartbeat = heartbeat
        self._oversight = oversight
        self._loops: tuple[asyncio.Task[None], ...] = ()

    def watch(self, *loops: "asyncio.Task[None]") -> None:
        """From now on the worker is healthy only while all of these are alive."""
        self._loops = loops

    def vitals(self) -> Vitals:
        """How the worker is now."""
        seat = self._store.seat
        return Vitals(
            loops_alive=not any(loop.done() for loop in self._loops),
            # Who stands by writes nothing but that it is alive; what its last write came to, when it worked, is over.
            database_works=seat.is_alive if self._stands_by or seat.stands_aside else self._store.works,
            written_before=self._store.idle,
            workspaces=tuple(self._vitals_of(watcher) for watcher in self._watchers),
        )

    def ailment(self) -> str | None:
        """Why the worker is not healthy; None while it is."""
        return self._store.seat.ailment or ailment(self.vitals())

    def trouble(self) -> str | None:
        """Why not all is well, here or with other workers; None while all is."""
        others = self._oversight.vitals() if self._oversight is not None else ()
        mine = self.vitals()
        return trouble(
            replace(mine, workspaces=(*mine.workspaces, *others), nobodys=tuple(sorted(self._store.seat.nobodys)))
        )

    async def run(self) -> None:
        """Tells systemd that the worker is ready, and goes on telling until cancelled."""
        self._systemd.tell("READY=1")
        if self._systemd.watchdog is not None:
            await self._feed(self._systemd.watchdog / 2)

    async def send_heartbeats(self) -> None:
        """Tells the monitor of the watchlist that all is well, while it is, whoever works at what; until cancelled."""
        if self._heartbeat is None:
            return
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._heartbeat.run(self.trouble), name="heartbeat")
            if self._oversight is not None:
                loops.create_task(self._oversight.run(), name="look at what others watch")

    def reloading(self) -> None:
        """Another watchlist is about to take effect; the next worker's `run` tells that it has."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._systemd.tell(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """The worker was asked to stop, or has to."""
        self._systemd.tell("STOPPING=1")

    async def _feed(self, every: timedelta) -> None:
        """Feeds the watchdog while the worker is healthy. systemd restarts one that does not feed it in time."""
        while True:
            if self.ailment() is None:
                self._systemd.tell("WATCHDOG=1")
            await asyncio.sleep(every.total_seconds())

    def _vitals_of(self, watcher: WorkspaceWatcher) -> WorkspaceVitals:
        answered_at = watcher.health.answered_at
        before = None if answered_at is None else self._since(answered_at)
        return WorkspaceVitals(watcher.name, watcher.longest_pause, before, watcher.health.unlisted)

    def _since(self, moment: float) -> timedelta:
        return timedelta(seconds=self._now() - moment)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


@asynccontextmanager
async def open_liveness(
    watchlist: Watchlist, store: Store, watching: Mapping[str, WorkspaceWatcher]
) -> AsyncIterator[Liveness]:
    """With the watchlist's heartbeat, and the systemd of the environment. `watching` changes as workspaces are taken.
    Raises ProxyUnusable."""
    async with AsyncExitStack() as stack:
        heartbeat = oversight = None
        if watchlist.heartbeat is not None:
            heartbeat = await stack.enter_async_context(open_heartbeat(watchlist.heartbeat))
        if store.seat.is_shared:
            oversight = Oversight(store.watching, watchlist.workspaces, watching)
        yield Liveness(store, watching.values(), Systemd.of(os.environ, os.getpid()), heartbeat, oversight)
