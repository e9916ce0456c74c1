"""The Census API over aiohttp: one session a workspace, one gate that all its requests pass.

Raises the errors of `notifier.model.errors`; what to do about them is the caller's to say.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final

import aiohttp
from aiolimiter import AsyncLimiter
from multidict import CIMultiDict
from yarl import URL

from notifier.census import wire
from notifier.census.version import Version
from notifier.census.versions import version_of
from notifier.http.answer import AnswerTooLarge
from notifier.http.client import (
    Timeouts,
    as_written,
    date_of,
    describe,
    new_session,
    proxy_for,
    read_capped,
    retry_after,
)
from notifier.model.errors import Throttled, Unreachable, Unusable
from notifier.model.identity import Id
from notifier.model.meters import NO_WORKSPACE_METER, WorkspaceMeter
from notifier.model.run import SyncRun
from notifier.watchlist.models import Workspace

TIMEOUTS: Final = Timeouts(connect=timedelta(seconds=10), read=timedelta(seconds=20), total=timedelta(seconds=30))
LARGEST_ANSWER: Final = 16 * 1024 * 1024  # bytes: 100 runs with 160 kB of error text each
PAGE: Final = 100  # the API's own maximum
RETRY_AFTER_429: Final = timedelta(seconds=30)  # where the API does not say


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer, undecoded."""

    body: bytes
    date: datetime | None
    """When it was made, by the clock of the server; None where its `Date` says nothing."""


class Gate:
    """What one workspace's requests pass: concurrency, rate, and pauses that the API asked for.

    The rate limiter is a leaky bucket: never more than `rate` in a second beyond one burst of that size.
    """

    def __init__(self, rate: float, concurrency: int) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self.free = concurrency
        """How many more requests may be under way."""
        self._freed = asyncio.Event()
        self._limiter = AsyncLimiter(rate, 1) if rate >= 1 else AsyncLimiter(1, 1 / rate)
        self._open_at = 0.0

    def pause(self, wait: timedelta) -> None:
        """No request begins before `wait` has passed."""
        self._open_at = max(self._open_at, asyncio.get_running_loop().time() + wait.total_seconds())

    def paused_for(self) -> float:
        """Seconds until requests may begin again, 0 when they may."""
        if not self._open_at:
            return 0.0
        return max(0.0, self._open_at - asyncio.get_running_loop().time())

    async def room(self) -> None:
        """Waits until a place is free: whoever would wait for one at the gate is better not handed out yet."""
        while not self.free:
            self._freed.clear()
            await self._freed.wait()

    def passage(self, *, patient: bool = True) -> "_Passage":
        """Waits for a place, the end of a pause, and the rate. Raises Throttled where it is not to wait out a pause."""
        return _Passage(self, patient=patient)

    async def enter(self, *, patient: bool) -> None:
        """The rate comes last: whoever had its leave and then sat out a pause would go on top of the burst after it."""
        await self._slots.acquire()
        self.free -= 1
        is_through = False
        try:
            while not is_through:
                while wait := self.paused_for():
                    if not patient:
                        raise Throttled(timedelta(seconds=ceil(wait)))
                    await asyncio.sleep(wait)
                await self._limiter.acquire()
                is_through = not self.paused_for()
        finally:
            if not is_through:
                self.leave()

    def leave(self) -> None:
        """Whoever has entered is through, or has given up."""
        self.free += 1
        self._freed.set()
        self._slots.release()


class _Passage:
    """One request's way through a gate. Of a class of its own: `asynccontextmanager` takes as long as all the rest."""

    __slots__ = ("_gate", "_patient")

    def __init__(self, gate: Gate, *, patient: bool) -> None:
        self._gate = gate
        self._patient = patient

    async def __aenter__(self) -> None:
        await self._gate.enter(patient=self._patient)

    async def __aexit__(self, *_: object) -> None:
        self._gate.leave()


async def _say_nothing(_: Throttled) -> None:
    """For clients whose user does not care."""


class CensusClient:
    """The calls that the notifier needs.

    `patient`: wait out a 429 and ask again, instead of raising Throttled; `on_throttled` hears of each.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        version: Version,
        gate: Gate,
        *,
        patient: bool = True,
        on_throttled: Callable[[Throttled], Awaitable[None]] | None = None,
        meter: WorkspaceMeter = NO_WORKSPACE_METER,
    ) -> None:
        self._session = session
        self.version = version
        self._base_url = str(as_written(version.base_url)).rstrip("/")
        self._headers = CIMultiDict(  # of this class, or each request makes one of them
            {"Authorization": version.authorization, "Accept": "application/json", "Accept-Encoding": "gzip"}
        )
        self._proxy = proxy_for(version.base_url)
        self._patient = patient
        self._on_throttled = on_throttled or _say_nothing
        self._meter = meter
        self.gate = gate

    async def runs(self, sync_id: Id, *, page: int, per_page: int) -> Answer:
        """One page of a sync's runs, newest first, undecoded: most polls end by seeing that nothing changed."""
        return await self._get(self.version.runs_path(sync_id, page=page, per_page=per_page))

    async def run(self, run_id: Id) -> tuple[SyncRun, datetime | None]:
        """One run, and the `Date` of the answer. Raises NotFound, and Unusable for an answer about another run."""
        answer = await self._get(self.version.run_path(run_id))
        run = self.version.one_run(answer.body)
        if run.id != run_id:
            raise Unusable(f"the answer is about another sync run, {run.id}")
        return run, answer.date

    async def syncs(self, *, page: int) -> tuple[wire.SyncsPage, datetime | None]:
        """One page of the workspace's syncs, oldest first so that new ones do not shift pages; the API's clock."""
        answer = await self._get(self.version.syncs_path(page=page, per_page=PAGE))
        return self.version.syncs_page(answer.body, page), answer.date

    async def _get(self, path: str) -> Answer:
        while True:
            try:
                async with self.gate.passage(patient=self._patient):
                    return await self._ask(path)
            except Throttled as throttled:
                if not self._patient:
                    raise
                await self._on_throttled(throttled)

    async def _ask(self, path: str) -> Answer:
        status: int | None = None
        try:
            async with self._session.get(
                URL(self._base_url + path, encoded=True),
                headers=self._headers,
                proxy=self._proxy,
                allow_redirects=False,
            ) as answer:
                status = answer.status
                self._meter.request_ended(status)
                if status == 429:
                    wait = retry_after(answer.headers, datetime.now(UTC)) or RETRY_AFTER_429
                    self.gate.pause(wait)
                    raise Throttled(wait)
                error = self.version.error_of(status, path)
                if error is not None:
                    pause = retry_after(answer.headers, datetime.now(UTC)) if status == 503 else None
                    if pause and isinstance(error, Unreachable):
                        error.asks_to_wait = True
                        self.gate.pause(pause)
                    raise error
                return Answer(await read_capped(answer, LARGEST_ANSWER), date_of(answer.headers))
        except AnswerTooLarge as error:
            raise Unusable(describe(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if status is None:
                self._meter.request_ended(None)
            raise Unreachable(describe(error)) from error


def new_census_session(settings: Workspace, tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """A session for one workspace; its connections outlast the time between two polls."""
    return new_session(
        timeouts=TIMEOUTS,
        tls=tls,
        connections=settings.max_concurrent_requests,
        keep_idle=max(settings.poll_interval * 2, timedelta(minutes=5)),
    )


def client_of(
    settings: Workspace,
    session: aiohttp.ClientSession,
    *,
    patient: bool,
    version: Version | None = None,
    gate: Gate | None = None,
    on_throttled: Callable[[Throttled], Awaitable[None]] | None = None,
    meter: WorkspaceMeter = NO_WORKSPACE_METER,
) -> CensusClient:
    """The client of one workspace, with a gate of its limits; of the version in use, and with a gate of its own, unless
    told. Raises ProxyUnusable."""
    return CensusClient(
        session,
        version or version_of(settings),
        gate or Gate(settings.max_requests_per_second, settings.max_concurrent_requests),
        patient=patient,
        on_throttled=on_throttled,
        meter=meter,
    )
