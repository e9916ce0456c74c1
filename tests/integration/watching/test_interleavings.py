"""Whatever happens in whatever order, the events tell each run's story once, without a gap and to its end.

Hypothesis makes up stories (runs that come, change and go) and schedules (polls, failures, crashes, restarts); a model
that knows nothing of marks says what must hold. Pages are made small, so that a few runs are enough to walk back.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, event, example, given, settings
from hypothesis import strategies as st

from notifier.model.errors import CensusError, StoreUnavailable
from notifier.model.event import Observation
from notifier.model.identity import Id
from notifier.model.sync import ListedSync
from notifier.simulator import Status
from notifier.store.store import Store
from notifier.watching import poll, run_list
from notifier.watching.target import SyncTarget
from notifier.watchlist.models import Watch
from tests.integration.watching.kit import LONG_AGO, Scene, a_scene, created

NEWEST, PAGE = 2, 3
FIELDS = ("status", "canceled", "error_code", "error_message", "error_detail")
ENDED = {"completed", "failed", "skipped", "canceled", "cancelled"}
State: TypeAlias = dict[str, Any]
End: TypeAlias = Literal["well", "not kept", "crashed"]


class Crash(BaseException):
    """The process ends just after a commit: nothing in memory has heard of it."""


@pytest_asyncio.fixture
async def scene(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(poll, "NEWEST", NEWEST)
    monkeypatch.setattr(poll, "PAGE", PAGE)
    monkeypatch.setattr(run_list, "PAGE", PAGE)
    async with a_scene(store) as made:
        made.simulator.record_requests = False
        yield made


# --- what may happen ---


@dataclass(frozen=True, slots=True)
class Create:
    sync: int
    run: State


def called(number: int) -> Id:
    """What the API calls its n-th object: half of them words, which sort against the time."""
    return number if number % 2 else f"word_{10**9 - number}"


@dataclass(frozen=True, slots=True)
class CreateOld:
    """A run that is older than all others: the API shows it late, or deletions bring it into sight."""

    sync: int
    run: State


@dataclass(frozen=True, slots=True)
class Update:
    place: int
    fields: State


@dataclass(frozen=True, slots=True)
class Delete:
    place: int


@dataclass(frozen=True, slots=True)
class Poll:
    """`end` is what becomes of the first transaction of the poll."""

    sync: int
    end: End = "well"


@dataclass(frozen=True, slots=True)
class PollAll:
    """All syncs at once."""


@dataclass(frozen=True, slots=True)
class PollUnanswered:
    """The API fails in the middle: at the list, or at a run that is fetched by itself."""

    sync: int
    path: Literal["/syncs/*", "/sync_runs/*"]


@dataclass(frozen=True, slots=True)
class Restart:
    pass


Step: TypeAlias = Create | CreateOld | Update | Delete | Poll | PollAll | PollUnanswered | Restart

STATUSES = st.sampled_from(["queued", "working", "completed", "failed", "skipped", "cancelled", "preparing"])
ERRORS = st.sampled_from([None, "", "AUTH", "TIMEOUT"])
RUNS = st.fixed_dictionaries({"status": STATUSES}, optional={"error_code": ERRORS, "canceled": st.booleans()})
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "status": STATUSES,
        "canceled": st.sampled_from([True, False, None]),
        "error_code": ERRORS,
        "error_message": ERRORS,
        "error_detail": ERRORS,
        "records_processed": st.integers(0, 3),
    },
)
SYNCS = st.integers(0, 2)
PLACES = st.integers(0, 11)
POLLS = st.builds(Poll, SYNCS)
CREATES = st.builds(Create, SYNCS, RUNS)
STEPS = st.lists(
    st.one_of(
        CREATES,
        CREATES,
        CREATES,
        st.builds(Update, PLACES, CHANGES),
        st.builds(Update, PLACES, CHANGES),
        POLLS,
        POLLS,
        st.just(PollAll()),
        st.builds(Poll, SYNCS, st.sampled_from(["not kept", "crashed"])),
        st.builds(PollUnanswered, SYNCS, st.sampled_from(["/syncs/*", "/sync_runs/*"])),
        st.just(Restart()),
        st.builds(Delete, PLACES),
        st.builds(CreateOld, SYNCS, RUNS),
    ),
    min_size=25,
    max_size=60,
)


# --- the model ---


def watched(run: State) -> State:
    """The watched fields as the interface compares them: absent, null and "" are one, and so is false."""
    return {name: run.get(name) or None for name in FIELDS}


def has_ended(run: State) -> bool:
    return bool(run.get("canceled")) or run["status"] in ENDED or run.get("completed_at") is not None


@dataclass(slots=True)
class SyncModel:
    """What must be known of one sync. `told`: each run's state as the events (and the baseline) tell it."""

    id: Id
    baseline: bool = False
    had_runs: bool = False
    below: set[Id] = field(default_factory=set)
    told: dict[Id, State] = field(default_factory=dict)
    followed: set[Id] = field(default_factory=set)
    appeared: list[int] = field(default_factory=list)


class Model:
    """Checks every event as it comes, and after each poll what the events have told so far."""

    def __init__(self, scene: Scene, syncs: list[SyncModel]) -> None:
        self.scene = scene
        self.syncs = {sync.id: sync for sync in syncs}
        self.place_in_time: dict[Id, int] = {}
        self.events = 0

    def present(self, sync: SyncModel) -> dict[Id, State]:
        """The runs that the API shows, newest first."""
        return {run["id"]: run for run in self.scene.simulator.runs(sync.id)}

    def set_baseline(self, sync: SyncModel) -> None:
        present = self.present(sync)
        sync.baseline, sync.had_runs = True, bool(present)
        sync.below |= present.keys()
        for run_id, run in itertools.islice(present.items(), PAGE):
            sync.told[run_id] = watched(run)
            if not has_ended(run):
                sync.followed.add(run_id)

    def read_events(self) -> int:
        """Checks the events that are new since the last time; how many there were."""
        query = "SELECT sync_id, run_id, body FROM events WHERE workspace = ? ORDER BY seq"
        fresh = self.scene.rows(query, self.scene.workspace)[self.events :]
        for sync_id, run_id, body in fresh:
            data = json.loads(body)["data"]
            self._check(self.syncs[sync_id], run_id, data["changes"], data["sync_run"])
        self.events += len(fresh)
        return len(fresh)

    def _check(self, sync: SyncModel, run_id: Id, changes: list[State], run: State) -> None:
        old = {change["field"]: change["old"] for change in changes}
        new = {change["field"]: change["new"] for change in changes}
        before = sync.told.get(run_id)
        assert sync.baseline, "an event before the baseline"
        assert changes, "an event without a change"
        if before is None and run_id not in sync.below:
            assert "status" in old, "a run that appears is a change of its status"
            before = watched({})
            sync.appeared.append(self.place_in_time[run_id])
            assert sync.appeared == sorted(set(sync.appeared)), "runs appear once, in the order of their creation"
        elif before is None:
            # Older than the baseline and first seen in silence, the model does not know when.
            assert old.get("status", "something") is not None, "a run below the baseline appeared"
            before = watched(run) | old
        assert all(old[name] != new[name] for name in old), "a change from a value to itself"
        assert old == {name: before[name] for name in old}, "old of each is new of the last"
        sync.told[run_id] = before | new
        assert sync.told[run_id] == watched(run), "what changed is all that differs"

    def after_a_whole_poll(self, sync: SyncModel) -> None:
        """All runs that the poll must have looked at are told as they are."""
        present = self.present(sync)
        looked_at = set(itertools.islice(present, NEWEST)) | (sync.followed & present.keys())
        looked_at |= {run_id for run_id in present if run_id not in sync.below}
        for run_id in looked_at & (sync.followed | set(itertools.islice(present, NEWEST))):
            if run_id in sync.below:
                sync.told.setdefault(run_id, watched(present[run_id]))
            assert sync.told.get(run_id) == watched(present[run_id])
            if has_ended(present[run_id]):
                sync.followed.discard(run_id)
            else:
                sync.followed.add(run_id)
        for run_id in present.keys() - sync.below:
            assert run_id in sync.told, "news that were not told"
            if sync.told[run_id]["status"] not in ENDED and not has_ended(present[run_id]):
                assert sync.told[run_id] == watched(present[run_id])
                sync.followed.add(run_id)


# --- the play ---


class FirstTransaction:
    """`store.watching.record`; the next one may fail before its commit, or be the last that its process sees."""

    def __init__(self, store: Store) -> None:
        self._record = store.watching.record
        self.end: End = "well"

    async def __call__(self, observation: Observation) -> None:
        end, self.end = self.end, "well"
        if end == "not kept":
            raise StoreUnavailable("the disk is full")
        await self._record(observation)
        if end == "crashed":
            raise Crash


class Play:
    """One example: three syncs in a workspace of their own, in a database and a server that examples share."""

    def __init__(self, scene: Scene, record: FirstTransaction, number: int) -> None:
        scene.workspace = f"example {number}"
        self.scene = scene
        self.record = record
        self.ids = [called(number * 10 + place) for place in range(3)]
        self.model = Model(scene, [SyncModel(sync_id) for sync_id in self.ids])
        self.targets: dict[Id, SyncTarget] = {}
        self.numbers = itertools.count(number * 1_000 + 100)
        self.old_numbers = itertools.count(number * 1_000 + 99, -1)

    async def begin(self) -> None:
        for sync_id in self.ids:
            self.scene.simulator.add_sync(id=sync_id, created_at=LONG_AGO)
        await self.scene.store.watching.save_listed(
            self.scene.workspace, [ListedSync(sync_id, "Leads") for sync_id in self.ids]
        )
        await self.restart()

    async def end(self) -> None:
        for sync_id in self.ids:
            self.scene.simulator.remove_sync(sync_id)

    async def restart(self) -> None:
        self.scene.observer = self.scene.new_observer()
        roster, _ = await self.scene.roster(Watch(syncs="all"))
        assert roster.syncs.keys() == set(self.ids)
        self.targets = roster.syncs

    async def take(self, step: Step) -> None:
        match step:
            case Create(place, run):
                self._create(self.ids[place], next(self.numbers), run)
            case CreateOld(place, run):
                sync = self.model.syncs[self.ids[place]]
                if not sync.baseline or sync.had_runs:  # without a baseline's run there is no "below" it
                    run_id = self._create(sync.id, next(self.old_numbers), run)
                    if sync.baseline:
                        sync.below.add(run_id)
            case Update(place, fields):
                self._with_run(place, lambda run_id: self._update(run_id, fields))
            case Delete(place):
                self._with_run(place, self.scene.simulator.remove_run)
            case Poll(place, end):
                await self._poll(self.ids[place], end)
            case PollAll():
                await asyncio.gather(*(self.scene.observer.poll_sync(target) for target in self.targets.values()))
                self._polled(self.ids)
            case PollUnanswered(place, path):
                await self._poll_unanswered(self.ids[place], path)
            case Restart():
                await self.restart()
                assert self.model.read_events() == 0

    def _create(self, sync_id: Id, number: int, run: State) -> Id:
        run_id = called(number)
        self.model.place_in_time[run_id] = number
        self.scene.api_is_no_earlier_than(number)
        self.scene.simulator.add_run(sync_id, id=run_id, created_at=created(number), **run)
        return run_id

    def _update(self, run_id: Id, fields: State) -> None:
        """By the API's clock, which stands here: not by ours, which is far ahead of it."""
        assert self.scene.simulator.date is not None
        self.scene.simulator.update_run(run_id, **{"updated_at": self.scene.simulator.date.isoformat(), **fields})

    def _with_run(self, place: int, change: Callable[[Id], object]) -> None:
        """One of the newest runs of all syncs, where there are any."""
        present = (run_id for sync in self.model.syncs.values() for run_id in self.model.present(sync))
        runs = sorted(present, key=self.model.place_in_time.__getitem__, reverse=True)
        if runs:
            change(runs[place % len(runs)])

    async def _poll(self, sync_id: Id, end: End) -> None:
        self.record.end = end
        try:
            await self.scene.observer.poll_sync(self.targets[sync_id])
        except StoreUnavailable:
            event("not kept")
            assert self.model.read_events() == 0
        except Crash:
            event("crashed")
            if not self.model.syncs[sync_id].baseline:
                self.model.set_baseline(self.model.syncs[sync_id])
            self.model.read_events()
            await self.restart()
        else:
            self._polled([sync_id])
        self.record.end = "well"

    def _polled(self, sync_ids: list[Id]) -> None:
        for sync_id in sync_ids:
            if not self.model.syncs[sync_id].baseline:
                self.model.set_baseline(self.model.syncs[sync_id])
        told = self.model.read_events()
        event(f"events of a poll: {min(told, 4)}")
        for sync_id in sync_ids:
            self.model.after_a_whole_poll(self.model.syncs[sync_id])

    async def _poll_unanswered(self, sync_id: Id, path: str) -> None:
        handle = self.scene.simulator.fault(Status(500), path=path, times=1)
        try:
            await self.scene.observer.poll_sync(self.targets[sync_id])
        except CensusError:
            event(f"unanswered {path}")
            self.model.read_events()
        else:
            self._polled([sync_id])
        finally:
            handle.clear()


EXAMPLES = itertools.count(1)

WORKING: State = {"status": "working"}
SKIPPED: State = {"status": "skipped"}


@example([Poll(0), Create(0, WORKING), *[Create(0, SKIPPED)] * 4, Poll(0), Update(4, {"status": "failed"}), Poll(0)])
@example([*[Create(0, SKIPPED)] * 5, Poll(0), Delete(0), Delete(0), Delete(0), Create(0, WORKING), Poll(0)])
@example([Poll(0), Create(0, WORKING), Poll(0, "not kept"), Poll(0, "crashed"), Poll(0), Update(0, SKIPPED), Poll(0)])
@given(STEPS)
@settings(
    max_examples=100,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes longer than a test may
    derandomize=True,
    database=None,
    deadline=None,
    # The database and the server are shared by all examples on purpose: each has a workspace and syncs of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_events_tell_each_runs_story_once_and_whole(scene: Scene, steps: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        record = FirstTransaction(scene.store)
        patch.setattr(scene.store.watching, "record", record)
        play = Play(scene, record, next(EXAMPLES))
        await play.begin()
        try:
            for step in steps:
                await play.take(step)
            await play.take(PollAll())
            await play.restart()
            await play.take(PollAll())
        finally:
            await play.end()
        assert play.model.read_events() == 0
        (deliveries,) = scene.rows("SELECT count(*) FROM deliveries WHERE workspace = ?", scene.workspace)
        assert deliveries == (play.model.events,)
