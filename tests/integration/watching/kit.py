"""What the tests of watching build: a simulated workspace, a database, a clock, and what lies between them."""

import asyncio
import json
import sqlite3
import ssl
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
    Sized,
)
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from math import ceil
from typing import Any, ParamSpec, TypeVar

import pytest
from pydantic import SecretStr

from notifier.census.client import TIMEOUTS, CensusClient, Gate
from notifier.census.listing import read_listing
from notifier.census.v1 import V1
from notifier.census.v2 import V2
from notifier.http.client import new_session
from notifier.judging.route import Reader
from notifier.model.errors import StoreUnavailable
from notifier.model.event import Observation
from notifier.model.identity import id_of
from notifier.model.meters import NO_WORKSPACE_METER, WorkspaceMeter
from notifier.model.sync import WorkspaceState
from notifier.simulator import CensusSimulator
from notifier.store.store import Store
from notifier.watching.api_clock import ApiClock
from notifier.watching.health import Health
from notifier.watching.listings import Listings
from notifier.watching.outage import Outage
from notifier.watching.poll import Observer
from notifier.watching.record import Recorder
from notifier.watching.roster import Roster
from notifier.watching.target import Changes, SyncTarget
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.checks import SETTINGS, Checks, ChecksInForce
from notifier.watchlist.database import DatabasePlace, ServerUrl
from notifier.watchlist.models import Route, Watch, Workspace

P = ParamSpec("P")
T = TypeVar("T")
WORKSPACE = "production"
START_OF_TIME = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
"""When the first run of a test was created; run N was created N seconds later."""
ALL_OFF = Checks.model_validate(dict.fromkeys(SETTINGS, False))
LONG_AGO = "2020-01-01T00:00:00.000Z"
LATER = "2100-01-01T00:00:00.000Z"
"""After any listing of the tests, whose `Date` is the real one."""


def created(number: float) -> str:
    """When run `number` was created, as the API writes it."""
    return (START_OF_TIME + timedelta(seconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = START_OF_TIME + timedelta(hours=6)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **units: float) -> None:
        self.now += timedelta(**units)


class LoopClock:
    """The running loop's own clock: it stands still, and jumps when a test says so. Sockets and threads go on.

    Its tests are marked `standing_clock`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, asyncio.BaseEventLoop), "uvloop's timers do not ask it: mark the test standing_clock"
        self.now = float(ceil(loop.time()))
        """A whole number, so that sixty steps of ten seconds are ten minutes exactly."""
        monkeypatch.setattr(loop, "time", lambda: self.now)

    async def advance(self, seconds: float) -> None:
        """Puts it forward and lets what is due then have its turn."""
        self.now += seconds
        await settled()

    async def advance_to_the_middle_of(self, interval: float) -> None:
        """To halfway between two of the first poller's places in that interval."""
        await self.advance(1.5 * interval - self.now % interval)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what another task of this loop will bring about; the loop's clock may stand still meanwhile."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0)


class UnderWay:
    """How many requests and database statements are under way: what a test waits out before it moves the clock."""

    def __init__(self) -> None:
        self.number = 0
        self._over = asyncio.Event()

    async def over(self) -> None:
        """Until there are none. A loop that has nothing else to do sleeps meanwhile: spinning, it would slow down the
        threads that it waits for."""
        while self.number:
            self._over = asyncio.Event()  # of this loop
            await self._over.wait()

    def counting(self, call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        async def counted(*given: P.args, **named: P.kwargs) -> T:
            self.number += 1
            try:
                return await call(*given, **named)
            finally:
                self.number -= 1
                if not self.number:
                    self._over.set()

        return counted

    def count(self, thing: object, *methods: str) -> None:
        """Counts calls of these methods of one object from now on."""
        for name in methods:
            setattr(thing, name, self.counting(getattr(thing, name)))


UNDER_WAY = UnderWay()


async def settled() -> None:
    """Lets all other tasks go on until each of them waits for the clock, or for the test."""
    ready: Sized = getattr(asyncio.get_running_loop(), "_ready", ())
    deadline = time.monotonic() + 20
    quiet = 0
    while quiet < 10:
        assert time.monotonic() < deadline, "something never comes to rest"
        await UNDER_WAY.over()
        await asyncio.sleep(0)
        quiet = 0 if UNDER_WAY.number or ready else quiet + 1


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """Something that runs until cancelled, beside the test; if it ended before by an error, that is raised."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@cache
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class Scene:
    """One workspace and one database. `observer`, `roster` and `watcher` make new objects, as a restart does."""

    def __init__(
        self, simulator: CensusSimulator, base_url: str, client: CensusClient, store: Store, v2: CensusClient
    ) -> None:
        self.simulator = simulator
        self.base_url = base_url
        self.client = client
        self.v2 = v2
        """Asks version 2 of the same API; `switched` puts it to use."""
        self.store = store
        self.workspace = WORKSPACE
        self.clock = Clock()
        simulator.date = START_OF_TIME - timedelta(seconds=1)  # until there are runs; then when the newest was created
        self.woken: list[str] = []
        self.is_listed: Callable[[], bool] = lambda: True
        self.observer = self.new_observer()

    # --- what happens in Census ---

    def sync(self, sync_id: int = 52, **fields: Any) -> int:
        fields.setdefault("created_at", LONG_AGO)
        self.simulator.add_sync(id=sync_id, **fields)
        return sync_id

    def run(self, number: int, status: str = "completed", *, sync_id: int = 52, **fields: Any) -> None:
        if "created_at" in fields:
            self.simulator.date = None  # the test has times of its own, of the real clock
        else:
            self.api_is_no_earlier_than(number)
            self._api_is_no_earlier_than_what(fields)
        fields.setdefault("created_at", created(number))
        self.simulator.add_run(sync_id, id=number, status=status, **fields)

    def runs(self, numbers: Iterable[int], status: str = "completed", *, sync_id: int = 52) -> None:
        for number in numbers:
            self.run(number, status, sync_id=sync_id)

    def becomes(self, number: int, status: str, **fields: Any) -> None:
        self._api_is_no_earlier_than_what(fields)
        if self.simulator.date is not None:
            fields.setdefault("updated_at", self.simulator.date.isoformat())
        self.simulator.update_run(number, status=status, **fields)

    def _api_is_no_earlier_than_what(self, fields: Mapping[str, Any]) -> None:
        """A run that was updated or completed was so by the API's clock, unless a test gives it a time of no clock."""
        for name in ("updated_at", "completed_at"):
            if isinstance(value := fields.get(name), str) and self.simulator.date is not None:
                time_ = datetime.fromisoformat(value)
                if time_ < self.simulator.date + timedelta(days=1):
                    self.simulator.date = max(self.simulator.date, time_)

    def api_is_no_earlier_than(self, number: float) -> None:
        """The API's clock has come to the time at which run `number` was created."""
        if self.simulator.date is not None:
            self.simulator.date = max(self.simulator.date, START_OF_TIME + timedelta(seconds=number))

    def api_passes(self, **units: float) -> None:
        """Time goes on by the API's clock."""
        assert self.simulator.date is not None
        self.simulator.date += timedelta(**units)

    # --- the notifier ---

    def new_observer(
        self, *, routes: Sequence[Route] | None = None, receivers: Sequence[str] = ("pipeline",)
    ) -> Observer:
        def wake(names: Collection[str]) -> None:
            self.woken.extend(names)

        self.recorder = Recorder(
            self.workspace,
            "https://app.getcensus.com",
            self.store.watching,
            routes=routes,
            readers=[Reader(name) for name in receivers],
            recorded=wake,
            clock=self.clock,
        )
        observer = Observer(
            self.client,
            self.store.watching,
            self.recorder,
            is_listed=lambda: self.is_listed(),
            may_lag=True,
            clock=self.clock,
            jitter=lambda: 0.0,
        )
        observer.api_clock = ApiClock(self.workspace, self._our_clock)
        return observer

    def tells(self, readers: Sequence[Reader], routes: Sequence[Route] | None) -> None:
        """From now on these readers are told, by these routes."""
        self.recorder._judge = replace(self.recorder._judge, readers=readers, routes=routes)

    def _our_clock(self) -> datetime:
        return datetime.now(UTC) if self.simulator.date is None else self.clock()

    def target(self, sync_id: int = 52, label: str | None = "Leads", **labels: str) -> SyncTarget:
        return SyncTarget(sync_id, label, labels, None)

    async def watched(self, sync_id: int = 52) -> SyncTarget:
        """A sync whose baseline is set."""
        target = self.target(sync_id)
        await self.poll(target)
        return target

    async def poll(self, target: SyncTarget, times: int = 1) -> None:
        for _ in range(times):
            await self.observer.poll_sync(target)

    async def restarted(self, target: SyncTarget, checks: Checks | None = None) -> SyncTarget:
        """The same sync as a new process finds it in the database."""
        self.observer = self.new_observer()
        roster, _ = await self.roster(Watch(sync=target.sync_id, labels=dict(target.labels)), checks=checks)
        return roster.syncs[target.sync_id]

    async def switched(self, target: SyncTarget) -> SyncTarget:
        """The same sync as a worker finds it in the database that asks version 2 from now on."""
        self.client = self.v2
        return await self.restarted(target)

    async def roster(self, *watches: Watch, checks: Checks | None = None) -> tuple[Roster, Changes]:
        """A roster that has loaded what the database remembers."""
        roster = Roster(
            self.workspace, watches, self.store.watching, self.recorder, checks=checks or ALL_OFF, clock=self.clock
        )
        state = (await self.store.watching.workspaces()).get(self.workspace, WorkspaceState(self.workspace))
        return roster, await roster.load(Listings.of(state))

    async def listed(self, roster: Roster) -> Changes:
        """What one listing of the workspace changes, kept as the scheduler keeps it."""
        changes = await roster.apply(await read_listing(self.client, self.clock()))
        await self.store.watching.save_workspace(roster.listings.kept_in(WorkspaceState(self.workspace)))
        return changes

    async def watcher(
        self,
        *watches: Watch,
        observer: Observer | None = None,
        meter: WorkspaceMeter = NO_WORKSPACE_METER,
        checks: Checks | None = None,
        in_force: ChecksInForce | None = None,
        **settings: Any,
    ) -> WorkspaceWatcher:
        """As the worker makes it. `in_force`: the checks of the workspace itself, where `checks` do not say."""
        given: dict[str, Any] = {"poll_interval": timedelta(seconds=60), "active_poll_interval": timedelta(seconds=10)}
        workspace = Workspace(api_key=SecretStr("simulated-key"), base_url=self.base_url, **{**given, **settings})
        state = (await self.store.watching.workspaces()).get(self.workspace, WorkspaceState(self.workspace))
        roster = Roster(
            self.workspace, watches, self.store.watching, self.recorder, checks=checks or ALL_OFF, clock=self.clock
        )
        health = Health(state, self.store.watching.save_workspace, clock=self.clock, jitter=lambda: 0.0)
        self.is_listed = lambda: health.is_listed
        if in_force is None:
            in_force = ChecksInForce() if checks is None else ChecksInForce.of(checks)
        outage = Outage(health, self.recorder, self.store.watching, in_force, clock=self.clock)
        return WorkspaceWatcher(
            workspace,
            self.client,
            observer or self.observer,
            roster,
            health,
            outage,
            meter=meter,
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    # --- what came of it ---

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """A look at the file, past the store."""
        return rows(self.store.place, query, *parameters)

    def change(self, statement: str) -> None:
        """A write past the store."""
        change(self.store.place, statement)

    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of all events, in the order in which they were recorded."""
        return [json.loads(body) for (body,) in self.rows("SELECT body FROM events ORDER BY seq")]

    def events(self) -> list[tuple[int, str]]:
        """Each event as the run's ID and the last word of its type."""
        found = self.rows("SELECT run_id, type FROM events ORDER BY seq")
        return [(run_id, kind.removeprefix("sync_run.")) for run_id, kind in found]

    def asked(self, path: str) -> int:
        """How many requests there were for a path."""
        return sum(request.path == path for request in self.simulator.requests)


def rows(place: DatabasePlace, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    if isinstance(place, ServerUrl):
        from notifier.store.postgres.connect import connect

        with connect(place) as server:
            return with_ids(server.execute(query.replace("?", "%s").encode(), untyped(parameters)))
    with closing(sqlite3.connect(place)) as connection:
        return with_ids(connection.execute(query, parameters))


def change(place: DatabasePlace, statement: str) -> None:
    if isinstance(place, ServerUrl):
        from notifier.store.postgres.connect import connect

        with connect(place) as server:
            server.execute(statement.encode())
        return
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute(statement)


def untyped(parameters: Sequence[object]) -> list[object] | None:
    """Numbers as words of no type yet: an ID is text in the database, and a number here."""
    return [str(each) if type(each) is int else each for each in parameters] or None


def with_ids(found: Any) -> list[tuple[Any, ...]]:
    """The rows of a cursor, with IDs of syncs and runs as the code has them, and 0 for none."""
    are_ids = [column[0].endswith(("sync_id", "run_id")) for column in found.description]
    return [
        tuple((id_of(v) or 0) if is_id and v is not None else v for v, is_id in zip(row, are_ids, strict=True))
        for row in found
    ]


@asynccontextmanager
async def a_scene(store: Store) -> AsyncIterator[Scene]:
    """A scene with an empty workspace."""
    simulator = CensusSimulator()
    async with (
        simulator.serve() as base_url,
        new_session(timeouts=TIMEOUTS, tls=tls(), connections=16, keep_idle=timedelta(minutes=5)) as session,
    ):
        v1, v2 = V1(base_url, simulator.api_key), V2(base_url.replace("/v1", "/v2"), simulator.token)
        client, other = (CensusClient(session, version, Gate(10_000, 16), patient=False) for version in (v1, v2))
        UNDER_WAY.number = 0
        UNDER_WAY.count(client, "_get")
        UNDER_WAY.count(store._reader, "read")
        UNDER_WAY.count(store._writer, "write")
        yield Scene(simulator, base_url, client, store, other)


class FailingRecord:
    """`record` as a full disk leaves it: the next `times` calls raise, and nothing of theirs is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: Store, times: int = 1) -> None:
        self._record = store.watching.record
        self.left = times
        self.failed: list[Observation] = []
        monkeypatch.setattr(store.watching, "record", self)

    async def __call__(self, observation: Observation) -> None:
        if self.left:
            self.left -= 1
            self.failed.append(observation)
            raise StoreUnavailable("the disk is full")
        await self._record(observation)


def lines(logs: Sequence[Any], sentence: str) -> list[Any]:
    """The captured log lines of one sentence."""
    return [line for line in logs if line["event"] == sentence]
