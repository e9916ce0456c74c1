"""One poll of one target: what came of it, when it is tried again, and what it says of the workspace."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Final

import structlog

from notifier.judging.standing import next_due_at
from notifier.model.errors import CensusError, DatabaseUnusable, NotFound, StoreUnavailable, Unauthorized
from notifier.model.identity import Id
from notifier.model.incident import Check
from notifier.model.meters import PollOutcome, WorkspaceMeter, poll_outcome
from notifier.watching import pace
from notifier.watching.health import AUTH_CONFIRM, AUTH_RETRY, Health
from notifier.watching.hints import ListHints
from notifier.watching.poll import Observer, RunFate
from notifier.watching.roster import Roster
from notifier.watching.schedule import Poller, Schedule, Target
from notifier.watching.target import RunTarget, SyncTarget

log = structlog.get_logger(__name__)

TELL_AFTER: Final = 3  # failures in a row of a target among others that work
AFTER_OTHERS: Final = 1.0  # seconds by which a sync whose key was refused comes after one that may contradict it
WHOLE_EVERY: Final = 9.5  # intervals for which an API may say that a sync's runs are as before
STORE_RETRY: Final = 2.0  # seconds until a poll is tried again whose finds could not be kept


class PollAttempts:
    """Polls one target at a time for its caller. Whatever goes wrong with one, the others go on.

    `stretched` is called when the intervals of all were reckoned anew. `list_soon` asks for a listing, which says
    whether a sync that is not found is gone.
    """

    def __init__(
        self,
        observer: Observer,
        roster: Roster,
        health: Health,
        schedule: Schedule,
        hints: ListHints,
        stretched: Callable[[], Awaitable[None]],
        *,
        list_soon: Callable[[], None],
        meter: WorkspaceMeter,
        clock: Callable[[], datetime],
        jitter: Callable[[], float],
    ) -> None:
        self._observer = observer
        self._roster = roster
        self._health = health
        self._schedule = schedule
        self._hints = hints
        self._stretched = stretched
        self._list_soon = list_soon
        self._meter = meter
        self._clock = clock
        self._jitter = jitter

    async def make(self, poller: Poller) -> float:
        """Polls, decides when the next poll is, and says when this one was over. Raises DatabaseUnusable."""
        now = asyncio.get_running_loop().time
        begun = now()
        self._meter.poll_begins(begun - poller.due)
        outcome = await self._outcome(poller, begun)
        if outcome is PollOutcome.OK:
            await self._goes_on(poller, begun)
        ended = now()
        self._meter.poll_ended(outcome, ended - begun)
        return ended

    async def _outcome(self, poller: Poller, begun: float) -> PollOutcome:
        """Polls. Where it did not go well, the next poll is decided."""
        now = asyncio.get_running_loop().time
        try:
            try:
                await self._observe(poller, begun)
            except CensusError as error:
                return await self._failed(poller, error, begun)
            was_down = self._health.is_down
            await self._health.answered()
            poller.failures, poller.error, poller.reported = 0, "", False
            if was_down:
                self._schedule.resume(now())
            await self._was_read(poller.target)
        except StoreUnavailable:
            poller.failures += 1
            self._schedule.retry(poller, now() + STORE_RETRY)
            return PollOutcome.NOT_KEPT
        except DatabaseUnusable:
            raise
        except Exception:
            poller.failures += 1
            self._schedule.retry(poller, now() + pace.back_off(poller.failures + 5, self._jitter()))
            log.exception("poll failed by a fault of the notifier; please report it", workspace=self._roster.workspace)
            return PollOutcome.FAULT
        return PollOutcome.OK

    async def conclude(self, poller: Poller) -> bool:
        """At the end of a round: whether its target could be read, said in the log where it could not."""
        target = poller.target
        run = target.unread_run() if isinstance(target, SyncTarget) else None
        if not poller.failures and run is None:
            return True
        error = poller.error or (f"run {run[0]}: {run[1].error}" if run is not None else "")
        if error:
            log.warning(
                "could not be read in this round", workspace=self._roster.workspace, **_named(target), error=error
            )
        if poller.failures and isinstance(target, SyncTarget) and self._answers():
            with suppress(StoreUnavailable):
                await self._not_read(target, poller.error, None, None, is_told=True)
        return False

    async def _goes_on(self, poller: Poller, begun: float) -> None:
        """After a poll that went well: the next one is at the pace of what it showed."""
        target, now, until, tries = poller.target, asyncio.get_running_loop().time(), None, 0
        poller.asked_at = begun
        if isinstance(target, SyncTarget):
            api_now = self._observer.api_clock.now()
            active, outside = target.is_active(api_now), len(target.outside)
            tries = self._hints.tries(target.sync_id)
            if target.is_settled and not tries:
                due_at = next_due_at(target.checks, target.state)
                until = math.inf if due_at is None else now + (due_at - api_now).total_seconds()
        else:
            active, outside = target.active, 0
        if self._schedule.was_read(poller, now, active=active, outside=outside, until=until, once_more=tries == 1):
            await self._stretched()

    async def _observe(self, poller: Poller, begun: float) -> None:
        target = poller.target
        if isinstance(target, SyncTarget):
            # An API that says "as before" is asked for all of it now and then, and where there may be something new.
            # So is whoever is polled seldom, each time: what the list keeps to itself, its polls alone can find.
            is_recent = begun - poller.whole_at < WHOLE_EVERY * self._schedule.interval_of(poller)
            conditionally = is_recent and not (poller.hurried or poller.seldom)
            found = await self._observer.poll_sync(target, conditionally=conditionally)
            self._hints.polled(target.sync_id, begun, poller.asked_at, found=found, at_rest=not poller.active)
            if not conditionally:
                poller.whole_at = begun
            return
        fate = await self._observer.poll_run(target, self._roster.sync_label, self._roster.is_watched)
        if fate is RunFate.ENDED:
            self._roster.end_run(target)
        elif fate is RunFate.GOES_ON or not await self._roster.hand_over(target):
            return
        self._schedule.remove(target)

    # --- failures ---

    async def _failed(self, poller: Poller, error: CensusError, begun: float) -> PollOutcome:
        """A poll did not read what it came for: when it is tried again, and what that says of the workspace."""
        now, target = asyncio.get_running_loop().time, poller.target
        among, fresh = len(self._schedule), not poller.failures
        poller.error = str(error)
        match error:
            case NotFound():
                self._schedule.rests(poller, now())
                if isinstance(target, RunTarget) or target.sync_id not in self._roster.listed:
                    self._report(poller, "watched sync is not found")
                    return PollOutcome.NOT_FOUND
                # The listing shows it. If it is gone, the next one says so; else its runs can't be read.
                poller.failures += 1
                self._list_soon()
                await self._health.failed(error, of=poller.number, among=among, begun=begun, fresh=fresh)
            case Unauthorized():
                poller.failures += 1
                await self._on_unauthorized(poller, error, begun, fresh=fresh)
            case _:
                poller.failures += 1
                await self._health.failed(error, of=poller.number, among=among, begun=begun, fresh=fresh)
                wait = 0.0 if self._health.is_down else pace.back_off(poller.failures, self._jitter())
                self._schedule.retry(poller, now() + wait)
                log.debug("poll failed", workspace=self._roster.workspace, error=str(error), failures=poller.failures)
        if self._health.is_in_doubt:
            self._ask_another()
        if isinstance(target, RunTarget):
            if poller.failures >= TELL_AFTER and self._answers():
                self._report(poller, "watched run can't be read")
        elif self._answers():
            is_told = poller.failures >= TELL_AFTER or isinstance(error, NotFound | Unauthorized)
            await self._not_read(target, poller.error, None, begun, is_told=is_told)
            await self._observer.pass_time(target)
        return poll_outcome(error)

    async def _on_unauthorized(self, poller: Poller, error: Unauthorized, begun: float, *, fresh: bool) -> None:
        """401 is about the key, unless another could be read with it since this one was refused before. 403 may be
        about one sync: others are asked before the workspace is given up; and it may be brief, so that it is asked
        about once more soon."""
        now, among = asyncio.get_running_loop().time, len(self._schedule)
        answered_at = self._health.answered_at
        is_its_own = poller.failures > 1 and answered_at is not None and answered_at > poller.refused_at
        poller.refused_at = now()
        if among == 1 or (error.status == HTTPStatus.UNAUTHORIZED and not is_its_own):
            self._schedule.retry(poller, now() + AFTER_OTHERS)
            self._ask_another()  # once the workspace is asked again
            await self._health.refused(error, begun)
            return
        await self._health.failed(error, of=poller.number, among=among, begun=begun, fresh=fresh)
        is_soon = poller.failures == 1 or self._health.is_down  # which says itself when it is asked again
        self._schedule.retry(poller, now() + (AUTH_CONFIRM if is_soon else AUTH_RETRY).total_seconds())

    def _ask_another(self) -> None:
        """Polls one next that has not failed, to find out whether it is the workspace."""
        self._schedule.hurry_another(asyncio.get_running_loop().time(), is_down=self._health.is_down)

    def _answers(self) -> bool:
        """Whether others of the workspace could be read lately: what fails meanwhile fails by itself."""
        answered_at = self._health.answered_at
        if self._health.is_down or answered_at is None:
            return False
        return asyncio.get_running_loop().time() - answered_at <= 3 * self._schedule.longest_pause

    def _report(self, poller: Poller, sentence: str) -> None:
        if not poller.reported:
            poller.reported = True
            log.warning(sentence, workspace=self._roster.workspace, **_named(poller.target), error=poller.error)

    # --- syncs whose runs can't be read though the workspace answers ---

    async def _was_read(self, target: Target) -> None:
        """The list of a sync's runs could be read; one of its runs may still not be."""
        if not isinstance(target, SyncTarget):
            return
        if (run := target.unread_run()) is not None:
            run_id, followed = run
            is_told = followed.failures >= TELL_AFTER
            await self._not_read(target, followed.error, run_id, followed.failing_since, is_told=is_told)
        elif target.unread is not None or Check.UNREADABLE in target.state.open:
            await self._observer.was_read(target)

    async def _not_read(
        self, target: SyncTarget, error: str, run_id: Id | None, begun: float | None, *, is_told: bool
    ) -> None:
        """The runs of a sync, or one of them, can't be read, though the workspace answers. `is_told`: that is worth a
        line. Raises StoreError."""
        unread = target.is_unread(run_id, self._clock)
        unread.silence.fails(begun)
        unread.silence.begins_no_earlier_than(self._health.answers_since)
        await self._observer.not_read(target, unread, error, is_told=is_told)


def _named(target: Target) -> dict[str, Id]:
    if isinstance(target, SyncTarget):
        return {"sync_id": target.sync_id}
    return {"sync_run_id": target.run_id}
