"""How a workspace's API fares: when it is down, how long to leave it alone, and what is said about it, once."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from notifier.errors import CensusError, StoreUnavailable, Throttled, Unauthorized
from notifier.model import WorkspaceState
from notifier.pace import back_off

log = structlog.get_logger(__name__)

AUTH_CONFIRM: Final = timedelta(seconds=10)
AUTH_RETRY: Final = timedelta(minutes=5)
THROTTLED_BAD: Final = timedelta(minutes=1)
THROTTLED_ANEW: Final = timedelta(minutes=10)
DOWN_AFTER: Final = 3  # failures in a row, of several targets: one that fails among others is not the workspace


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
        self.state = state
        self._save = save
        self._clock = clock
        self._jitter = jitter
        self._failures = 0  # in a row, over all polls
        self._failing: set[int] = set()  # whose they were
        self._rounds = 0
        self._down_until: float | None = None
        self._up = asyncio.Event()
        self._throttled_at: float | None = None
        self._throttled_since: float | None = None
        self._silent_since: float | None = None  # by the loop's clock, which does not jump
        self.has_answered = False  # since this start
        self.answered_at: float | None = None  # the last time, by the loop's clock
        self.refusals = 0  # answers in a row that refused the key
        self.last_failure = ""
        self._confirming = True

    @property
    def is_down(self) -> bool:
        """Whether polls have to go one by one."""
        return self._down_until is not None

    @property
    def is_judged(self) -> bool:
        """Whether it is known since this start how the API fares: it has answered, or counts as bad."""
        return self.has_answered or self.is_down or (bool(self.last_failure) and not self.state.ok)

    @property
    def silent_for(self) -> timedelta | None:
        """How long there has been no usable answer; None while there is. The time before a restart counts once a
        request has failed after it."""
        if self._silent_since is None:
            return None
        return timedelta(seconds=asyncio.get_running_loop().time() - self._silent_since)

    def _note_silence(self, error: CensusError) -> None:
        self.refusals = self.refusals + 1 if isinstance(error, Unauthorized) else 0
        self.last_failure = str(error)
        if self._silent_since is None:
            now = self._clock()
            began, answered = self.state.silent_since, self.state.last_polled_at
            if began is None or began > now or (answered is not None and answered >= began):
                began = now  # what is remembered is of another silence, or of another clock
            self.state = replace(self.state, silent_since=began)
            self._silent_since = asyncio.get_running_loop().time() - (now - began).total_seconds()

    async def until_asked_again(self) -> None:
        """Waits out the time for which a workspace that is down is left alone."""
        if self._down_until is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._down_until):
                await self._up.wait()

    async def answered(self) -> None:
        """The API gave a usable answer, or said of one object that it is gone."""
        self._failures = self._rounds = self.refusals = 0
        self._silent_since, self.has_answered, self._confirming = None, True, True
        self.answered_at = asyncio.get_running_loop().time()
        self._failing.clear()
        self._down_until = self._throttled_since = None
        self._up.set()
        first = self.state.last_polled_at is None
        self.state = replace(self.state, last_polled_at=self._clock(), silent_since=None)
        if not self.state.ok:
            self.state = replace(self.state, ok=True, last_error=None)
            log.info("workspace answers again", workspace=self.state.name)
            await self.save()
        elif first:
            await self.save()

    async def failed(self, error: CensusError, *, of: int, among: int) -> None:
        """The poll of target `of`, one of `among`, failed.

        After three in a row the workspace is down: left alone for longer and longer, to 5 minutes. A single target that
        fails is tried again before its turn, and so several times in a row: that says nothing of the others.
        """
        self._failures += 1
        self._note_silence(error)
        self._failing.add(of)
        if self._failures < DOWN_AFTER or self._left_alone():
            return
        if len(self._failing) == 1 and among > 1 and not self.is_down:
            return
        self._rounds += 1
        await self._down(back_off(self._rounds, self._jitter()), error)

    async def refused(self, error: Unauthorized) -> None:
        """The key was refused. Only a person can mend that; asked again soon, to be sure, and then every 5 minutes."""
        self._failures += 1
        self._note_silence(error)
        if not self._left_alone():
            wait = AUTH_CONFIRM if self._confirming else AUTH_RETRY
            self._confirming = False
            await self._down(wait.total_seconds(), error)

    async def throttled(self, error: Throttled) -> None:
        """The API said 429 and all requests wait. Told once; a minute without any other answer is a bad workspace."""
        now = asyncio.get_running_loop().time()
        self._note_silence(error)
        if self._throttled_at is None or now - self._throttled_at > THROTTLED_ANEW.total_seconds():
            log.warning("workspace asks to slow down; its requests wait", workspace=self.state.name, error=str(error))
        self._throttled_at = now
        if self._throttled_since is None:
            self._throttled_since = now
        elif now - self._throttled_since > THROTTLED_BAD.total_seconds():
            await self._bad(error)

    async def _down(self, wait: float, error: CensusError) -> None:
        self._down_until = asyncio.get_running_loop().time() + wait
        self._up.clear()
        await self._bad(error)

    async def _bad(self, error: CensusError) -> None:
        if self.state.ok or self.state.last_error != str(error):
            if self.state.ok or isinstance(error, Unauthorized):
                log.error(
                    "workspace can't be read",
                    workspace=self.state.name,
                    error=str(error),
                    remedy="mend its api_key in the watchlist" if isinstance(error, Unauthorized) else None,
                )
            self.state = replace(self.state, ok=False, last_error=str(error))
            await self.save()

    def _left_alone(self) -> bool:
        return self._down_until is not None and asyncio.get_running_loop().time() < self._down_until

    async def save(self) -> None:
        """Keeps the state for `status`. A database that can't be written now gets it with the next sign of life."""
        try:
            await self._save(self.state)
        except StoreUnavailable as error:
            log.debug("workspace's state could not be kept", workspace=self.state.name, error=str(error))
