"""How a workspace's API fares: when it is down, how long to leave it alone, and what is said about it, once.

What counts is whether that was read which the notifier came for, not whether something answered. It comes for two
things: the runs of syncs, which polls read, and the list of syncs. One that works says nothing of the other.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, TypeAlias

import structlog

from notifier.model.errors import CensusError, NotFound, StoreUnavailable, Throttled, Unauthorized, Unreachable
from notifier.model.identity import Id
from notifier.model.sync import WorkspaceState
from notifier.watching.pace import back_off
from notifier.watching.silence import Silence

log = structlog.get_logger(__name__)

AUTH_CONFIRM: Final = timedelta(seconds=10)
AUTH_RETRY: Final = timedelta(minutes=5)
THROTTLED_BAD: Final = timedelta(minutes=1)
THROTTLED_ANEW: Final = timedelta(minutes=10)
DOWN_AFTER: Final = 3  # failures in a row, and of so many targets, or all: some that fail are not the workspace
LIST: Final = "the list of syncs"


class Request(Enum):
    """What is asked of a workspace beside its targets."""

    LISTING = auto()


Asked: TypeAlias = Id | Request
"""What a request was for: the number of a target, or what no target stands for."""


class Health:
    """The state of one workspace. While it is down, one poll at a time asks whether it is back."""

    def __init__(
        self,
        state: WorkspaceState,
        save: Callable[[WorkspaceState], Awaitable[None]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._state, self._polled_at = state, state.last_polled_at  # the latter apart: each poll moves it
        self._save = save
        self._clock = clock
        self._jitter = jitter
        self._failures = 0  # in a row, over all polls
        self._failing: set[Asked] = set()  # whose they were
        self._has_fresh = False  # whether one of them could be read before
        self._is_of_all = False  # whether they are of so many, and of one that was read before, that it is not theirs
        self._rounds = 0
        self._down_until: float | None = None
        self._up = asyncio.Event()
        self._throttled_at: float | None = None
        self._throttled_since: float | None = None
        answered = state.last_polled_at
        is_over = state.silent_since is not None and answered is not None and answered >= state.silent_since
        self._polls = Silence(clock, None if is_over else state.silent_since)
        self._listing = Silence(clock, state.unlisted_since)
        self._listing_failures, self._listing_failure = 0, ""  # in a row, and why the last
        self.is_of_another = False  # whether the list that was read last seems to be another workspace's
        self._has_listed = state.unlisted_since is None  # or it is not known whether it does by now
        was_listing = not state.ok and (state.last_error or "").startswith(LIST)
        self._polls_error = None if state.ok or was_listing else state.last_error
        self._listing_error = state.last_error if was_listing else None
        self.has_answered = False  # since this start
        self.answered_at: float | None = None  # the last time that a poll read something, by the loop's clock
        self.answers_since = float("-inf")  # since when it is no longer down, by the same
        self.refusals = state.refusals  # answers in a row that refused the key
        self._refused_at = float("-inf")
        self._refusals_before = state.refusals  # this start
        self.last_failure = ""
        self._is_not_found = False  # that says less than why the list of syncs can't be read either
        self._confirming = True

    @property
    def state(self) -> WorkspaceState:
        """As the database is to remember it."""
        return replace(self._state, last_polled_at=self._polled_at)

    @property
    def is_down(self) -> bool:
        """Whether polls have to go one by one."""
        return self._down_until is not None

    @property
    def is_left_alone(self) -> bool:
        """Whether nobody is to ask now."""
        return self._down_until is not None and asyncio.get_running_loop().time() < self._down_until

    @property
    def is_judged(self) -> bool:
        """Whether it is known since this start how the API fares: it has answered, or counts as bad."""
        has_failed = bool(self.last_failure or self._listing_failure)
        return self.has_answered or self.is_down or (has_failed and not self._state.ok)

    @property
    def is_listed(self) -> bool:
        """Whether the list of syncs could be read, the last time that it was tried."""
        return self._has_listed and self._listing.lasted is None

    @property
    def is_well(self) -> bool:
        """Whether all that the notifier came for could be read, the last time that it was tried, since this start."""
        return self.has_answered and self._polls.lasted is None and self.is_listed

    @property
    def silent_for(self) -> timedelta | None:
        """For how long the runs of no sync, or the list of syncs, could be read; None while both can."""
        times = [lasted for lasted in (self._polls_silent_for, self._listing.lasted) if lasted is not None]
        return max(times, default=None)

    @property
    def _polls_silent_for(self) -> timedelta | None:
        """What a few targets fail while nobody asked another is no silence of the workspace."""
        return self._polls.lasted if self._is_of_all else None

    @property
    def is_in_doubt(self) -> bool:
        """Whether polls fail, and whether that is the workspace is not known: another target may tell."""
        return self._failures >= DOWN_AFTER and not self._is_of_all

    @property
    def why_silent(self) -> str:
        """Why that could not be read which could not be read for longest."""
        polls, listing = self._polls_silent_for, self._listing.lasted
        if listing is not None and (polls is None or listing > polls or self._listing_says_more):
            return f"{LIST}: {self._listing_failure}"
        return self.last_failure

    @property
    def _listing_says_more(self) -> bool:
        """Whether why the list of syncs can't be used is also why runs can't be read, or the latter is from before this
        start: of another key, it may be."""
        is_vague = self._is_not_found or self.is_of_another or not self.last_failure
        return self._listing.lasted is not None and is_vague

    @property
    def unlisted(self) -> str | None:
        """Why the list of syncs counts as one that can't be read; None while it does not."""
        return self._listing_error

    def stood_still(self, seconds: float) -> None:
        """The process was frozen for so long, and nobody asked anything."""
        for silence in (self._polls, self._listing):
            silence.was_not_seen_for(seconds)

    def _note_silence(self, error: CensusError, begun: float | None = None) -> None:
        now = asyncio.get_running_loop().time()
        if not isinstance(error, Unauthorized):
            self.refusals = 0
        elif begun is None or begun >= self._refused_at:  # else it was under way beside the last one
            self.refusals, self._refused_at = self.refusals + 1, now
        self.last_failure = str(error)
        self._is_not_found = isinstance(error, NotFound)
        self._polls.fails(begun)
        self._state = replace(self._state, silent_since=self._polls.since, refusals=self.refusals)

    async def until_asked_again(self) -> None:
        """Waits out the time for which a workspace that is down is left alone."""
        if self._down_until is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._down_until):
                await self._up.wait()

    async def answered(self) -> None:
        """A poll read what it came for."""
        now = asyncio.get_running_loop().time()
        if self.is_down or (self.answered_at is None and not self._state.ok):
            self.answers_since = now
        self._failures = self._rounds = self.refusals = 0
        self._polls.ends()
        self.has_answered = self._confirming = True
        self.answered_at = now
        self._is_of_all = self._has_fresh = False
        self._failing.clear()
        self._down_until = self._throttled_since = self._polls_error = None
        self._up.set()
        first, self._polled_at = self._polled_at is None, self._clock()
        if self._state.silent_since is not None or self._state.refusals:
            self._state = replace(self._state, silent_since=None, refusals=0)
        if not self._state.ok:
            await self._tell()
        elif first:
            await self.save()

    async def failed(
        self, error: CensusError, *, of: Asked, among: int, begun: float | None = None, fresh: bool = True
    ) -> None:
        """The request for `of`, one of `among` targets, failed; it began then, by the loop's clock. `fresh`: the one
        before did not.

        After three in a row the workspace is down: left alone for longer and longer, to 5 minutes. Targets that fail
        are tried again before their turn, and so several times in a row: that says nothing of the others. It takes
        three of them, or all there are, and one that could be read just before.
        """
        self._failures += 1
        self._note_silence(error, begun)
        self._failing.add(of)
        self._has_fresh = self._has_fresh or fresh
        is_of_several = self._has_fresh and len(self._failing) >= min(among, DOWN_AFTER)
        # Then no other fails for a while, since none is asked.
        asks_all_to_wait = isinstance(error, Unreachable) and error.asks_to_wait
        self._is_of_all = among == 1 or is_of_several or asks_all_to_wait
        if self._failures < DOWN_AFTER or self.is_left_alone:
            return
        if not self._is_of_all and not self.is_down:
            return
        self._rounds += 1
        await self._down(back_off(self._rounds, self._jitter()), error)

    async def refused(self, error: Unauthorized, begun: float | None = None) -> None:
        """The key was refused. Only a person can mend that; asked again soon, to be sure, and then every 5 minutes."""
        self._failures += 1
        self._is_of_all = True
        if error.status == HTTPStatus.UNAUTHORIZED:
            self.is_of_another = False  # with that key nothing is shown any more
        self._note_silence(error, begun)
        if not self.is_left_alone:
            wait = AUTH_CONFIRM if self._confirming else AUTH_RETRY
            self._confirming = False
            await self._down(wait.total_seconds(), error)

    async def throttled(self, error: Throttled) -> None:
        """The API said 429 and all requests wait. Told once; a minute without any other answer is a bad workspace."""
        now = asyncio.get_running_loop().time()
        self._is_of_all = True
        self._note_silence(error)
        if self._throttled_at is None or now - self._throttled_at > THROTTLED_ANEW.total_seconds():
            log.warning("workspace asks to slow down; its requests wait", workspace=self._state.name, error=str(error))
        self._throttled_at = now
        if self._throttled_since is None:
            self._throttled_since = now
        elif now - self._throttled_since > THROTTLED_BAD.total_seconds():
            self._polls_error = str(error)
            await self._tell(error)

    # --- the list of syncs ---

    async def listed(self, *, polled: int) -> None:
        """The list of syncs was read whole. Where nothing is `polled`, that is all there is to read."""
        was_silent = self._listing.lasted is not None
        self._listing.ends()
        self._listing_failures, self._has_listed, self.is_of_another = 0, True, False
        was_bad, self._listing_error = self._listing_error is not None, None
        self._state = replace(self._state, unlisted_since=None)
        if was_silent and self.is_down:
            self._down_until = asyncio.get_running_loop().time()  # one poll may ask whether the rest is back too
            self._up.set()
        if not polled:
            await self.answered()
        elif was_bad:
            await self._tell()

    async def unlisted_by(self, reason: str, begun: float | None = None, *, is_certain: bool = False) -> None:
        """The list of syncs could not be read, or not whole. Three times in a row it counts as bad; at once where the
        reason `is_certain`: that it is another workspace's."""
        self.is_of_another = is_certain
        self._listing.fails(begun)
        self._listing_failures += 1
        self._listing_failure = reason
        self._state = replace(self._state, unlisted_since=self._listing.since)
        if is_certain or self._listing_failures >= DOWN_AFTER:
            self._listing_error = f"{LIST}: {reason}"
            await self._tell()

    def remember(self, kept_in: Callable[[WorkspaceState], WorkspaceState]) -> None:
        """Adds to the state what the list of syncs says, once there was a listing."""
        self._state = kept_in(self.state)

    async def stretched(self, factor: float, needed: float) -> None:
        """The intervals are as long as asked for times this factor, since that would need so many requests a second."""
        is_stretched, was_stretched = factor > 1, self._state.stretch > 1
        needed_rate = round(needed, 2) if is_stretched else None
        self._state = replace(self._state, stretch=factor, needed_rate=needed_rate)
        if is_stretched != was_stretched:
            await self.save()

    async def round_is_over(self) -> None:
        """One round is all there is of `run --once`: what could not be read in it is bad, though it was tried once, and
        is one refusal, however many syncs there are."""
        self.refusals = min(self.refusals, self._refusals_before + 1)
        self._state = replace(self._state, refusals=self.refusals)
        await self._silence_is_bad(polls=not self.has_answered)
        await self.save()

    async def has_been_silent_too_long(self) -> None:
        """An incident tells of it: by now it is bad, however few requests have failed."""
        await self._silence_is_bad(polls=True)

    async def _silence_is_bad(self, *, polls: bool) -> None:
        if polls and self._polls_silent_for is not None:
            self._polls_error = self.last_failure
        if self._listing.lasted is not None:
            self._listing_error = f"{LIST}: {self._listing_failure}"
        await self._tell()

    # --- what is said ---

    async def _down(self, wait: float, error: CensusError) -> None:
        self._down_until = asyncio.get_running_loop().time() + wait
        self._up.clear()
        self._polls_error = str(error)
        await self._tell(error)

    async def _tell(self, error: CensusError | None = None) -> None:
        """Says in the log what has become of the workspace, where that is new, and keeps it."""
        now = self._polls_error or self._listing_error
        if self._polls_error is not None and self._listing_says_more:
            now = f"{LIST}: {self._listing_failure}"
        if now == self._state.last_error and (now is None) == self._state.ok:
            return
        if now is None:
            log.info("workspace answers again", workspace=self._state.name)
        elif self._state.ok or self.is_of_another or isinstance(error, Unauthorized):
            log.error(
                "workspace can't be read",
                workspace=self._state.name,
                error=now,
                remedy=f"mend its {error.credential} in the watchlist" if isinstance(error, Unauthorized) else None,
            )
        self._state = replace(self._state, ok=now is None, last_error=now)
        await self.save()

    async def save(self) -> None:
        """Keeps the state for `status`. A database that can't be written now gets it with the next sign of life."""
        try:
            await self._save(self.state)
        except StoreUnavailable as error:
            log.debug("workspace's state could not be kept", workspace=self._state.name, error=str(error))
