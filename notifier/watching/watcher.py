"""The loops that watch one workspace.

One polls targets in the order in which they are due, at most `max_concurrent_requests` at once; another lists the
workspace's syncs. A workspace that is down is asked by one poll at a time; when it answers, all go on.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from notifier.census.client import CensusClient
from notifier.model.errors import DatabaseUnusable, StoreUnavailable
from notifier.model.identity import Id, in_order
from notifier.model.meters import NO_WORKSPACE_METER, WorkspaceMeter
from notifier.model.sync import Sync
from notifier.watching import pace
from notifier.watching.attempt import PollAttempts
from notifier.watching.health import Health
from notifier.watching.hints import hints_of
from notifier.watching.lister import Lister
from notifier.watching.outage import Outage
from notifier.watching.poll import Observer
from notifier.watching.roster import NOT_LISTED, Roster
from notifier.watching.schedule import Poller, Schedule
from notifier.watching.target import SyncTarget
from notifier.watching.turns import Turns
from notifier.watchlist.models import Workspace

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 1.0  # seconds between two looks at whether the workspace's API is silent
FROZEN: Final = 10.0  # seconds between two such looks tell that the process stood still
COUNTED_EVERY: Final = 10.0  # seconds between two looks at how many requests there were in the last minute
REQUESTS_DIFFER: Final = 0.2  # the part by which the requests of a minute change before it is worth a write
AT_ONCE: Final = 2  # polls for each request that may be under way: while some are recorded, others ask


class WorkspaceWatcher:
    """Polls all that the watchlist covers in one workspace."""

    def __init__(
        self,
        settings: Workspace,
        client: CensusClient,
        observer: Observer,
        roster: Roster,
        health: Health,
        outage: Outage,
        *,
        meter: WorkspaceMeter = NO_WORKSPACE_METER,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = roster.workspace
        self.health = health
        self._outage = outage
        self._settings = settings
        self._client = client
        self._roster = roster
        self._jitter = jitter
        self._wake = asyncio.Event()
        self._list_soon = asyncio.Event()
        self._schedule = Schedule.of(settings, sooner=self._wake.set)
        self._hints = hints = hints_of(settings, health.state, client.version.source)
        self._lister = Lister(client, observer, roster, health, self._schedule, hints, self._tell_stretch, clock=clock)
        self._attempts = PollAttempts(
            observer,
            roster,
            health,
            self._schedule,
            hints,
            self._tell_stretch,
            list_soon=self._list_soon.set,
            meter=meter,
            clock=clock,
            jitter=jitter,
        )
        self._stretch_reported = False
        self.loaded = asyncio.Event()  # set once it is known what is watched

    @property
    def longest_pause(self) -> timedelta:
        """The longest that the API is left unasked while it answers: a stretched interval, or what a listing has."""
        return timedelta(seconds=self._schedule.longest_pause)

    @property
    def watched_syncs(self) -> int:
        """How many syncs are polled."""
        return len(self._roster.syncs)

    @property
    def has_listed(self) -> bool:
        """Whether `listed` gives a listing of this watcher's own, be it of nothing."""
        return self._roster.listed is not NOT_LISTED

    # --- the loops ---

    async def run(self) -> None:
        """Watches until cancelled. Raises DatabaseUnusable."""
        await self._load()
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._look_after_it(), name=f"look after {self.name}")
            loops.create_task(self._list_for_ever(), name=f"list syncs of {self.name}")
            loops.create_task(self._poll_for_ever(), name=f"poll {self.name}")
            loops.create_task(self._count_requests(), name=f"count requests of {self.name}")

    async def run_once(self) -> bool:
        """One round: a listing, then every target once. False when something could not be read or kept."""
        await self._load()
        listed = await self._lister.list()
        everyone = list(self._schedule)
        places = asyncio.Semaphore(self._settings.max_concurrent_requests)

        async def one(poller: Poller) -> None:
            async with places:
                if self.health.is_down:
                    poller.failures += 1  # asking on would only be told the same
                else:
                    await self._attempts.make(poller)

        try:
            async with asyncio.TaskGroup() as polls:
                for poller in everyone:
                    polls.create_task(one(poller))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group  # what ends a round is the database's, and the same for all
        whole = [await self._attempts.conclude(poller) for poller in everyone]
        await self.health.round_is_over()
        with suppress(StoreUnavailable):
            await self._outage.look()
        return listed and all(whole)

    async def _load(self) -> None:
        await self._lister.load()
        self.loaded.set()
        await self._outage.load()

    async def _look_after_it(self) -> None:
        """Looks at whether it is time to tell that the API is silent; also notices that this process was frozen."""
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while True:
            now = loop.time()
            if now - looked_at > FROZEN:
                self.health.stood_still(now - looked_at)
            looked_at = now
            self._lister.look(now)
            try:
                await self._outage.look()
            except StoreUnavailable:
                pass  # the store has said it, and the next look tries again
            except DatabaseUnusable:
                raise
            except Exception:
                log.exception("a look at the workspace failed by a fault of the notifier; please report it")
            await asyncio.sleep(LOOK_EVERY)

    async def _count_requests(self) -> None:
        """Keeps how many requests the workspace takes, where that is another number than was known."""
        while True:
            await asyncio.sleep(COUNTED_EVERY)
            number, known = self._client.gate.in_last_minute(), self.health.state.requests_per_minute
            if known is None or abs(number - known) > known * REQUESTS_DIFFER:
                self.health.remember(partial(replace, requests_per_minute=number))
                await self.health.save()

    async def _list_for_ever(self) -> None:
        now = asyncio.get_running_loop().time
        failures = 0
        while True:
            await self.health.until_asked_again()
            is_asked_for = self._list_soon.is_set()
            self._list_soon.clear()
            begun = now()
            failures = 0 if await self._lister.list(whole=is_asked_for) else failures + 1
            took = now() - begun
            wait = self._schedule.listing_interval
            if self._hints.is_trusted:
                wait = max(wait - took, took / 2)  # from one beginning to the next, and never one after the other
            wait = min(wait, pace.back_off(failures, self._jitter())) if failures else wait
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._list_soon.wait()

    async def _poll_for_ever(self) -> None:
        most = AT_ONCE * self._settings.max_concurrent_requests
        await Turns(self._next_to_begin, self._due_at_once, self._poll_and_schedule, most=most).run(f"poll {self.name}")

    def _due_at_once(self, handed_out: int) -> Poller | None:
        """The first poll, if it is due and may begin. So many more are about to."""
        if self.health.is_down or self._client.gate.free <= handed_out:
            return None
        return self._schedule.take(asyncio.get_running_loop().time())

    async def _poll_and_schedule(self, poller: Poller) -> None:
        ended = await self._attempts.make(poller)
        self._schedule.landed(poller, ended, is_down=self.health.is_down)

    async def _next_to_begin(self) -> Poller:
        """Waits for the first poll that is due and may begin. While the workspace is down, polls one by one."""
        while True:
            await self._client.gate.room()
            await self.health.until_asked_again()
            poller = await self._next_due()
            if self.health.is_left_alone:  # by now
                self._schedule.put_back(poller)
            elif self.health.is_down:
                await self._poll_and_schedule(poller)
            else:
                return poller

    async def _next_due(self) -> Poller:
        """Waits for the first poll that is due."""
        loop = asyncio.get_running_loop()
        while (poller := self._schedule.take(loop.time())) is None:
            self._wake.clear()
            due = self._schedule.next_due()
            alarm = None if due is None else loop.call_at(due, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                if alarm is not None:
                    alarm.cancel()
        return poller

    # --- from outside ---

    def listed(self) -> Iterator[tuple[Sync, bool]]:
        """All syncs of the last listing by their ID, and whether they are watched."""
        for sync_id in sorted(self._roster.listed, key=in_order):
            yield self._roster.listed[sync_id], self._roster.is_watched(sync_id)

    def watched(self) -> Iterator[SyncTarget]:
        """The syncs that are watched, by their ID."""
        for sync_id in sorted(self._roster.syncs, key=in_order):
            yield self._roster.syncs[sync_id]

    def poll_soon(self, sync_id: Id) -> None:
        """Polls a sync next if it is watched, or once more after the poll that is under way; a hint, whoever gave it.

        Hints that come together are one. A workspace that is left alone stays so, and so does a sync whose polls fail.
        """
        target = self._roster.syncs.get(sync_id)
        poller = self._schedule.poller_of(target) if target is not None else None
        if poller is not None:
            self._schedule.hurry(poller, asyncio.get_running_loop().time(), is_down=self.health.is_down)

    def raise_floor(self, sync_id: Id, floor: datetime) -> None:
        """Nothing of this sync that was created up to then is ever news any more."""
        target = self._roster.syncs.get(sync_id)
        if target is not None:
            target.raise_floor(floor)

    async def _tell_stretch(self) -> None:
        """Keeps by how much the intervals are stretched, and says it once."""
        factor, needed = self._schedule.stretch, self._schedule.needed
        await self.health.stretched(factor, needed)
        if factor > 1 and not self._stretch_reported:
            self._stretch_reported = True
            log.warning(
                "intervals are stretched: the watchlist asks for more requests than max_requests_per_second",
                workspace=self.name,
                factor=factor,
                needed_requests_per_second=round(needed, 2),
                max_requests_per_second=self._settings.max_requests_per_second,
            )
