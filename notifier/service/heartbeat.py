"""A dead man's switch: GETs an address while all is well, so that a monitor raises the alarm when that stops."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import aiohttp
import structlog

from notifier.http.client import as_written, describe, proxy_for, rest_of, sending_session
from notifier.model.errors import status_in_words
from notifier.watchlist.models import HeartbeatSettings

log = structlog.get_logger(__name__)

TIMEOUT: Final = timedelta(seconds=10)
LOOK_AGAIN: Final = 1.0  # seconds between two looks while not all is well


class Heartbeat:
    """Pings by itself; it delays nothing else, and nothing that the other side does ends it."""

    def __init__(self, settings: HeartbeatSettings, session: aiohttp.ClientSession) -> None:
        """Raises ProxyUnusable."""
        url = settings.url.get_secret_value()
        self._url = as_written(url)
        self._every = settings.every.total_seconds()
        self._proxy = proxy_for(url)
        self._session = session
        self._failing = False
        self._held_back = False

    async def run(self, trouble: Callable[[], str | None]) -> None:
        """Pings until cancelled. `trouble` says why not all is well; None while all is."""
        now = asyncio.get_running_loop().time
        due = now()
        while True:
            reason = trouble()
            if reason is None:
                due = now() + self._every
                self._goes_on()
                self._tell(await self._ping())
                await asyncio.sleep(max(0.0, due - now()))
            else:
                if now() - due >= self._every:  # a ping is missing by now
                    self._hold_back(reason)
                await asyncio.sleep(min(self._every, LOOK_AGAIN))

    async def _ping(self) -> str | None:
        """One GET: what went wrong, None where it was taken."""
        try:
            async with self._session.get(self._url, proxy=self._proxy, allow_redirects=False) as answer:
                await rest_of(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return describe(error)
        except ValueError:  # aiohttp's complaint about a URL would show it
            return "the request can't be made: its URL is not valid"
        if 200 <= answer.status < 300:
            return None
        words = status_in_words(answer.status)
        return f"{words}: redirects are not followed" if 300 <= answer.status < 400 else words

    def _tell(self, error: str | None) -> None:
        if error is not None and not self._failing:
            log.warning("heartbeat can't be sent", error=error, remedy="see heartbeat.url in the watchlist")
        elif error is None and self._failing:
            log.info("heartbeat is sent again")
        self._failing = error is not None

    def _hold_back(self, reason: str) -> None:
        if not self._held_back:
            log.warning("heartbeat is held back: not all is well", reason=reason)
        self._held_back = True

    def _goes_on(self) -> None:
        if self._held_back:
            log.info("heartbeat goes on: all is well")
        self._held_back = False


@asynccontextmanager
async def open_heartbeat(settings: HeartbeatSettings) -> AsyncIterator[Heartbeat]:
    """A heartbeat with a session of its own. Raises ProxyUnusable."""
    async with sending_session(TIMEOUT, ssl.create_default_context()) as session:
        yield Heartbeat(settings, session)
