"""What Census did, what its API said of it, and what was told: whatever an API makes up, the events are true.

Hypothesis makes up a world (syncs, runs, statuses that move), an API that lies about it (lists that are empty, shrunk,
behind, turned round or broken, times that are none) and what people do meanwhile (renames, edits, restarts). The real
roster, observer, recorder and watcher hear all of it, with a real database. A model that knows nothing of marks, floors
and baselines says what must hold, each sentence by itself.
"""

import asyncio
import fcntl
import hashlib
import itertools
import json
import os
import sqlite3
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import parse_qsl

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from notifier.census import wire
from notifier.census.client import Answer, NotModified, Validators
from notifier.judging.route import Reader
from notifier.model.meters import NO_WORKSPACE_METER
from notifier.model.sync import WorkspaceState
from notifier.store.store import open_store
from notifier.watching.attempt import PollAttempts
from notifier.watching.health import Health
from notifier.watching.hints import hints_of
from notifier.watching.lister import Lister
from notifier.watching.poll import Observer
from notifier.watching.record import Recorder
from notifier.watching.roster import Roster
from notifier.watching.schedule import Schedule
from notifier.watching.target import SyncTarget
from notifier.watchlist.checks import Checks
from notifier.watchlist.models import Route, SyncSelector, Watch, Workspace
from tests.builders import a_route
from tests.databases import new_database
from tests.integration.watching.kit import LONG_AGO, START_OF_TIME, Scene, a_scene, with_ids

Json: TypeAlias = dict[str, Any]
State: TypeAlias = tuple[Any, ...]
FIELDS: Final = ("status", "canceled", "error_code", "error_message", "error_detail")
NOTHING: Final[State] = (None,) * len(FIELDS)
ENDED: Final = {"completed", "failed", "skipped", "canceled"}
NEWEST: Final = 5  # runs that a poll at rest looks at
SHOWN_LATE: Final = timedelta(hours=1)  # after it was made, a listing may show a sync for the first time
LONGEST_LAG: Final = timedelta(minutes=9)  # of a replica of the API
PLACES: Final = range(4)  # of syncs in their workspace
HOOK: Final = Reader("hook")
EACH: Final = Reader("each", selective=True)
LIVING: Final = Reader("living", selective=True, living=True)


# --- the world ---


@dataclass(slots=True)
class Run:
    """One run as it truly is. `order` is its place in its sync's list, among runs of one instant too."""

    id: int
    created_at: datetime
    order: int
    fields: Json

    @property
    def state(self) -> State:
        return state_of(self.fields)

    @property
    def place(self) -> tuple[datetime, int]:
        """Where it stands in its sync's list."""
        return self.created_at, self.order

    @property
    def ended(self) -> bool:
        return bool(self.fields.get("canceled")) or self.fields["status"] in ENDED

    @property
    def is_counted(self) -> bool:
        return self.fields["status"] in {"completed", "failed"} and not self.fields.get("canceled")


def state_of(fields: Json) -> State:
    """The watched fields as the interface compares them: absent, null and "" are one, and so is false."""
    return tuple(fields.get(name) or None for name in FIELDS)


@dataclass(slots=True)
class WorldSync:
    """A sync as it truly is; `runs` oldest first. `past`: what its list was at earlier moments."""

    id: int
    label: str
    runs: list[Run] = field(default_factory=list)
    past: list[tuple[datetime, list[Json]]] = field(default_factory=list)
    deleted: bool = False
    born_at: datetime | None = None  # None: it was always there

    def lately(self, now: datetime) -> list[list[Json]]:
        """What its list was, as far as a replica may be behind, oldest first."""
        return [listed for at, listed in self.past if now - at < LONGEST_LAG]

    def listed(self) -> list[Json]:
        """Its list of runs, newest first, as an honest API shows it."""
        return [{"id": run.id, "sync_id": self.id, **run.fields} for run in reversed(self.runs)]


def text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class World:
    """A workspace, and its time."""

    def __init__(self, number: int, now: datetime) -> None:
        self.now = now
        self.syncs = {number * 10 + place: WorldSync(number * 10 + place, f"Sales {place}") for place in PLACES}
        self.unborn = number * 10 + len(PLACES)
        self._numbers = itertools.count(number * 1_000 + 1)
        for sync in self.syncs.values():
            for status in ("completed", "failed", "completed")[: sync.id % 10]:
                self.now += timedelta(seconds=1)
                self.create(sync, (status,))
        self.now += timedelta(seconds=1)

    def at(self, place: int) -> WorldSync:
        """A sync by its place; the last one, while there are fewer."""
        return list(self.syncs.values())[min(place, len(self.syncs) - 1)]

    def make(self) -> None:
        """A sync comes into being, if it has not yet."""
        if self.unborn not in self.syncs:
            self.syncs[self.unborn] = WorldSync(self.unborn, f"Sales {len(PLACES)}", born_at=self.now)

    def create(self, sync: WorldSync, statuses: Iterable[str], *, apart: int = 1) -> None:
        """Runs begin, some milliseconds apart or in the same one."""
        for status in statuses:
            self.now += timedelta(milliseconds=apart)
            fields = {"created_at": text(self.now), "updated_at": text(self.now), **_fields(status)}
            sync.runs.append(Run(next(self._numbers), self.now, len(sync.runs), fields))

    def move(self, sync: WorldSync, place: int, status: str) -> None:
        """A run goes on. What has ended stays as it is, but for a failure whose retry may end otherwise."""
        open_ones = [run for run in sync.runs if not run.ended] or [run for run in sync.runs[-2:] if run.is_counted]
        if not open_ones:
            return
        run = open_ones[place % len(open_ones)]
        if run.ended and (run.fields["status"] != "failed" or status not in {"completed", "failed"}):
            return
        run.fields = {"created_at": run.fields["created_at"], "updated_at": text(self.now), **_fields(status)}

    def note_past(self) -> None:
        """A replica that lags may show what is so now for a while to come."""
        for sync in self.syncs.values():
            sync.past = [*sync.past[-2:], (self.now, sync.listed())]


def _fields(status: str) -> Json:
    if status == "failed":
        return {"status": status, "error_code": "E1", "error_message": "it failed"}
    return {"status": status, "canceled": True} if status == "canceled" else {"status": status}


# --- the API, and its lies ---

ListingLie: TypeAlias = Literal["empty", "empty but claims", "lacks one", "lacks half", "incomplete", "404", "500"]
RunsLie: TypeAlias = Literal[
    "empty",
    "empty but claims",
    "behind",
    "far behind",
    "lacks the newest",
    "twice",
    "twice, old first",
    "no created_at",
    "future created_at",
    "no status",
    "turned round",
    "no date",
    "far future",
    "far past",
    "404",
    "410",
    "500",
]
RunLie: TypeAlias = Literal["404", "500"]
CODES: Final = {"404": 404, "410": 410, "500": 500}
DATES: Final = {"far future": timedelta(days=400), "far past": timedelta(days=-400)}


@dataclass(frozen=True, slots=True)
class Lies:
    """What is not true in the answers of one step: of the listing, of the lists of runs, of runs by themselves."""

    listing: ListingLie | None = None
    runs: RunsLie | None = None
    of: int = 0  # the place of the sync of whose runs it is
    run: RunLie | None = None


HONEST: Final = Lies()


@dataclass(frozen=True, slots=True)
class Shown:
    """One usable first page of a sync's runs: what of them it showed, and when."""

    at: datetime
    run_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """The syncs of a listing that was an answer, and those that were watched then."""

    ids: frozenset[int]
    watched: frozenset[int]
    at: datetime
    is_whole: bool

    @property
    def is_believed(self) -> bool:
        """Whether it is whole, and does not say of all, or of half of the watched syncs (three at least), that they are
        gone."""
        lacking = len(self.watched - self.ids)
        return self.is_whole and bool(self.ids) and (lacking < 3 or 2 * lacking < len(self.watched))


class Api:
    """Answers for the world, and notes what it showed."""

    def __init__(self, world: World, watched: Callable[[], Iterable[int]]) -> None:
        self.world = world
        self.watched = watched
        self.lies = HONEST
        self.first_pages: dict[int, list[Shown]] = defaultdict(list)
        self.without_times: set[int] = set()  # syncs, of a run of which an answer lacked when it was created
        self.first_listed: dict[int, datetime] = {}
        self.states: dict[int, set[State]] = {}
        self.not_found: Counter[int] = Counter()  # in a row, of runs by themselves
        self.listings: list[Listed] = []
        self.requests = 0

    async def get(self, path: str, known: Validators | None = None) -> Answer | NotModified:
        """What the client's request brings; raises what it would raise. Every other path has an ETag."""
        answer = self._whole(path)
        tag = Validators(hashlib.sha256(answer.body).hexdigest(), "") if zlib.crc32(path.encode()) % 2 else None
        return NotModified(answer.date) if known is not None and known == tag else replace(answer, validators=tag)

    def _whole(self, path: str) -> Answer:
        self.requests += 1
        assert self.requests < 5_000, "requests without end"
        place, _, query = path.partition("?")
        asked = dict(parse_qsl(query))
        _, kind, *rest = place.split("/")
        if kind == "sync_runs":
            return self._run(int(rest[0]))
        if rest:
            return self._runs(int(rest[0]), int(asked["page"]), int(asked["per_page"]))
        return self._listing(int(asked["page"]), int(asked["per_page"]))

    def _answer(self, value: Json, *, lie: str | None = None) -> Answer:
        date = self.world.now + DATES.get(lie or "", timedelta())
        told = None if lie == "no date" else date.replace(microsecond=0)  # as a `Date` header has it
        return Answer(json.dumps(value).encode(), told)

    def _refuse(self, lie: str | None) -> None:
        if lie in CODES:
            error = wire.error_of(CODES[lie])
            assert error is not None
            raise error

    def _listing(self, page: int, per_page: int) -> Answer:
        lie = self.lies.listing
        self._refuse(lie)
        present = [sync for sync in self.world.syncs.values() if not sync.deleted]
        shown = {"lacks one": present[1:], "lacks half": present[: len(present) // 3]}.get(lie or "", present)
        total = len(shown)
        if lie == "incomplete":
            shown = present[1:]
        elif lie in {"empty", "empty but claims"}:
            shown, total = [], len(present) if lie == "empty but claims" else 0
        ids = frozenset(sync.id for sync in shown)
        if lie != "empty but claims":
            self.listings.append(Listed(ids, frozenset(self.watched()), self.world.now, is_whole=len(ids) == total))
        for sync_id in ids:
            self.first_listed.setdefault(sync_id, self.world.now)
        items = [
            {
                "id": sync.id,
                "label": sync.label,
                "created_at": text(sync.born_at) if sync.born_at is not None else LONG_AGO,
                "status": "Ready",
            }
            for sync in shown
        ]
        return self._answer(_paged(items, page, per_page, total))

    def _runs(self, sync_id: int, page: int, per_page: int) -> Answer:
        sync = self.world.syncs[sync_id]
        lie = self.lies.runs if self.world.at(self.lies.of) is sync else None
        self._refuse("404" if sync.deleted else lie)
        items = self._spoilt(sync, lie)
        total = len(sync.runs) if lie == "empty but claims" else len(items)
        if lie in {"twice", "twice, old first"} and page == 1:
            items = _doubled(sync.lately(self.world.now), items, old_first=lie != "twice")
        answer = _paged(items, page, per_page, total)
        for item in answer["data"]:
            self.states.setdefault(item["id"], set()).add(state_of(item))
        if page == 1 and (answer["data"] or not total):
            ids = tuple(item["id"] for item in answer["data"])
            self.first_pages[sync_id].append(Shown(self.world.now, ids))
        return self._answer(answer, lie=lie)

    def _spoilt(self, sync: WorldSync, lie: str | None) -> list[Json]:
        items = sync.listed()
        if lie in {"empty", "empty but claims"}:
            return []
        if lie in {"behind", "far behind"} and (lately := sync.lately(self.world.now)):
            return lately[-1 if lie == "behind" else 0]
        if lie == "lacks the newest":
            return items[1:]
        if lie == "turned round":
            return items[::-1]
        if items and lie in {"no created_at", "future created_at"}:
            created_at = None if lie == "no created_at" else "2099-01-01T00:00:00.000Z"
            self.without_times |= {sync.id} if created_at is None else set()
            return [{**items[0], "created_at": created_at}, *items[1:]]
        if items and lie == "no status":
            return [{name: value for name, value in items[0].items() if name != "status"}, *items[1:]]
        return items

    def _run(self, run_id: int) -> Answer:
        found = [(sync, run) for sync in self.world.syncs.values() for run in sync.runs if run.id == run_id]
        gone = not found or found[0][0].deleted or self.lies.run == "404"
        if self.lies.run != "500":
            self.not_found[run_id] = self.not_found[run_id] + 1 if gone else 0
        self._refuse("404" if gone else self.lies.run)
        sync, run = found[0]
        self.states.setdefault(run_id, set()).add(run.state)
        return self._answer({"status": "success", "data": {"id": run_id, "sync_id": sync.id, **run.fields}})


def _doubled(lately: list[list[Json]], items: list[Json], *, old_first: bool) -> list[Json]:
    """The newest run twice, once as it was before."""
    before = {item["id"]: item for past in lately for item in past}
    if not items or items[0]["id"] not in before:
        return [items[0], *items] if items else items
    pair = [before[items[0]["id"]], items[0]]
    return [*(pair if old_first else reversed(pair)), *items[1:]]


def _paged(items: list[Any], page: int, per_page: int, total: int) -> Json:
    part = items[(page - 1) * per_page : page * per_page]
    more = page * per_page < len(items)
    pagination = {"total_records": total, "per_page": per_page, "page": page, "next_page": page + 1 if more else None}
    return {"status": "success", "data": part, "pagination": pagination}


# --- what may happen ---


@dataclass(frozen=True, slots=True)
class Create:
    """Runs that begin together, `apart` milliseconds from each other."""

    sync: int
    statuses: tuple[str, ...]
    apart: int = 1


@dataclass(frozen=True, slots=True)
class Move:
    sync: int
    place: int
    status: str


@dataclass(frozen=True, slots=True)
class Rename:
    sync: int
    word: Literal["Sales", "Revenue"]


@dataclass(frozen=True, slots=True)
class Delete:
    sync: int


@dataclass(frozen=True, slots=True)
class Make:
    """A sync comes into being."""


@dataclass(frozen=True, slots=True)
class List:
    lies: Lies = HONEST


@dataclass(frozen=True, slots=True)
class Poll:
    """Every sync once."""

    lies: Lies = HONEST


@dataclass(frozen=True, slots=True)
class Restart:
    """With another watchlist, maybe: what it watches, and who is told of it."""

    watches: Literal["all", "Sales", "by ID"] = "all"
    routes: Literal["none", "Sales", "Revenue", "fewer"] = "none"


@dataclass(frozen=True, slots=True)
class Wait:
    minutes: int


Step: TypeAlias = Create | Move | Rename | Delete | Make | List | Poll | Restart | Wait

WATCHES: Final = {
    "all": (Watch(syncs="all"),),
    "Sales": (Watch(syncs=SyncSelector(label=("Sales *",))),),
}
NAMES: Final = ("hook", "each", "living")
ROUTES: Final[dict[str, tuple[Route, ...] | None]] = {
    "none": None,
    "Sales": (a_route(*NAMES, syncs=["Sales *"]),),
    "Revenue": (a_route(*NAMES, syncs=["Revenue *"], events=["incident.*"]),),
    "fewer": (a_route(*NAMES, checks=["stale"]), a_route("hook", events=["sync_run.*"])),
}


# --- the notifier ---


async def of_no_interest() -> None:
    """By how much intervals are stretched."""


class Play:
    """One example: a workspace of its own, in a database that examples share."""

    def __init__(self, stage: "Stage", number: int) -> None:
        self.stage = stage
        self.scene = scene = stage.scene
        self.clock = clock = stage.clock
        scene.workspace = f"example {number}"
        self.world = World(number, clock.now)
        self.told = Told(self)
        self.api = Api(self.world, self.told.current.keys)
        scene.client._get = self.api.get  # type: ignore[method-assign]  # no sockets: thousands of answers an example

    def pass_time(self, by: timedelta) -> None:
        self.world.now += by
        self.clock.advance(by)

    async def start(self, restart: Restart) -> None:
        """A new process: of the database it knows all, of the one before nothing."""
        scene, name, now = self.scene, self.scene.workspace, lambda: self.world.now
        self.readers = (HOOK, EACH, LIVING)
        recorder = Recorder(
            name,
            "https://app.getcensus.com",
            scene.store.watching,
            routes=ROUTES[restart.routes],
            readers=self.readers,
            recorded=lambda _: None,
            clock=now,
        )
        by_id = tuple(Watch(sync=sync_id) for sync_id in self.world.syncs)
        watches = WATCHES.get(restart.watches, by_id)
        roster = Roster(name, watches, scene.store.watching, recorder, checks=Checks(), clock=now)
        state = (await scene.store.watching.workspaces()).get(name, WorkspaceState(name))
        workspace = Workspace(api_key=SecretStr("k"), base_url=scene.base_url)
        health = Health(state, scene.store.watching.save_workspace, clock=now, jitter=lambda: 0.0)
        observer = Observer(
            scene.client, scene.store.watching, recorder, is_listed=lambda: True, may_lag=True, clock=now
        )
        self.schedule = schedule = Schedule.of(workspace, sooner=lambda: None)
        hints = hints_of(workspace, health.state, scene.client.version.source)
        self.lister = Lister(scene.client, observer, roster, health, schedule, hints, of_no_interest, clock=now)
        self.attempts = PollAttempts(
            observer,
            roster,
            health,
            schedule,
            hints,
            of_no_interest,
            list_soon=lambda: None,
            meter=NO_WORKSPACE_METER,
            clock=now,
            jitter=lambda: 0.0,
        )
        await self.lister.load()
        self.told.look()

    async def take(self, step: Step) -> None:
        world = self.world
        match step:
            case Create(place, statuses, apart):
                if not world.at(place).deleted:
                    world.create(world.at(place), statuses, apart=apart)
            case Move(place, number, status):
                world.move(world.at(place), number, status)
            case Rename(place, word):
                world.at(place).label = f"{word} {place}"
            case Delete(place):
                world.at(place).deleted = True
            case Make():
                world.make()
            case Wait(minutes):
                self.pass_time(timedelta(minutes=minutes))
            case List(lies):
                await self.list_syncs(lies)
            case Poll(lies):
                await self.poll_syncs(lies)
            case Restart():
                await self.start(step)
        self.pass_time(timedelta(seconds=1))

    async def list_syncs(self, lies: Lies) -> None:
        self.api.lies = lies
        await self.lister.list()
        self.told.look()
        self.pass_time(timedelta(seconds=1))

    async def poll_syncs(self, lies: Lies) -> None:
        """Polls each sync once, with what it found looked at after each."""
        self.api.lies = lies
        for poller in list(self.schedule):
            assert isinstance(poller.target, SyncTarget)
            await self.attempts.make(poller)
            self.told.look()
        self.world.note_past()
        self.pass_time(timedelta(seconds=1))

    async def settle(self) -> None:
        """The API is honest from now on, for as long as doubts may last."""
        for minutes in (1, 11, 25 * 60, 1, 11, 1):
            await self.take(Wait(minutes))
            await self.take(List())
            await self.take(Poll())


class Stage:
    """What all examples share: a database, looked at past the store, and a time that stands."""

    def __init__(self, scene: Scene, clock: "LoopTime", connection: sqlite3.Connection) -> None:
        self.scene = scene
        self.clock = clock
        self._connection = connection

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        return with_ids(self._connection.execute(query, parameters))


class LoopTime:
    """The time of the world, of our own clock and of the running loop: one, and it moves when a step says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START_OF_TIME
        loop = asyncio.get_running_loop()
        self._begun = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self._begun + (self.now - START_OF_TIME).total_seconds())

    def advance(self, by: timedelta) -> None:
        self.now += by


# --- what was told ---


@dataclass(frozen=True, slots=True)
class Event:
    """One event, where its sync then stood in its `epoch` (from one baseline to the next), and what it told of."""

    seq: int
    type: str
    sync_id: int
    run_id: int
    changes: tuple[Json, ...]
    incident: Json | None
    epoch: int
    look: int

    @property
    def is_of_run(self) -> bool:
        return self.type.startswith("sync_run.") and self.type != "sync_run.full_sync"


@dataclass(slots=True)
class Epoch:
    """The time of a sync from one baseline to the next. `first`: the answer that was the baseline. `since`: how many
    first pages of its runs had been shown when it began."""

    sync_id: int
    since: int
    began_at: datetime
    first: Shown | None = None


class Told:
    """Reads the events after each step, and what of the syncs is watched."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.events: list[Event] = []
        ((self.begin,),) = play.stage.rows("SELECT coalesce(max(seq), 0) FROM events")
        self.epochs: dict[int, list[Epoch]] = defaultdict(list)
        self.current: dict[int, Epoch] = {}
        self.looks = 0

    def look(self) -> None:
        self.looks += 1
        workspace, rows = self.play.scene.workspace, self.play.stage.rows
        found = rows("SELECT sync_id, marked FROM syncs WHERE workspace = ? AND watched", workspace)
        watched = dict(found)
        for sync_id in self.play.world.syncs:
            pages = self.play.api.first_pages[sync_id]
            if sync_id not in watched:
                self.current.pop(sync_id, None)
            elif sync_id not in self.current:
                self.current[sync_id] = Epoch(sync_id, len(pages), self.play.world.now)
                self.epochs[sync_id].append(self.current[sync_id])
            epoch = self.current.get(sync_id)
            if epoch is not None and epoch.first is None and watched.get(sync_id) and len(pages) > epoch.since:
                epoch.first = pages[-1]
        query = "SELECT seq, type, sync_id, run_id, body FROM events WHERE workspace = ? AND seq > ? ORDER BY seq"
        last = self.events[-1].seq if self.events else self.begin
        for seq, kind, sync_id, run_id, body in rows(query, workspace, last):
            data = json.loads(body)["data"]
            of = len(self.epochs[sync_id]) if sync_id else 0
            changes = tuple(data.get("changes", ()))
            self.events.append(Event(seq, kind, sync_id, run_id, changes, data.get("incident"), of, self.looks))

    def of_runs(self) -> dict[tuple[int, int], list[Event]]:
        """The events of each run by itself, in each epoch of its sync."""
        found: dict[tuple[int, int], list[Event]] = {}
        for event in self.events:
            if event.is_of_run:
                found.setdefault((event.run_id, event.epoch), []).append(event)
        return found


# --- what must hold ---

Invariant: TypeAlias = Callable[[Play], Iterator[str]]


def no_event_says_nothing(play: Play) -> Iterator[str]:
    """No event tells that a field went from nothing to nothing, or from a value to itself."""
    for event in play.told.events:
        for change in event.changes:
            if (change["old"] or None) == (change["new"] or None):
                yield f"{event.type} of run {event.run_id}: {change}"


def nothing_below_the_baseline_appears(play: Play) -> Iterator[str]:
    """A run that was created at or before its sync's baseline, or before an empty first answer, is never new."""
    for (run_id, number), events in play.told.of_runs().items():
        if not _appears(events[0]):
            continue
        run, sync = _run(play, run_id)
        epoch = play.told.epochs[sync.id][number - 1]
        if _has_no_baseline(play, sync, epoch) is not False:
            continue
        if epoch.first is None:
            yield f"run {run_id} before any baseline"
            continue
        shown = [other.place for other in sync.runs if other.id in epoch.first.run_ids]
        floor = max(shown, default=(epoch.first.at, 0))
        if run.place <= floor and _has_status(play, run_id):
            yield f"run {run_id}, created at {run.place}, of a baseline at {floor}"


def what_came_later_is_told_to_its_end(play: Play) -> Iterator[str]:
    """Each run that was created after the baseline is told, and the last that is told of it is how it is."""
    told = play.told.of_runs()
    for sync, epoch, number in _settled(play):
        assert epoch.first is not None
        newest = {run.id for run in sync.runs[-NEWEST:]}
        for run in sync.runs:
            is_news = run.created_at > epoch.first.at or _has_no_baseline(play, sync, epoch)
            if not is_news or play.api.not_found[run.id] >= 3:
                continue
            events = told.get((run.id, number), [])
            if not events:
                yield f"run {run.id} ({run.fields['status']}) of {sync.id} was never told"
            elif run.id in newest and (last := _told_state(events)) != run.state:
                yield f"run {run.id} was last told as {last}, and is {run.state}"


def each_change_is_told_once(play: Play) -> Iterator[str]:
    """A run appears once: each event goes on from what the one before it said."""
    for (run_id, _), events in play.told.of_runs().items():
        state = dict(zip(FIELDS, NOTHING, strict=True)) if _appears(events[0]) and _has_status(play, run_id) else None
        for event in events:
            for change in event.changes:
                if state is not None and state[change["field"]] != change["old"]:
                    yield f"run {run_id}: {change} after {state}"
                if state is not None:
                    state[change["field"]] = change["new"]


def what_is_told_was_shown(play: Play) -> Iterator[str]:
    """An event of a run tells a state that an answer showed."""
    for (run_id, _), events in play.told.of_runs().items():
        if _appears(events[0]) and _has_status(play, run_id):
            for place in range(len(events)):
                if _told_state(events[: place + 1]) not in play.api.states[run_id]:
                    yield f"run {run_id} was told as {_told_state(events[: place + 1])}, which nobody showed"


def one_poll_tells_one_event_of_a_run(play: Play) -> Iterator[str]:
    """Besides events of incidents and of full syncs, a run has one event by one poll."""
    count = Counter((event.run_id, event.look) for event in play.told.events if event.is_of_run)
    yield from (f"{n} events of run {run_id} at once" for (run_id, _), n in count.items() if n > 1)


def what_was_over_stays_over(play: Play) -> Iterator[str]:
    """An old answer does not bring back a state that a run had left: no run of ours begins anew once it has ended."""
    for (run_id, _), events in play.told.of_runs().items():
        ended = False
        for event in events:
            new = {change["field"]: change["new"] for change in event.changes}
            if ended and new.get("status") in {"queued", "working"}:
                yield f"run {run_id} had ended and was told as {new['status']}"
            ended = ended or new.get("status") in ENDED or bool(new.get("canceled"))


def incidents_open_and_end_by_turns(play: Play) -> Iterator[str]:
    """Of a sync and a check one is open at most; it changes and is told again while it is, and ends once."""
    last: dict[tuple[int, str], Json | None] = {}
    for event in play.told.events:
        if event.incident is None:
            continue
        key, opens = (event.sync_id, event.incident["check"]), event.type == "incident.opened"
        before = last.get(key)
        if opens != (before is None):
            yield f"{event.type} of {key} while {'none' if before is None else 'one'} is open"
        if before is not None and before["id"] != event.incident["id"]:
            yield f"{event.type} of {key} is of another incident"
        last[key] = None if event.type == "incident.resolved" else event.incident


def failing_is_open_while_the_newest_result_is_a_failure(play: Play) -> Iterator[str]:
    """By created_at, then the list's order; what was canceled counts neither way. Where a run was shown without its
    created_at, it has no place."""
    query = 'SELECT sync_id FROM incidents WHERE workspace = ? AND open AND "check" = ?'
    is_open = {sync_id for (sync_id,) in play.stage.rows(query, play.scene.workspace, "failing")}
    told = play.told.of_runs()
    for sync, _, number in _settled(play):
        if sync.id in play.api.without_times:
            continue
        counted = [run for run in sync.runs if run.is_counted]
        newest = max(counted, key=lambda run: run.place, default=None)
        was_told = newest is not None and any(
            change["field"] == "status" for event in told.get((newest.id, number), []) for change in event.changes
        )
        expected = newest is not None and newest.fields["status"] == "failed"
        if expected and not was_told:
            continue  # a failure of the baseline opens nothing by itself; an elder run that fails after it may
        if (sync.id in is_open) != expected:
            newest_is = newest and (newest.id, newest.fields["status"])
            yield f"failing of {sync.id} is {'open' if sync.id in is_open else 'not open'}; newest result: {newest_is}"


def who_was_told_of_an_opening_is_told_of_its_end(play: Play) -> Iterator[str]:
    query = (
        "SELECT e.incident_id, e.type, d.receiver, d.quiet FROM events e JOIN deliveries d ON d.event_id = e.id "
        "WHERE e.workspace = ? AND e.seq > ? AND e.type IN ('incident.opened', 'incident.resolved')"
    )
    opened: dict[str, set[str]] = {}
    resolved: dict[str, set[str]] = {}
    over = {e.incident["id"] for e in play.told.events if e.incident is not None and e.type == "incident.resolved"}
    for incident_id, kind, receiver, quiet in play.stage.rows(query, play.scene.workspace, play.told.begin):
        if kind == "incident.resolved":
            resolved.setdefault(incident_id, set()).add(receiver)
        elif not quiet:
            opened.setdefault(incident_id, set()).add(receiver)
    for incident_id in opened.keys() & over:
        if missing := opened[incident_id] - resolved.get(incident_id, set()):
            yield f"{missing} heard of the opening of {incident_id} and not of its end"


def nothing_that_is_there_is_called_deleted(play: Play) -> Iterator[str]:
    """A sync is deleted that two whole listings in a row lack; none that says that half of them or all are gone."""
    told = [event for event in play.told.events if event.type == "sync.deleted"]
    for event in told:
        gone = play.world.syncs[event.sync_id].deleted
        lacking = [event.sync_id not in listed.ids for listed in play.api.listings if listed.is_believed]
        in_a_row = any(one and two for one, two in itertools.pairwise(lacking))
        if not gone and not in_a_row:
            yield f"sync {event.sync_id} was called deleted"


def a_deletion_is_told_once(play: Play) -> Iterator[str]:
    """Unless a listing has shown the sync again."""
    count = Counter(event.sync_id for event in play.told.events if event.type == "sync.deleted")
    for sync_id, times in count.items():
        if times > 1:
            shown = [sync_id in listed.ids for listed in play.api.listings]
            came_back = sum(not one and two for one, two in itertools.pairwise(shown))
            if times > 1 + came_back:
                yield f"{times} deletions of sync {sync_id}"


def what_is_there_is_watched_in_the_end(play: Play) -> Iterator[str]:
    """Once the API is honest again, every sync that is covered is polled, and none that is gone."""
    watched = {p.target.sync_id for p in play.schedule if isinstance(p.target, SyncTarget)}
    for sync in play.world.syncs.values():
        if sync.deleted and sync.id in watched:
            yield f"sync {sync.id} is gone and polled on"
        elif not sync.deleted and sync.id not in watched:
            yield f"sync {sync.id} is there and not polled"


def _has_no_baseline(play: Play, sync: WorldSync, epoch: Epoch) -> bool | None:
    """Whether a sync is so new that all its runs are news: a whole listing before it was made did not show it, and the
    first that showed it had it watched. None where it rests on a listing that is not believed, or that came a little
    later and may have been behind."""
    if sync.born_at is None or epoch is not play.told.epochs[sync.id][0]:
        return False
    if play.api.first_listed.get(sync.id) != epoch.began_at:
        return False
    if any(listed.is_believed and listed.at < sync.born_at for listed in play.api.listings):
        return True
    earlier = (listed for listed in play.api.listings if listed.at < epoch.began_at)
    return None if any(listed.at - sync.born_at < SHOWN_LATE for listed in earlier) else False


def _run(play: Play, run_id: int) -> tuple[Run, WorldSync]:
    return next((run, sync) for sync in play.world.syncs.values() for run in sync.runs if run.id == run_id)


def _has_status(play: Play, run_id: int) -> bool:
    """Whether every answer gave a run's status. Where one did not, the run may have been known before it appeared."""
    return all(state[0] is not None for state in play.api.states[run_id])


def _appears(event: Event) -> bool:
    return any(change["field"] == "status" and change["old"] is None for change in event.changes)


def _told_state(events: Sequence[Event]) -> State:
    """What a run is by all that was told of it; its first event is that of its appearance, or tells the rest too."""
    state: Json = {}
    for event in events:
        state |= {change["field"]: change["new"] for change in event.changes}
    return state_of(state)


def _settled(play: Play) -> Iterable[tuple[WorldSync, Epoch, int]]:
    """The syncs that are there and watched at the end, and since which baseline."""
    for sync in play.world.syncs.values():
        epoch = play.told.current.get(sync.id)
        if not sync.deleted and epoch is not None and epoch.first is not None:
            yield sync, epoch, len(play.told.epochs[sync.id])


INVARIANTS: Final[tuple[Invariant, ...]] = (
    no_event_says_nothing,
    nothing_below_the_baseline_appears,
    what_came_later_is_told_to_its_end,
    each_change_is_told_once,
    what_is_told_was_shown,
    one_poll_tells_one_event_of_a_run,
    what_was_over_stays_over,
    incidents_open_and_end_by_turns,
    failing_is_open_while_the_newest_result_is_a_failure,
    who_was_told_of_an_opening_is_told_of_its_end,
    nothing_that_is_there_is_called_deleted,
    a_deletion_is_told_once,
    what_is_there_is_watched_in_the_end,
)


# --- the examples ---

SYNCS: Final = st.sampled_from([1, 1, 1, 1, 2, 3, 4, 4, 0])  # mostly one, so that much happens to it
STATUSES: Final = st.sampled_from(
    ["queued", "working", "completed", "completed", "failed", "failed", "skipped", "canceled"]
)
HONEST_LISTINGS: Final = st.just(List())
LISTINGS: Final = st.builds(List, st.builds(Lies, listing=st.sampled_from(get_args(ListingLie))))
HONEST_POLLS: Final = st.just(Poll())
POLLS: Final = st.builds(
    Poll,
    st.builds(
        Lies, runs=st.sampled_from(get_args(RunsLie)), of=SYNCS, run=st.sampled_from([None, None, None, "404", "500"])
    ),
)
CREATES: Final = st.builds(
    Create, SYNCS, st.lists(STATUSES, min_size=1, max_size=3).map(tuple), st.sampled_from([0, 1, 1])
)
MOVES: Final = st.builds(Move, SYNCS, st.integers(0, 3), STATUSES)
EDITS: Final = st.builds(
    Restart, st.sampled_from(["all", "Sales", "by ID"]), st.sampled_from(["none", "Sales", "Revenue", "fewer"])
)
FIRST: Final = st.tuples(
    st.one_of(HONEST_LISTINGS, HONEST_LISTINGS, LISTINGS), st.one_of(HONEST_POLLS, HONEST_POLLS, POLLS)
)
NEXT: Final = st.one_of(
    *[CREATES] * 5,
    *[MOVES] * 5,
    *[HONEST_POLLS] * 3,
    *[POLLS] * 6,
    HONEST_LISTINGS,
    LISTINGS,
    LISTINGS,
    st.builds(Rename, SYNCS, st.sampled_from(["Sales", "Revenue"])),
    EDITS,
    st.just(Restart()),
    st.builds(Delete, st.just(0)),
    st.just(Make()),
    st.builds(Wait, st.sampled_from([1, 11])),
)
PLAYS: Final = st.builds(lambda first, then: [*first, *then], FIRST, st.lists(NEXT, min_size=8, max_size=30))
EXAMPLES = itertools.count(1)
MOST_EXAMPLES: Final = 250
NEVER_FAILS: Final = "it_never_fails_by_a_fault_of_ours"
FAULT: Final = "please report it"


@dataclass(frozen=True, slots=True)
class Violation:
    """The shortest play that broke a sentence, and how."""

    steps: tuple[Step, ...]
    says: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((*self.says, "by:", *(f"    {step}," for step in self.steps)))


async def played(stage: Stage, steps: Iterable[Step]) -> Play:
    """The play to its end: a start, the steps, another start, and an API that is honest from then on."""
    play = Play(stage, next(EXAMPLES))
    await play.start(Restart())
    for step in steps:
        await play.take(step)
    await play.start(Restart())
    await play.settle()
    return play


async def broken(stage: Stage, steps: Sequence[Step]) -> dict[str, tuple[str, ...]]:
    """The sentences that a play broke. An error of ours, raised or caught at a loop's border, is one too."""
    with structlog.testing.capture_logs() as logs:
        try:
            play = await played(stage, steps)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            return {NEVER_FAILS: (repr(error),)}
    found = {invariant.__name__: tuple(invariant(play)) for invariant in INVARIANTS}
    found[NEVER_FAILS] = tuple(str(line) for line in logs if FAULT in line["event"])
    return {name: says for name, says in found.items() if says}


@asynccontextmanager
async def a_stage(directory: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    path = directory / "notifier.db"
    new_database(path)
    with closing(sqlite3.connect(path)) as connection:
        async with open_store(path) as store, a_scene(store) as scene:
            yield Stage(scene, LoopTime(patch), connection)


@pytest.fixture(scope="module")
def violations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By its name: how each sentence that does not hold was broken. Another process of xdist's, which was given some of
    the sentences, waits and takes what this one found: the plays are the same."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent
    with (directory / "seen-and-told.json").open("a+") as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        kept.seek(0)
        if not (text := kept.read()):
            text = json.dumps({name: str(found) for name, found in looked_for(tmp_path_factory).items()})
            kept.write(text)
    found: dict[str, str] = json.loads(text)
    return found


def looked_for(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Violation]:
    """Plays all examples once, for all sentences."""
    shortest: dict[str, Violation] = {}
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        opened = a_stage(tmp_path_factory.mktemp("seen"), patch)
        stage = runner.run(opened.__aenter__())

        @given(PLAYS)
        @settings(
            max_examples=MOST_EXAMPLES,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        def play(steps: list[Step]) -> None:
            for name, says in runner.run(broken(stage, steps)).items():
                if name not in shortest or len(steps) < len(shortest[name].steps):
                    shortest[name] = Violation(tuple(steps), says)

        try:
            play()
        finally:
            runner.run(opened.__aexit__(None, None, None))
    return shortest


@pytest.mark.slow
@pytest.mark.timeout(600)  # the plays are one fixture: 22 seconds of a processor, which others may want too
@pytest.mark.parametrize("name", [NEVER_FAILS, *(invariant.__name__ for invariant in INVARIANTS)])
def test_what_is_told_is_what_was_seen(violations: dict[str, str], name: str) -> None:
    assert name not in violations, violations[name]
