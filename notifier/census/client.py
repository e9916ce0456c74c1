"""The Census API over aiohttp: one session a workspace, one gate that all its requests pass.

Raises the errors of `notifier.model.errors`; what to do about them is the caller's to say.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final

import aiohttp
from aiolimiter import AsyncLimiter
from multidict import CIMultiDict
from yarl import URL

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
LONGEST_VALIDATOR: Final = 256  # characters: there is one for each sync
MUTE_FOR: Final = 0.1  # seconds between two looks at whether one may ask again
RETRY_AFTER_429: Final = timedelta(seconds=30)  # where the API does not say


@dataclass(frozen=True, slots=True)
class Validators:
    """What an answer says of its own version (RFC 9110, section 8.8), to be sent back as it came; "" is none."""

    etag: str
    last_modified: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Validators | None":
        """Those of an answer that can be sent back; None where there are none, or all they say is a second that was not
        over: what changed later in it would bear the same (section 8.8.2.2)."""
        etag, modified = (_sendable(headers.get(name, "")) for name in ("ETag", "Last-Modified"))
        if etag or (modified and modified != headers.get("Date")):
            return cls(etag, modified)
        return None

    def headers(self) -> dict[str, str]:
        """As a request has them."""
        both = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in both.items() if value}


def _sendable(value: str) -> str:
    return value if len(value) <= LONGEST_VALIDATOR and value.isascii() and value.isprintable() else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer, undecoded."""

    body: bytes
    date: datetime | None
    """When it was made, by the clock of the server; None where its `Date` says nothing."""
    validators: Validators | None = None


@dataclass(frozen=True, slots=True)
class NotModified:
    """A 304: the bytes are those of the answer whose validators were sent."""

    date: datetime | None


class Gate:
    """What one workspace's requests pass: concurrency, rate, and pauses that the API asked for.

    The rate limiter is a leaky bucket: never more than `rate` in a second beyond one burst of that size.
    `may_ask` is looked at when all else is waited for: the process may have stood still meanwhile, and lost its place.
    """

    def __init__(self, rate: float, concurrency: int, may_ask: Callable[[], bool] = lambda: True) -> None:
        self._may_ask = may_ask
        self._slots = asyncio.Semaphore(concurrency)
        self.free = concurrency
        """How many more requests may be under way, besides those that are and those that wait for a place."""
        self.at_once = max(concurrency // 2, 1)
        """How many requests one reader may have under way, so that others find a place."""
        self._freed = asyncio.Event()
        self._limiter = AsyncLimiter(rate, 1) if rate >= 1 else AsyncLimiter(1, 1 / rate)
        self._open_at = 0.0
        self._seconds: deque[list[int]] = deque(maxlen=60)  # of those in which requests began: which, and how many

    def in_last_minute(self) -> int:
        """How many requests began in the last sixty seconds."""
        oldest = int(asyncio.get_running_loop().time()) - 60
        return sum(number for second, number in self._seconds if second > oldest)

    def _count(self) -> None:
        second = int(asyncio.get_running_loop().time())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([second, 1])

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
        while self.free <= 0:
            self._freed.clear()
            await self._freed.wait()

    def passage(self, *, patient: bool = True) -> "_Passage":
        """Waits for a place, the end of a pause, and the rate. Raises Throttled where it is not to wait out a pause."""
        return _Passage(self, patient=patient)

    async def enter(self, *, patient: bool) -> None:
        """The rate comes last: whoever had its leave and then sat out a pause would go on top of the burst after it."""
        # Also while it waits for a place: polls that are handed out for a free one would wait behind it.
        self.free -= 1
        try:
            await self._slots.acquire()
        except asyncio.CancelledError:
            self._is_freed()
            raise
        is_through = False
        try:
            while not is_through:
                while wait := self.paused_for():
                    if not patient:
                        raise Throttled(timedelta(seconds=ceil(wait)))
                    await asyncio.sleep(wait)
                if self._may_ask():
                    await self._limiter.acquire()
                    is_through = self._may_ask() and not self.paused_for()
                else:
                    await asyncio.sleep(MUTE_FOR)
            self._count()
        finally:
            if not is_through:
                self.leave()

    def leave(self) -> None:
        """Whoever has entered is through, or has given up."""
        self._is_freed()
        self._slots.release()

    def _is_freed(self) -> None:
        self.free += 1
        self._freed.set()


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
    `on_lying_validators` hears, once, that the API gives one ETag to two answers.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        version: Version,
        gate: Gate,
        *,
        patient: bool = True,
        on_throttled: Callable[[Throttled], Awaitable[None]] | None = None,
        on_lying_validators: Callable[[], object] = lambda: None,
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
        self._on_lying_validators = on_lying_validators
        self._meter = meter
        self._sends_validators = True
        self.gate = gate

    async def runs(self, sync_id: Id, *, page: int, per_page: int) -> Answer:
        """One page of a sync's runs, newest first, undecoded: most polls end by seeing that nothing changed."""
        return _whole(await self._get(self.version.runs_path(sync_id, page=page, per_page=per_page)))

    async def runs_unless(
        self, known: Validators | None, sync_id: Id, *, page: int, per_page: int
    ) -> Answer | NotModified:
        """As `runs`, unless it is still the `known` one."""
        return await self._get(self.version.runs_path(sync_id, page=page, per_page=per_page), known)

    async def run(self, run_id: Id) -> tuple[SyncRun, datetime | None]:
        """One run, and the `Date` of the answer. Raises NotFound, and Unusable for an answer about another run."""
        answer = _whole(await self._get(self.version.run_path(run_id)))
        run = self.version.one_run(answer.body)
        if run.id != run_id:
            raise Unusable(f"the answer is about another sync run, {run.id}")
        return run, answer.date

    async def syncs(self, *, page: int) -> Answer:
        """One page of the workspace's syncs, oldest first so that new ones do not shift pages, undecoded."""
        return _whole(await self._get(self.version.syncs_path(page=page, per_page=PAGE)))

    async def syncs_unless(self, known: Validators | None, *, page: int) -> Answer | NotModified:
        """As `syncs`, unless it is still the `known` one."""
        return await self._get(self.version.syncs_path(page=page, per_page=PAGE), known)

    def is_another(self, before: Validators | None, answer: Answer) -> None:
        """The bytes of an answer are others than `before`. Where its validators are the same, those of this API say
        nothing, and none is sent from then on."""
        if before is not None and answer.validators == before and self._sends_validators:
            self._sends_validators = False
            self._on_lying_validators()

    async def _get(self, path: str, known: Validators | None = None) -> Answer | NotModified:
        while True:
            try:
                async with self.gate.passage(patient=self._patient):
                    return await self._ask(path, known)
            except Throttled as throttled:
                if not self._patient:
                    raise
                await self._on_throttled(throttled)

    async def _ask(self, path: str, known: Validators | None) -> Answer | NotModified:
        status: int | None = None
        if not self._sends_validators:
            known = None
        try:
            async with self._session.get(
                URL(self._base_url + path, encoded=True),
                headers=self._headers if known is None else {**self._headers, **known.headers()},
                proxy=self._proxy,
                allow_redirects=False,
            ) as answer:
                status = answer.status
                self._meter.request_ended(status)
                if status == 429:
                    wait = retry_after(answer.headers, datetime.now(UTC)) or RETRY_AFTER_429
                    self.gate.pause(wait)
                    raise Throttled(wait)
                if status == 304 and known is not None:
                    return NotModified(date_of(answer.headers))
                error = self.version.error_of(status, path)
                if error is not None:
                    pause = retry_after(answer.headers, datetime.now(UTC)) if status == 503 else None
                    if pause and isinstance(error, Unreachable):
                        error.asks_to_wait = True
                        self.gate.pause(pause)
                    raise error
                validators = Validators.of(answer.headers)
                return Answer(await read_capped(answer, LARGEST_ANSWER), date_of(answer.headers), validators)
        except AnswerTooLarge as error:
            raise Unusable(describe(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if status is None:
                self._meter.request_ended(None)
            raise Unreachable(describe(error)) from error


def _whole(answer: Answer | NotModified) -> Answer:
    """An answer to a request that named no version of it. Raises Unusable."""
    if isinstance(answer, Answer):
        return answer
    raise Unusable("the answer is that nothing has changed, though all of it was asked for")


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
    may_ask: Callable[[], bool] = lambda: True,
    on_throttled: Callable[[Throttled], Awaitable[None]] | None = None,
    on_lying_validators: Callable[[], object] = lambda: None,
    meter: WorkspaceMeter = NO_WORKSPACE_METER,
) -> CensusClient:
    """The client of one workspace, with a gate of its limits; of the version in use, and with a gate of its own, unless
    told. Raises ProxyUnusable."""
    return CensusClient(
        session,
        version or version_of(settings),
        gate or Gate(settings.max_requests_per_second, settings.max_concurrent_requests, may_ask),
        patient=patient,
        on_throttled=on_throttled,
        on_lying_validators=on_lying_validators,
        meter=meter,
    )
