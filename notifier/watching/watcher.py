"""When to poll what in one workspace.

One loop hands out polls in the order they are due, at most `max_concurrent_requests` at once; another lists the
workspace's syncs. A workspace that is down is asked by one poll at a time; when it answers, all go on.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

import structlog

from notifier.census.client import CensusClient
from notifier.census.listing import read_listing
from notifier.model.errors import CensusError, DatabaseUnusable, NotFound, StoreUnavailable, Unauthorized
from notifier.model.incident import Check
from notifier.model.meters import DEAF_TO_WORKSPACE, PollOutcome, WorkspaceMeter, poll_outcome
from notifier.model.sync import Sync
from notifier.watching import pace
from notifier.watching.health import AUTH_CONFIRM, AUTH_RETRY, Health
from notifier.watching.outage import Outage
from notifier.watching.poll import Observer, RunFate
from notifier.watching.roster import Changes, Listings, Roster
from notifier.watching.silence import Silence
from notifier.watching.target import RunTarget, SyncTarget, Unread
from notifier.watchlist.models import Workspace

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 1.0  # seconds between two looks at whether the workspace's API is silent
LISTING: Final = -1  # stands among the numbers of the pollers
FROZEN: Final = 10.0  # seconds between two such looks tell that the process stood still
TELL_AFTER: Final = 3  # failures in a row of a target among others that work
BEFORE_OTHERS: Final = 0.5  # seconds by which syncs with a run come before those at rest, after a start
AFTER_OTHERS: Final = 1.0  # seconds by which a sync whose key was refused comes after one that may contradict it
STORE_RETRY: Final = 2.0  # seconds until a poll is tried again whose finds could not be kept
AT_ONCE: Final = 2  # polls for each request that may be under way: while some are recorded, others ask
EARLY: Final = 0.001  # seconds by which a poll may begin before it is due: a timer of whole milliseconds may ring early


@dataclass(slots=True, eq=False)
class Poller:
    """One target and when it is due. `number` is its place in the interval, `failures` those in a row.

    `error`: how the last one failed. `failed_at`: when, by the loop's clock. `again`: a poll was asked for while one
    was `under_way`.
    """

    target: SyncTarget | RunTarget
    number: int
    due: float
    failures: int = 0
    error: str = ""
    failed_at: float = 0.0
    reported: bool = False
    removed: bool = False
    active: bool = False
    outside: int = 0
    under_way: bool = False
    again: bool = False


_Due = tuple[float, int, Poller]


def _holds(entry: _Due) -> bool:
    """Whether a poller is still due at the time at which it was to be."""
    due, _, poller = entry
    return not (poller.removed or poller.under_way) and due == poller.due


def _named(target: SyncTarget | RunTarget) -> dict[str, int]:
    if isinstance(target, SyncTarget):
        return {"sync_id": target.sync_id}
    return {"sync_run_id": target.run_id}


class WorkspaceWatcher:
    """Polls all that the watchlist covers in one workspace."""

    def __init__(
        self,
        settings: Workspace,
        client: CensusClient,
        observer: Observer,
        roster: Roster,
        health: Health,
        *,
        outage: Outage | None = None,
        meter: WorkspaceMeter = DEAF_TO_WORKSPACE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = roster.workspace
        self.health = health
        self._outage = outage
        self._meter = meter
        self._settings = settings
        self._client = client
        self._observer = observer
        self._roster = roster
        self._clock = clock
        self._jitter = jitter
        rest, active = settings.poll_interval, settings.active_poll_interval
        # A short poll_interval alone does not ask for a sync with a run to be looked at less often than one at rest.
        self._intervals = pace.Intervals(rest.total_seconds(), min(active, rest).total_seconds())
        self._listing_interval = pace.listing_interval(settings.poll_interval)
        self._listing_pages = 1
        self._pollers: dict[int, Poller] = {}  # by the identity of their target
        self._due: list[_Due] = []
        self._count = 0
        self._wake = asyncio.Event()
        self._list_soon = asyncio.Event()
        self._active = 0
        self._outside = 0
        self._stretch_reported = False
        self.loaded = asyncio.Event()  # set once it is known what is watched

    @property
    def longest_pause(self) -> timedelta:
        """The longest that the API is left unasked while it answers: a stretched interval, or what a listing has."""
        rest = self._intervals.rest * self._intervals.stretch
        return timedelta(seconds=rest if self._pollers else self._listing_interval)

    @property
    def watched_syncs(self) -> int:
        """How many syncs are polled."""
        return len(self._roster.syncs)

    # --- the loops ---

    async def run(self) -> None:
        """Watches until cancelled. Raises DatabaseUnusable."""
        await self._load()
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._look_after_it(), name=f"look after {self.name}")
            loops.create_task(self._list_for_ever(), name=f"list syncs of {self.name}")
            loops.create_task(self._poll_for_ever(), name=f"poll {self.name}")

    async def run_once(self) -> bool:
        """One round: a listing, then every target once. False when something could not be read or kept."""
        await self._load()
        listed = await self._list()
        everyone = list(self._pollers.values())
        places = asyncio.Semaphore(self._settings.max_concurrent_requests)

        async def one(poller: Poller) -> None:
            async with places:
                if self.health.is_down:
                    poller.failures += 1  # asking on would only be told the same
                else:
                    await self._poll(poller)

        try:
            async with asyncio.TaskGroup() as polls:
                for poller in everyone:
                    polls.create_task(one(poller))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group  # what ends a round is the database's, and the same for all
        whole = [await self._conclude(poller) for poller in everyone]
        await self.health.round_is_over()
        if self._outage is not None:
            with suppress(StoreUnavailable):
                await self._outage.look()
        return listed and all(whole)

    async def _conclude(self, poller: Poller) -> bool:
        """At the end of a round: whether its target could be read, said where it could not."""
        target = poller.target
        run = target.unread_run() if isinstance(target, SyncTarget) else None
        if not poller.failures and run is None:
            return True
        error = poller.error or (f"run {run[0]}: {run[1].error}" if run is not None else "")
        if error:
            log.warning("could not be read in this round", workspace=self.name, **_named(target), error=error)
        if poller.failures and isinstance(target, SyncTarget) and self._answers():
            with suppress(StoreUnavailable):
                await self._not_read(target, poller.error, None, None, is_told=True)
        return False

    async def _load(self) -> None:
        listings = Listings.of(self.health.state)
        self._observer.api_clock.remember(listings.complete_at or listings.first_at)
        self._apply(await self._roster.load(listings))
        self.loaded.set()
        if self._outage is not None:
            await self._outage.load()

    async def _look_after_it(self) -> None:
        """Looks at whether it is time to tell that the API is silent; also notices that this process was frozen."""
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while self._outage is not None:
            now = loop.time()
            if now - looked_at > FROZEN:
                self.health.stood_still(now - looked_at)
            looked_at = now
            try:
                await self._outage.look()
            except StoreUnavailable:
                pass  # the store has said it, and the next look tries again
            except DatabaseUnusable:
                raise
            except Exception:
                log.exception("a look at the workspace failed by a fault of the notifier; please report it")
            await asyncio.sleep(LOOK_EVERY)

    async def _list_for_ever(self) -> None:
        failures = 0
        while True:
            await self.health.until_asked_again()
            self._list_soon.clear()
            failures = 0 if await self._list() else failures + 1
            wait = self._listing_interval
            wait = min(wait, pace.back_off(failures, self._jitter())) if failures else wait
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._list_soon.wait()

    async def _poll_for_ever(self) -> None:
        """Tasks that poll take turns at waiting for who is due next; another joins when all are polling.

        Who has waited polls itself, so that a poll at rest wakes one task, once.
        """
        turn = asyncio.Lock()
        tasks = waiting = 0

        async def poll_in_turn() -> None:
            nonlocal waiting
            while True:
                waiting += 1
                async with turn:
                    await self._client.gate.room()
                    await self.health.until_asked_again()
                    poller = await self._next_due()
                    waiting -= 1
                    if self.health.is_left_alone:  # by now
                        self._schedule(poller)
                        continue
                    poller.under_way = True
                    if self.health.is_down:
                        await self._poll_and_schedule(poller)
                        continue
                if not waiting:
                    join()
                await self._poll_and_schedule(poller)

        def join() -> None:
            nonlocal tasks
            if tasks < AT_ONCE * self._settings.max_concurrent_requests:
                tasks += 1
                polls.create_task(poll_in_turn(), name=f"poll {self.name}")

        async with asyncio.TaskGroup() as polls:
            join()

    async def _poll_and_schedule(self, poller: Poller) -> None:
        try:
            await self._poll(poller)
        finally:
            poller.under_way = False
        self._schedule(poller)
        if poller.again:
            poller.again = False
            self._hurry(poller)

    async def _next_due(self) -> Poller:
        loop = asyncio.get_running_loop()
        while True:
            while self._due and not _holds(self._due[0]):
                heapq.heappop(self._due)
            if self._due and self._due[0][0] <= loop.time() + EARLY:
                return heapq.heappop(self._due)[2]
            self._wake.clear()
            alarm = loop.call_at(self._due[0][0], self._wake.set) if self._due else None
            try:
                await self._wake.wait()
            finally:
                if alarm is not None:
                    alarm.cancel()

    def _schedule(self, poller: Poller) -> None:
        if not poller.removed:
            heapq.heappush(self._due, (poller.due, poller.number, poller))
            if self._due[0][2] is poller:  # else whoever waits is woken for another before
                self._wake.set()

    def listed(self) -> Iterator[tuple[Sync, bool]]:
        """All syncs of the last listing by their ID, and whether they are watched."""
        for sync_id in sorted(self._roster.listed):
            yield self._roster.listed[sync_id], self._roster.is_watched(sync_id)

    def watched(self) -> Iterator[SyncTarget]:
        """The syncs that are watched, by their ID."""
        for sync_id in sorted(self._roster.syncs):
            yield self._roster.syncs[sync_id]

    def poll_soon(self, sync_id: int) -> None:
        """Has a watched sync polled next, or once more after the poll that is under way; a hint, whoever gave it.

        Hints that come together are one. A workspace that is left alone stays so, and so does a sync whose polls fail.
        """
        target = self._roster.syncs.get(sync_id)
        poller = self._pollers.get(id(target))
        if poller is None:
            return
        if poller.under_way:
            poller.again = True
        else:
            self._hurry(poller)

    def _hurry(self, poller: Poller) -> None:
        now = asyncio.get_running_loop().time()
        if self.health.is_down or poller.failures or poller.removed or poller.due <= now:
            return
        poller.due = now
        self._schedule(poller)
        if len(self._due) > 2 * len(self._pollers) + 100:  # what was due later stays behind; it must not pile up
            self._due = [entry for entry in self._due if _holds(entry)]
            heapq.heapify(self._due)

    def raise_floor(self, sync_id: int, floor: datetime) -> None:
        """Nothing of this sync that was created up to then is ever news any more."""
        target = self._roster.syncs.get(sync_id)
        if target is not None:
            target.raise_floor(floor)

    # --- what the targets are ---

    async def _list(self) -> bool:
        """Lists the workspace's syncs and brings the targets in line; False when that failed, or was not whole."""
        begun = asyncio.get_running_loop().time()
        try:
            return await self._list_and_apply(begun)
        except StoreUnavailable:
            self._apply(self._roster.take_changes())  # what of it could be kept; the store has said the rest
        except DatabaseUnusable:
            raise
        except Exception:
            log.exception("listing failed by a fault of the notifier; please report it", workspace=self.name)
            self._apply(self._roster.take_changes())
            await self.health.unlisted_by("a fault of the notifier; see its log", begun)
        return False

    async def _list_and_apply(self, begun: float) -> bool:
        try:
            listing = await read_listing(self._client, self._clock())
        except CensusError as error:
            await self._not_listed(error, begun)
            return False
        changes = await self._roster.apply(
            replace(listing, listed_at=self._observer.api_clock.read(listing.listed_at).earliest)
        )
        self._apply(changes)
        self._listing_pages = listing.pages
        self.health.state = self._roster.listings.kept_in(self.health.state)
        if self._roster.flaw is None:
            await self.health.listed(polled=len(self._pollers))
        else:
            await self.health.unlisted_by(self._roster.flaw, begun)
        await self.health.save()
        await self._stretch()
        return self._roster.flaw is None

    async def _not_listed(self, error: CensusError, begun: float) -> None:
        """The listing can't be read now, and perhaps never can. 403 may be about the listing alone."""
        log.debug("syncs could not be listed", workspace=self.name, error=str(error))
        if isinstance(error, Unauthorized) and error.status == HTTPStatus.UNAUTHORIZED:
            await self.health.refused(error, begun)
            return
        if isinstance(error, NotFound | Unauthorized) or self._roster.listings.first_at is None:
            with suppress(StoreUnavailable):
                self._apply(await self._roster.apply_failure())
        if isinstance(error, Unauthorized) and not self._pollers:
            await self.health.refused(error, begun)
            return
        remedy = "; check the workspace's region or base_url, and the API's version in it"
        await self.health.unlisted_by(f"{error}{remedy if isinstance(error, NotFound) else ''}", begun)
        if not self._pollers:
            await self.health.failed(error, of=LISTING, among=1, begun=begun)

    def _apply(self, changes: Changes) -> None:
        now = asyncio.get_running_loop().time()
        for target in changes.removed:
            poller = self._pollers.pop(id(target))
            poller.removed = True
            self._count_activity(poller, active=False, outside=0)
        for target in changes.added:
            active = isinstance(target, RunTarget) or bool(target.followed)
            poller = Poller(target, self._count, now - BEFORE_OTHERS * active)
            self._count += 1
            self._pollers[id(target)] = poller
            self._count_activity(poller, active=active, outside=0)
            self._schedule(poller)

    # --- one poll ---

    async def _poll(self, poller: Poller) -> None:
        begun = asyncio.get_running_loop().time()
        self._meter.poll_begins(begun - poller.due)
        outcome = await self._attempt(poller)
        self._meter.poll_ended(outcome, asyncio.get_running_loop().time() - begun)

    async def _attempt(self, poller: Poller) -> PollOutcome:
        """Polls and says when next. Whatever goes wrong with one target, the others go on."""
        now = asyncio.get_running_loop().time
        begun = now()
        try:
            try:
                await self._observe(poller)
            except CensusError as error:
                return await self._failed(poller, error, begun)
            was_down = self.health.is_down
            await self.health.answered()
            poller.failures, poller.error, poller.reported = 0, "", False
            if was_down:
                self._resume()
            await self._was_read(poller)
        except StoreUnavailable:
            poller.failures += 1
            poller.due = now() + STORE_RETRY
            return PollOutcome.NOT_KEPT
        except DatabaseUnusable:
            raise
        except Exception:
            poller.failures += 1
            poller.due = now() + pace.back_off(poller.failures + 5, self._jitter())
            log.exception("poll failed by a fault of the notifier; please report it", workspace=self.name)
            return PollOutcome.FAULT
        await self._settle(poller)
        return PollOutcome.OK

    async def _failed(self, poller: Poller, error: CensusError, begun: float) -> PollOutcome:
        """A poll did not read what it came for: when it is tried again, and what that says of the workspace."""
        now, target = asyncio.get_running_loop().time, poller.target
        among, fresh = len(self._pollers), not poller.failures
        poller.error = str(error)
        match error:
            case NotFound():
                poller.due = pace.next_poll(now(), poller.number, self._intervals, active=False)
                if isinstance(target, RunTarget) or target.sync_id not in self._roster.listed:
                    self._report(poller, "watched sync is not found")
                    return PollOutcome.NOT_FOUND
                # The listing shows it. If it is gone, the next one says so; else its runs can't be read.
                poller.failures += 1
                self._list_soon.set()
                await self.health.failed(error, of=poller.number, among=among, begun=begun, fresh=fresh)
            case Unauthorized():
                poller.failures += 1
                await self._on_unauthorized(poller, error, begun, fresh=fresh)
            case _:
                poller.failures += 1
                await self.health.failed(error, of=poller.number, among=among, begun=begun, fresh=fresh)
                wait = 0.0 if self.health.is_down else pace.back_off(poller.failures, self._jitter())
                poller.due = now() + wait
                log.debug("poll failed", workspace=self.name, error=str(error), failures=poller.failures)
        if self.health.is_in_doubt:
            self._ask_another()
        if isinstance(target, RunTarget):
            if poller.failures >= TELL_AFTER and self._answers():
                self._report(poller, "watched run can't be read")
        elif self._answers():
            is_told = poller.failures >= TELL_AFTER or isinstance(error, NotFound | Unauthorized)
            await self._not_read(target, poller.error, None, begun, is_told=is_told)
            await self._observer.pass_time(target)
        return poll_outcome(error)

    def _resume(self) -> None:
        """The workspace is back: what failed with it waits no longer than any other."""
        now = asyncio.get_running_loop().time()
        for poller in self._pollers.values():
            if poller.failures and not poller.under_way:
                soon = pace.next_poll(now, poller.number, self._intervals, active=poller.active)
                if soon < poller.due:
                    poller.due = soon
                    self._schedule(poller)

    def _ask_another(self) -> None:
        """Has one polled next of which no poll has failed, to find out whether it is the workspace."""
        well = (each for each in self._pollers.values() if not each.failures and not each.under_way)
        another = min(well, key=lambda each: each.due, default=None)
        if another is not None:
            self._hurry(another)

    def _answers(self) -> bool:
        """Whether others of the workspace could be read lately: what fails meanwhile fails by itself."""
        answered_at = self.health.answered_at
        if self.health.is_down or answered_at is None:
            return False
        return asyncio.get_running_loop().time() - answered_at <= 3 * self.longest_pause.total_seconds()

    async def _was_read(self, poller: Poller) -> None:
        """The list of a sync's runs could be read; one of its runs may still not be."""
        target = poller.target
        if not isinstance(target, SyncTarget):
            return
        if (run := target.unread_run()) is not None:
            run_id, followed = run
            is_told = followed.failures >= TELL_AFTER
            await self._not_read(target, followed.error, run_id, followed.failing_since, is_told=is_told)
        elif target.unread is not None or Check.UNREADABLE in target.state.open:
            await self._observer.was_read(target)

    async def _not_read(
        self, target: SyncTarget, error: str, run_id: int | None, begun: float | None, *, is_told: bool
    ) -> None:
        """The runs of a sync, or one of them, can't be read, though the workspace answers. `is_told`: that is worth a
        line. Raises StoreError."""
        unread = target.unread
        if unread is None or (unread.run_id != run_id and not unread.is_remembered):
            unread = target.unread = Unread(Silence(self._clock))
        unread.run_id, unread.is_remembered = run_id, False
        unread.silence.fails(begun)
        unread.silence.begins_no_earlier_than(self.health.answers_since)
        await self._observer.not_read(target, unread, error, is_told=is_told)

    async def _observe(self, poller: Poller) -> None:
        target = poller.target
        if isinstance(target, SyncTarget):
            await self._observer.poll_sync(target)
            return
        fate = await self._observer.poll_run(target, self._roster.sync_label, self._roster.is_watched)
        if fate is RunFate.ENDED:
            self._roster.end_run(target)
        elif fate is RunFate.GOES_ON or not await self._roster.hand_over(target):
            return
        self._apply(Changes(removed=[target]))

    async def _on_unauthorized(self, poller: Poller, error: Unauthorized, begun: float, *, fresh: bool) -> None:
        """401 is about the key, unless another could be read with it since this one was refused before. 403 may be
        about one sync: others are asked before the workspace is given up; and it may be brief, so that it is asked
        about once more soon."""
        now = asyncio.get_running_loop().time
        answered_at = self.health.answered_at
        is_its_own = poller.failures > 1 and answered_at is not None and answered_at > poller.failed_at
        poller.failed_at = now()
        if len(self._pollers) == 1 or (error.status == HTTPStatus.UNAUTHORIZED and not is_its_own):
            poller.due = now() + AFTER_OTHERS
            self._ask_another()  # once the workspace is asked again
            await self.health.refused(error, begun)
            return
        await self.health.failed(error, of=poller.number, among=len(self._pollers), begun=begun, fresh=fresh)
        is_soon = poller.failures == 1 or self.health.is_down  # which says itself when it is asked again
        poller.due = now() + (AUTH_CONFIRM if is_soon else AUTH_RETRY).total_seconds()

    def _report(self, poller: Poller, sentence: str) -> None:
        if not poller.reported:
            poller.reported = True
            log.warning(sentence, workspace=self.name, **_named(poller.target), error=poller.error)

    # --- pace ---

    async def _settle(self, poller: Poller) -> None:
        target = poller.target
        if isinstance(target, SyncTarget):
            active, outside = target.is_active(self._observer.api_clock.now()), len(target.outside)
        else:
            active, outside = target.active, 0
        if not poller.removed and (active != poller.active or outside != poller.outside):
            self._count_activity(poller, active=active, outside=outside)
            await self._stretch()
        # A poll that ended before it was due, as one that began early may, must not come twice for one place.
        now = max(asyncio.get_running_loop().time(), poller.due)
        poller.due = pace.next_poll(now, poller.number, self._intervals, active=active)

    def _count_activity(self, poller: Poller, *, active: bool, outside: int) -> None:
        self._active += active - poller.active
        self._outside += outside - poller.outside
        poller.active, poller.outside = active, outside

    async def _stretch(self) -> None:
        """Keeps the intervals within the budget, by one factor for all."""
        allowed = self._settings.max_requests_per_second
        polls = pace.demand(
            resting=len(self._pollers) - self._active,
            active=self._active,
            outside=self._outside,
            intervals=self._intervals,
        )
        listings = self._listing_pages / self._listing_interval
        factor = pace.stretch(polls, listings, allowed)
        needed = polls + listings
        self._intervals = replace(self._intervals, stretch=factor)
        stretched, was_stretched = factor > 1, self.health.state.stretch > 1
        self.health.state = replace(
            self.health.state, stretch=factor, needed_rate=round(needed, 2) if stretched else None
        )
        if stretched != was_stretched:
            await self.health.save()
        if stretched and not self._stretch_reported:
            self._stretch_reported = True
            log.warning(
                "intervals are stretched: the watchlist asks for more requests than max_requests_per_second",
                workspace=self.name,
                factor=factor,
                needed_requests_per_second=round(needed, 2),
                max_requests_per_second=allowed,
            )
