"""What an answer lacks is no knowledge: lists and listings that are empty, shrunk, late, repeated or out of time."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from notifier.census import wire
from notifier.model.errors import StoreUnavailable, Unusable
from notifier.model.sync import Mark
from notifier.simulator import Status, Transform
from notifier.store.store import Store
from notifier.watching.roster import Roster
from notifier.watchlist.checks import Checks, RecordCount, RejectedRecords, Stale
from notifier.watchlist.models import SyncSelector, Watch
from tests.integration.store.builders import nobody
from tests.integration.watching.incidents.kit import FAILING, HOUR, kinds, only, rostered, told, watched
from tests.integration.watching.kit import (
    START_OF_TIME,
    FailingRecord,
    LoopClock,
    Scene,
    a_scene,
    created,
    lines,
    running,
    settled,
    until,
)

ALL = Watch(syncs="all")
RUNS = "/syncs/52/sync_runs"
LISTING = "/syncs"
NOT_THERE = "watched sync is not in its workspace"


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        made.sync(52, label="Leads")
        yield made


def once(scene: Scene, path: str, change: Callable[[Any], Any], times: int = 1) -> None:
    """The next answers for a path are changed."""
    scene.simulator.fault(Transform(change), path=path, times=times)


def with_data(data: list[Any], **pagination: Any) -> Callable[[Any], Any]:
    """An answer with another list, and with some of its pagination changed."""
    return lambda answer: {**answer, "data": data, "pagination": {**answer["pagination"], **pagination}}


# --- the first list of a sync ---


@pytest.mark.asyncio
async def test_an_empty_first_list_that_claims_runs_is_no_answer(scene: Scene) -> None:
    scene.runs(range(1, 40), "failed")
    target = scene.target()
    once(scene, RUNS, with_data([], total_records=39))
    with pytest.raises(Unusable, match="holds an empty list, and says that there are 39 in it"):
        await scene.poll(target)
    await scene.poll(target, times=2)
    assert scene.bodies() == []


@pytest.mark.parametrize("pagination", [{"total_records": 0}, {}])
@pytest.mark.asyncio
async def test_an_empty_first_list_is_a_baseline_and_what_was_created_before_it_is_never_news(
    scene: Scene, pagination: dict[str, int]
) -> None:
    scene.runs(range(1, 40), "failed")
    scene.api_passes(minutes=1)
    target = scene.target()
    more = {"pagination": pagination} if pagination else {}
    once(scene, RUNS, lambda _: {"status": "success", "data": [], **more})
    await scene.poll(target)
    assert target.mark == Mark(None, None, scene.simulator.date)
    await scene.poll(target, times=2)
    assert scene.bodies() == []
    scene.run(100, "failed")
    await scene.poll(await scene.restarted(target))
    assert scene.events() == [(100, "failed")]


@pytest.mark.asyncio
async def test_what_lies_below_the_baseline_is_no_news_though_the_mark_has_no_time_and_is_deleted(scene: Scene) -> None:
    scene.runs(range(1, 151))
    target = await scene.watched()
    scene.simulator.add_run(52, id=200, status="completed", created_at=None)
    await scene.poll(target)
    scene.simulator.remove_run(200)
    scene.run(201)
    await scene.poll(target, times=2)
    assert scene.events() == [(200, "completed"), (201, "completed")]


@pytest.mark.asyncio
async def test_where_no_run_has_a_time_and_all_that_was_known_vanishes_the_rest_is_told_rather_than_lost(
    scene: Scene,
) -> None:
    for number in range(1, 261):
        scene.simulator.add_run(52, id=number, status="completed", created_at=None)
    target = await scene.watched()
    for number in range(141, 261):
        scene.simulator.remove_run(number)
    await scene.poll(target, times=2)
    assert scene.events() == [(number, "completed") for number in range(1, 141)], "nothing tells them from new ones"


@pytest.mark.asyncio
async def test_where_no_run_has_a_time_and_some_of_the_newest_vanish_nothing_old_is_news(scene: Scene) -> None:
    for number in range(1, 261):
        scene.simulator.add_run(52, id=number, status="completed", created_at=None)
    target = await scene.watched()
    for number in range(171, 261):
        scene.simulator.remove_run(number)
    scene.simulator.add_run(52, id=300, status="failed", created_at=None)
    await scene.poll(target, times=2)
    assert scene.events() == [(300, "failed")]


# --- what one answer says twice, or of no status ---


@pytest.mark.asyncio
async def test_a_run_that_an_answer_names_twice_is_one_run_as_it_was_last(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.run(2, "failed", updated_at=created(9))
    stale = {**scene.simulator.run(2), "status": "working", "error_code": None, "updated_at": created(3)}

    def doubled(answer: Any) -> Any:
        newest, *others = answer["data"]
        turned = [newest, stale] if scene.simulator.run(2)["records_processed"] % 2 else [stale, newest]
        return {**answer, "data": [*turned, *others]}

    once(scene, RUNS, doubled, times=20)
    for count in range(8):
        scene.simulator.update_run(2, records_processed=count)
        scene.simulator.update_run(2, updated_at=created(9))
        await scene.poll(target)
    assert scene.events() == [(2, "failed")]


def test_of_two_states_of_one_run_the_later_counts_and_else_the_first() -> None:
    def page(*runs: dict[str, Any]) -> list[str | None]:
        body = json.dumps({"data": [{"id": 9, **run} for run in runs]}).encode()
        return [run.watched.status for run in wire.runs_page(body, 52).runs]

    older, newer = {"updated_at": created(1)}, {"updated_at": created(2)}
    assert page({"status": "working", **older}, {"status": "failed", **newer}) == ["failed"]
    assert page({"status": "failed", **newer}, {"status": "working", **older}) == ["failed"]
    assert page({"status": "working"}, {"status": "failed"}) == ["working"]
    assert page({"status": "working"}, {"status": "failed", **older}) == ["failed"]


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_answers_that_lag_behind_each_other_tell_a_change_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1, "working", updated_at=created(1))
    scene.api_is_no_earlier_than(9)
    target = await scene.watched()
    before = scene.simulator.run(1)
    scene.becomes(1, "completed", updated_at=created(5))
    loop_clock = LoopClock(monkeypatch)
    for lags in (False, True, False, True, True, False):
        if lags:
            once(scene, RUNS, lambda answer: {**answer, "data": [before]})
        await scene.poll(target)
        await loop_clock.advance(10)
    assert scene.events() == [(1, "completed")]


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_an_older_state_that_lasts_is_how_things_are(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.run(1, "completed", updated_at=created(5))
    scene.api_is_no_earlier_than(9)
    target = await scene.watched()
    scene.becomes(1, "failed", updated_at=created(4))
    loop_clock = LoopClock(monkeypatch)
    for _ in range(60):
        await scene.poll(target)
        await loop_clock.advance(10)
    assert scene.events() == []
    await scene.poll(target, times=2)
    assert scene.events() == [(1, "failed")]


# --- what is newest ---


@pytest.mark.asyncio
async def test_an_answer_that_lacks_the_newest_run_resolves_nothing(scene: Scene) -> None:
    scene.run(1, "working")
    target = await watched(scene, FAILING)
    scene.run(2, "failed")
    await scene.poll(target)
    scene.becomes(1, "completed")
    once(scene, RUNS, lambda answer: {**answer, "data": [run for run in answer["data"] if run["id"] != 2]})
    await scene.poll(target, times=3)
    assert told(scene) == ["failing opened by 2"]


@pytest.mark.parametrize(
    ("checks", "bad", "good"),
    [
        (only(rejected_records=RejectedRecords()), {"records_failed": 90}, {"records_failed": 0}),
        (only(record_count=RecordCount()), {"records_processed": 900}, {"records_processed": 100}),
    ],
)
@pytest.mark.asyncio
async def test_a_run_that_ends_late_never_resolves_what_a_younger_one_opened(
    scene: Scene, checks: Checks, bad: dict[str, int], good: dict[str, int]
) -> None:
    scene.runs([1, 2, 3])
    for number in (1, 2, 3):
        scene.simulator.update_run(number, records_processed=100)
    target = await watched(scene, checks)
    scene.run(4, "working")
    await scene.poll(target)
    scene.run(5, "completed", **{"records_processed": 100, **bad})
    await scene.poll(target)
    opened = told(scene)
    assert [line.split()[1:] for line in opened] == [["opened", "by", "5"]]
    scene.becomes(4, "completed", **{"records_processed": 100, **good})
    await scene.poll(target, times=2)
    assert told(scene) == opened
    scene.run(6, "completed", **{"records_processed": 100, **good})
    await scene.poll(target)
    assert [line.split()[1:] for line in told(scene)[1:]] == [["resolved", "by", "6"]]


@pytest.mark.asyncio
async def test_a_late_bad_run_opens_nothing_once_a_younger_one_was_good(scene: Scene) -> None:
    target = await watched(scene, only(rejected_records=RejectedRecords()))
    scene.run(1, "working")
    scene.run(2, "completed", records_processed=10, records_failed=0)
    await scene.poll(target)
    scene.becomes(1, "completed", records_processed=10, records_failed=9)
    await scene.poll(target)
    assert told(scene) == []


@pytest.mark.asyncio
async def test_records_that_are_counted_after_the_end_are_looked_at(scene: Scene) -> None:
    target = await watched(scene, only(rejected_records=RejectedRecords()))
    scene.run(1, "completed", records_processed=None, records_failed=None)
    await scene.poll(target)
    assert told(scene) == []
    scene.simulator.update_run(1, records_processed=100)
    await scene.poll(target)
    assert told(scene) == []
    scene.simulator.update_run(1, records_failed=90)
    await scene.poll(target, times=3)
    assert told(scene) == ["rejected_records opened by 1"]
    assert [kind for kind in kinds(scene) if kind.startswith("sync_run")] == ["sync_run.completed"]
    scene.simulator.update_run(1, records_failed=0)
    await scene.poll(target, times=2)
    assert told(scene) == ["rejected_records opened by 1", "rejected_records resolved by 1"]


@pytest.mark.asyncio
async def test_runs_of_one_instant_go_by_the_order_of_the_list(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    for number, status in ((7, "failed"), (3, "completed"), (5, "failed")):
        scene.run(number, status, created_at=created(1))
    scene.simulator.date = START_OF_TIME + timedelta(seconds=1)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 7", "failing resolved by 3", "failing opened by 5"]


@pytest.mark.asyncio
async def test_a_run_that_failed_and_was_canceled_counts_neither_way(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed", canceled=True)
    await scene.poll(target)
    assert kinds(scene) == ["sync_run.canceled"]
    scene.run(2, "failed")
    await scene.poll(target)
    scene.run(3, "failed", canceled=True)
    scene.run(4, "completed", canceled=True)
    await scene.poll(target, times=2)
    assert told(scene) == ["failing opened by 2"]


# --- times that can't be ---


@pytest.mark.asyncio
async def test_a_run_of_the_future_is_the_newest_for_no_longer_than_until_the_next(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "completed", created_at="2099-01-01T00:00:00.000Z")
    scene.simulator.date = START_OF_TIME + timedelta(seconds=1)
    scene.clock.now = START_OF_TIME
    await scene.poll(target)
    scene.run(2, "failed")
    await scene.poll(target)
    scene.run(3, "failed")
    await scene.poll(await scene.restarted(target, FAILING))
    assert told(scene) == ["failing opened by 2", "failing changed by 3"]


@pytest.mark.asyncio
async def test_one_answer_with_a_date_of_another_age_brings_nothing_about(scene: Scene) -> None:
    scene.clock.now = START_OF_TIME
    scene.run(1, "completed")
    target = await watched(scene, Checks(stale=Stale(after=26 * HOUR), reminders=None))
    scene.run(2, "failed")
    await scene.poll(target)
    honest = scene.simulator.date
    assert honest is not None
    with capture_logs() as logs:
        for wrong in (timedelta(days=400), timedelta(days=-400)):
            scene.simulator.date = honest + wrong
            scene.simulator.update_run(2, records_processed=1)
            await scene.poll(target, times=2)
            scene.simulator.date = honest
            await scene.poll(target)
    assert told(scene) == ["failing opened by 2"]
    assert len(lines(logs, "an answer's Date is no clock, and is left aside")) == 2


@pytest.mark.asyncio
async def test_our_clock_that_jumps_for_one_poll_gives_up_no_run(scene: Scene) -> None:
    scene.run(1, "working")
    scene.runs(range(2, 9), "skipped")
    target = await scene.watched()
    await scene.poll(target)
    for days in (8, -16):
        scene.clock.advance(days=days)
        await scene.poll(target)
        scene.clock.advance(days=-days)
    assert target.followed.keys() == {1}
    scene.becomes(1, "failed")
    await scene.poll(target)
    assert scene.events() == [(1, "failed")]


# --- what was forgotten ---


@pytest.mark.asyncio
async def test_what_retention_forgot_is_no_news_for_a_worker_that_runs_on(scene: Scene) -> None:
    scene.run(1)
    watcher = await scene.watcher(ALL)
    assert await watcher.run_once()
    (target,) = watcher.watched()
    scene.runs(range(2, 161))
    await scene.poll(target)
    cutoff = START_OF_TIME + timedelta(days=31)
    await scene.store.prune(cutoff, lambda _, sync_id, floor: watcher.raise_floor(sync_id, floor))
    assert target.mark is not None
    forgotten_to = START_OF_TIME + timedelta(seconds=60)
    assert target.mark.floor == forgotten_to + timedelta(microseconds=1)
    scene.run(161)
    await scene.poll(target)
    (floor,) = scene.rows("SELECT floor / 1000000 FROM syncs WHERE sync_id = '52'")[0]
    assert floor == forgotten_to.timestamp()
    for number in range(15, 162):
        scene.simulator.remove_run(number)
    await scene.poll(target, times=2)
    assert scene.events() == [(number, "completed") for number in range(2, 162)]


@pytest.mark.asyncio
async def test_retention_between_a_list_and_its_record_makes_nothing_news(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1)
    watcher = await scene.watcher(ALL)
    assert await watcher.run_once()
    (target,) = watcher.watched()
    scene.runs(range(2, 161))
    await scene.poll(target)
    for number in range(15, 161):
        scene.simulator.remove_run(number)
    snapshots = scene.store.watching.snapshots

    async def pruned_meanwhile(*given: Any) -> Any:
        await scene.store.prune(
            START_OF_TIME + timedelta(days=31), lambda _, sync_id, floor: watcher.raise_floor(sync_id, floor)
        )
        return await snapshots(*given)

    monkeypatch.setattr(scene.store.watching, "snapshots", pruned_meanwhile)
    await scene.poll(target, times=2)
    assert len(scene.events()) == 159


@pytest.mark.asyncio
async def test_retention_writes_nothing_where_nothing_is_old(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for sync_id in (61, 62, 63):
        scene.sync(sync_id)
        scene.runs(range(sync_id * 1_000, sync_id * 1_000 + 101), sync_id=sync_id)
    assert await (await scene.watcher(ALL)).run_once()
    written = FailingRecord(monkeypatch, scene.store, times=0)
    commits = scene.store._writer.write
    made: list[object] = []

    async def counted(*groups: Any) -> None:
        made.append(groups)
        await commits(*groups)

    monkeypatch.setattr(scene.store._writer, "write", counted)
    await scene.store.prune(START_OF_TIME - timedelta(days=1), nobody)
    assert (made, written.failed) == ([], [])


@pytest.mark.asyncio
async def test_more_runs_in_one_answer_than_a_statement_takes_are_read(scene: Scene) -> None:
    assert await scene.store.watching.snapshots(scene.workspace, range(1, 40_000)) == {}


@pytest.mark.asyncio
async def test_what_an_answer_shows_while_its_sync_can_not_be_forgotten_is_news_afterwards(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(53)
    roster = await rostered(scene, FAILING)
    target = roster.syncs[52]
    value = scene.simulator.sync(52)
    hidden = scene.simulator.fault(Transform(without(52)), path=LISTING)
    await scene.listed(roster)
    scene.run(1, "failed")

    async def full_disk(*given: Any, **named: Any) -> None:
        await scene.poll(target)  # while it is about to be forgotten
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(scene.store.watching, "forget_syncs", full_disk)
        with pytest.raises(StoreUnavailable):
            await scene.listed(roster)
    hidden.clear()
    assert value["id"] == 52
    await scene.listed(roster)
    await scene.poll(target, times=2)
    assert told(scene) == ["failing opened by 1"]


def without(*sync_ids: int) -> Callable[[Any], Any]:
    """A listing that lacks these, and says so of its total."""

    def changed(answer: Any) -> Any:
        data = [sync for sync in answer["data"] if sync["id"] not in sync_ids]
        lacking = len(answer["data"]) - len(data)
        pagination = {**answer["pagination"], "total_records": answer["pagination"]["total_records"] - lacking}
        return {**answer, "data": data, "pagination": pagination}

    return changed


# --- which syncs are new ---


async def with_a_young_sync(scene: Scene, *watches: Watch) -> Roster:
    """After three listings that show sync 99, which nobody watches: created after the first, with old failures."""
    roster, _ = await scene.roster(*watches)
    await scene.listed(roster)
    scene.simulator.add_sync(id=99, label="Young", created_at=scene.simulator.date)
    scene.api_passes(seconds=1)
    for number in range(1_000, 1_060):
        scene.run(number, "failed" if number % 20 == 0 else "completed", sync_id=99)
    for _ in range(3):
        scene.api_passes(minutes=4)
        await scene.listed(roster)
    return roster


@pytest.mark.parametrize(
    "edited", [Watch(sync=99), ALL, Watch(syncs=SyncSelector(label=("Young",)))], ids=["by its ID", "all", "by a glob"]
)
@pytest.mark.asyncio
async def test_a_young_sync_that_an_edit_covers_gets_a_baseline(scene: Scene, edited: Watch) -> None:
    await with_a_young_sync(scene, Watch(sync=52))
    roster = await rostered(scene, FAILING, Watch(sync=52), edited)
    await scene.poll(roster.syncs[99], times=2)
    assert scene.bodies() == []
    scene.run(2_000, "failed", sync_id=99)
    await scene.poll(roster.syncs[99])
    assert told(scene, 99) == ["failing opened by 2000"]


@pytest.mark.asyncio
async def test_a_young_sync_that_a_new_name_covers_gets_a_baseline(scene: Scene) -> None:
    roster = await with_a_young_sync(scene, Watch(syncs=SyncSelector(label=("Sales *", "Leads"))))
    scene.simulator.update_sync(99, label="Sales Young")
    await scene.listed(roster)
    await scene.poll(roster.syncs[99], times=2)
    assert scene.bodies() == []


@pytest.mark.asyncio
async def test_a_sync_that_an_incomplete_listing_showed_is_not_new_when_an_edit_covers_it(scene: Scene) -> None:
    roster, _ = await scene.roster(Watch(sync=52))
    await scene.listed(roster)
    scene.api_passes(days=2)
    scene.simulator.add_sync(id=99, label="Young", created_at=scene.simulator.date)
    scene.run(1_000, "failed", sync_id=99)
    once(scene, LISTING, lambda answer: {**answer, "data": [*answer["data"], {"label": "no ID"}]})
    await scene.listed(roster)
    assert roster.flaw is not None
    roster = await rostered(scene, FAILING)
    await scene.poll(roster.syncs[99], times=2)
    assert scene.bodies() == []


@pytest.mark.asyncio
async def test_a_sync_that_listings_show_late_is_new_all_the_same(scene: Scene) -> None:
    roster = await rostered(scene, FAILING)
    scene.api_passes(hours=3)
    scene.simulator.add_sync(id=99, label="Young", created_at=scene.simulator.date)
    scene.run(10_900, "failed", sync_id=99)
    scene.api_passes(minutes=2)
    hidden = scene.simulator.fault(Transform(without(99)), path=LISTING)
    await scene.listed(roster)
    scene.api_passes(minutes=4)
    hidden.clear()
    await scene.listed(roster)
    await scene.poll(roster.syncs[99])
    assert told(scene, 99) == ["failing opened by 10900"]


# --- listings that lack too much ---


async def with_syncs(scene: Scene, *sync_ids: int) -> Roster:
    for sync_id in sync_ids:
        scene.sync(sync_id)
    scene.run(1)
    return await rostered(scene, FAILING)


@pytest.mark.parametrize("lacking", [(51, 52, 53), (50, 51, 52, 53, 54)])
@pytest.mark.asyncio
async def test_a_listing_that_lacks_half_of_the_watched_syncs_is_believed_after_a_day(
    scene: Scene, lacking: tuple[int, ...]
) -> None:
    roster = await with_syncs(scene, 50, 51, 53, 54)
    scene.simulator.fault(Transform(without(*lacking)), path=LISTING)
    for _ in range(5):
        await scene.listed(roster)
    assert roster.flaw is not None
    assert "it lacks 3 of 5 watched syncs at once" in roster.flaw or "it is empty, though 5 of its syncs" in roster.flaw
    assert roster.syncs.keys() == {50, 51, 52, 53, 54}
    scene.run(2, "failed")
    await scene.poll(roster.syncs[52])
    assert told(scene) == ["failing opened by 2"]
    scene.api_passes(hours=23, minutes=59)
    roster, _ = await scene.roster(ALL, checks=FAILING)
    await scene.listed(roster)
    await scene.listed(roster)
    assert "sync.deleted" not in kinds(scene)
    scene.api_passes(minutes=2)
    await scene.listed(roster)
    await scene.listed(roster)
    assert roster.flaw is None
    assert kinds(scene).count("sync.deleted") == len(lacking)


@pytest.mark.asyncio
async def test_a_listing_that_lacks_exactly_half_is_doubted_and_one_that_lacks_less_is_not(scene: Scene) -> None:
    roster = await with_syncs(scene, 50, 51, 53, 54, 55)
    hidden = scene.simulator.fault(Transform(without(51, 53, 55)), path=LISTING)
    await scene.listed(roster)
    assert str(roster.flaw).startswith("it lacks 3 of 6 watched syncs at once")
    hidden.clear()
    scene.simulator.add_sync(id=56)
    await scene.listed(roster)
    await scene.poll(roster.syncs[56])
    scene.simulator.fault(Transform(without(51, 53, 55)), path=LISTING)
    await scene.listed(roster)
    assert roster.flaw is None


@pytest.mark.asyncio
async def test_a_listing_that_shows_them_again_ends_the_doubt(scene: Scene) -> None:
    roster = await with_syncs(scene, 53, 54)
    hidden = scene.simulator.fault(Transform(without(52, 53, 54)), path=LISTING)
    await scene.listed(roster)
    hidden.clear()
    scene.api_passes(hours=23)
    await scene.listed(roster)
    assert roster.listings.doubted_since is None
    scene.api_passes(hours=2)
    scene.simulator.fault(Transform(without(52, 53, 54)), path=LISTING)
    await scene.listed(roster)
    await scene.listed(roster)
    assert roster.syncs.keys() == {52, 53, 54}


@pytest.mark.asyncio
async def test_a_few_syncs_that_are_deleted_together_are_deleted(scene: Scene) -> None:
    roster = await with_syncs(scene, 53, 54)
    scene.simulator.remove_sync(53)
    scene.simulator.remove_sync(54)
    await scene.listed(roster)
    await scene.listed(roster)
    assert kinds(scene) == ["sync.deleted", "sync.deleted"]


@pytest.mark.asyncio
async def test_an_empty_listing_that_claims_syncs_is_no_listing(scene: Scene) -> None:
    roster = await rostered(scene, FAILING)
    once(scene, LISTING, with_data([]), times=9)
    for _ in range(3):
        with pytest.raises(Unusable, match="empty list"):
            await scene.listed(roster)
    assert roster.syncs.keys() == {52}


@pytest.mark.asyncio
async def test_a_deleted_sync_that_is_named_is_told_as_deleted_once(scene: Scene) -> None:
    scene.sync(53)
    roster = await rostered(scene, FAILING, Watch(sync=52), Watch(sync=53))
    scene.simulator.remove_sync(52)

    async def two_listings() -> None:
        await scene.listed(roster)
        await scene.listed(roster)

    await two_listings()
    assert kinds(scene) == ["sync.deleted"]
    for restarts in (False, True):
        for _ in range(2):
            once(scene, LISTING, lambda answer: {**answer, "data": [*answer["data"], {"label": "no ID"}]})
            await scene.listed(roster)
            await roster.apply_failure()
            assert roster.syncs.keys() == {53}
            await two_listings()
        if not restarts:
            roster, _ = await scene.roster(Watch(sync=52), Watch(sync=53), checks=FAILING)
    assert kinds(scene) == ["sync.deleted"]
    scene.sync(52, label="Leads")
    await scene.listed(roster)
    assert roster.syncs.keys() == {52, 53}
    scene.simulator.remove_sync(52)
    await two_listings()
    assert kinds(scene) == ["sync.deleted", "sync.deleted"]


# --- a name that is wrong, and faults of ours ---


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_wrong_id_and_a_failed_listing_end_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.simulator.fault(Status(503), path=LISTING, times=1)
    watcher = await scene.watcher(Watch(sync=52), Watch(sync=999))
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        async with running(watcher.run()) as task:
            await until(lambda: scene.asked("/syncs/999/sync_runs") >= 1)
            await settled()
            for _ in range(60):
                await loop_clock.advance(10)
            assert not task.done()
    assert [line["sync_id"] for line in lines(logs, NOT_THERE)] == [999]
    assert [line["sync_id"] for line in lines(logs, "sync is no longer watched")] == [999]


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_fault_of_ours_in_a_listing_is_logged_and_the_polls_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await scene.watcher(ALL)
    assert await watcher.run_once()

    async def broken(*_: object) -> None:
        raise KeyError(999)

    monkeypatch.setattr(Roster, "apply", broken)
    watcher = await scene.watcher(ALL)
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        async with running(watcher.run()) as task:
            await settled()
            scene.simulator.forget_requests()
            for _ in range(30):
                await loop_clock.advance(10)
            assert not task.done()
    assert lines(logs, "listing failed by a fault of the notifier; please report it")
    assert scene.asked(RUNS) >= 4
    assert not watcher.health.state.ok


@pytest.mark.asyncio
async def test_after_a_start_syncs_with_a_run_come_before_those_at_rest(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in range(100, 120):
        scene.sync(sync_id)
    scene.run(1, "working", sync_id=119)
    assert await (await scene.watcher(ALL)).run_once()
    scene.simulator.forget_requests()
    watcher = await scene.watcher(ALL, max_concurrent_requests=1)
    async with running(watcher.run()):
        await until(lambda: len([r for r in scene.simulator.requests if r.path.endswith("/sync_runs")]) >= 3)
    polled = [r.path for r in scene.simulator.requests if r.path.endswith("/sync_runs")]
    assert polled[0] == "/syncs/119/sync_runs"


@pytest.mark.asyncio
async def test_a_run_watch_that_was_taken_out_leaves_no_run_that_is_followed_for_ever(scene: Scene) -> None:
    scene.run(94, "working")
    roster, _ = await scene.roster(Watch(sync_run=94))
    await scene.observer.poll_run(roster.runs[94], roster.sync_label, roster.is_watched)
    await scene.store.watching.save_run_watch(scene.workspace, 94, 52, None, None)
    assert [run.run_id for run in await scene.store.watching.followed(scene.workspace)] == [94]
    await scene.roster(Watch(syncs=SyncSelector(label=("none",))))
    assert await scene.store.watching.followed(scene.workspace) == []


@pytest.mark.asyncio
async def test_an_empty_listing_calls_no_sync_deleted_that_was_shown_and_not_read_yet(scene: Scene) -> None:
    for sync_id in (53, 54, 55):
        scene.sync(sync_id)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    scene.simulator.fault(Transform(without(52, 53, 54, 55)), path=LISTING)
    await scene.listed(roster)
    roster, _ = await scene.roster(ALL)
    for _ in range(3):
        await scene.listed(roster)
    assert (scene.bodies(), sorted(roster.syncs)) == ([], [52, 53, 54, 55])


@pytest.mark.asyncio
async def test_a_run_whose_end_ended_an_incident_and_that_failed_after_all_opens_another(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    scene.run(2)
    await scene.poll(target)
    scene.becomes(2, "failed")
    await scene.poll(await scene.restarted(target, FAILING))
    assert told(scene) == ["failing opened by 1", "failing resolved by 2", "failing opened by 2"]


@pytest.mark.asyncio
async def test_a_run_without_a_time_stands_where_the_list_has_it_and_its_time_is_kept_when_it_comes(
    scene: Scene,
) -> None:
    scene.run(1)
    target = await watched(scene, FAILING)
    scene.simulator.add_run(52, id=2, status="failed", created_at=None)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 2"]
    scene.api_is_no_earlier_than(2)
    scene.simulator.update_run(2, created_at=created(2))
    await scene.poll(target, times=2)
    assert scene.rows("SELECT created_at IS NULL FROM snapshots WHERE run_id = '2'") == [(0,)]
    assert told(scene) == ["failing opened by 2"]


@pytest.mark.asyncio
async def test_a_workspace_without_syncs_is_said_to_have_none_once(scene: Scene) -> None:
    scene.simulator.remove_sync(52)
    roster, _ = await scene.roster(ALL)
    with capture_logs() as logs:
        for _ in range(3):
            await scene.listed(roster)
        scene.sync(52)
        await scene.listed(roster)
    assert roster.syncs.keys() == {52}
    (line,) = lines(logs, "the workspace has no syncs, so that there is nothing to watch")
    assert line["workspace"] == "production"
