"""States that a reviewer found wrong: walks that are cut, clocks that differ, rounds that remember nothing."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from notifier.model.errors import Unusable
from notifier.simulator import Status, Transform
from notifier.store.store import Store
from notifier.watchlist.checks import Checks, RejectedRecords, SlowRun, Stale, UnreachableSettings, Unreadable
from notifier.watchlist.models import Watch
from tests.integration.watching.incidents.kit import only, told, watched
from tests.integration.watching.kit import LoopClock, Scene, a_scene, created, lines, running, settled
from tests.integration.watching.test_unread import minutes_pass, workspace_told

ALL = Watch(syncs="all")
HOUR = timedelta(hours=1)


class Once:
    """Whether a fault was met."""

    cleared = False


SOON = Checks(
    unreachable=UnreachableSettings(after=timedelta(minutes=5)), unreadable=Unreadable(after=timedelta(minutes=30))
)


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        made.sync(52, label="Leads")
        yield made


# --- lost events ---


@pytest.mark.asyncio
async def test_an_empty_page_amid_a_walk_that_claims_more_runs_is_no_end_of_the_list(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 252), "failed")
    asked = 0

    def second_page_is_empty(answer: Any) -> Any:
        nonlocal asked
        if answer["pagination"]["page"] == 2:
            asked += 1
            return {**answer, "data": []}
        return answer

    handle = scene.simulator.fault(Transform(second_page_is_empty), path="/syncs/52/sync_runs")
    with pytest.raises(Unusable, match="page 2 of the list is empty"):
        await scene.poll(target)
    handle.clear()
    await scene.poll(target, times=3)
    seen = [run_id for run_id, kind in scene.events() if kind == "failed"]
    assert asked
    assert len(seen) == 250


@pytest.mark.parametrize("kept", [slice(0, 0), slice(0, 5), slice(0, 99)], ids=["nothing", "five", "all but one"])
@pytest.mark.asyncio
async def test_a_page_amid_a_walk_that_shows_less_than_it_counts_for_once_is_asked_for_again(
    scene: Scene, kept: slice
) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 252), "failed")

    def second_page_is_short(answer: Any) -> Any:
        if answer["pagination"]["page"] == 2 and not handle.cleared:
            handle.cleared = True
            return {"data": answer["data"][kept], "pagination": {**answer["pagination"], "next_page": None}}
        return answer

    handle = Once()
    scene.simulator.fault(Transform(second_page_is_short), path="/syncs/52/sync_runs")
    await scene.poll(target)
    assert handle.cleared
    assert [run_id for run_id, _ in scene.events()] == list(range(2, 252))


@pytest.mark.asyncio
async def test_a_page_amid_a_walk_that_repeats_the_one_before_for_once_is_asked_for_again(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 252), "failed")

    def second_page_is_the_first(answer: Any) -> Any:
        if answer["pagination"]["page"] == 2 and not handle.cleared:
            handle.cleared = True
            return {**answer, "data": scene.simulator.runs(52)[:100]}
        return answer

    handle = Once()
    scene.simulator.fault(Transform(second_page_is_the_first), path="/syncs/52/sync_runs")
    with capture_logs() as logs:
        await scene.poll(target)
    assert handle.cleared
    assert [run_id for run_id, _ in scene.events()] == list(range(2, 252))
    assert logs == [line for line in logs if line["log_level"] == "info"]


@pytest.mark.asyncio
async def test_a_run_dated_in_the_far_future_counts_as_of_the_answers_date_and_not_of_our_clock(scene: Scene) -> None:
    scene.run(1)
    scene.simulator.add_run(52, id=2, status="completed", created_at="2099-01-01T00:00:00.000Z")
    target = await scene.watched()
    scene.run(3, "failed")
    scene.api_passes(minutes=1)
    await scene.poll(target, times=2)
    assert scene.events() == [(3, "failed")]


@pytest.mark.asyncio
async def test_with_run_once_a_change_whose_updated_at_went_back_is_told_after_ten_minutes_too(scene: Scene) -> None:
    scene.run(1, "working", updated_at="2099-01-01T00:00:00.000Z")
    assert await (await scene.watcher(ALL)).run_once()
    scene.becomes(1, "failed")
    scene.simulator.update_run(1, updated_at=created(60))
    for _ in range(12):
        scene.clock.advance(hours=1)
        scene.api_passes(hours=1)
        scene.observer = scene.new_observer()
        await (await scene.watcher(ALL)).run_once()
    assert (1, "failed") in scene.events()


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_run_below_the_list_that_is_held_is_told_after_ten_minutes_though_the_list_moves_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1, "working", updated_at=created(500))
    scene.runs(range(2, 8), "skipped")
    target = await scene.watched()
    loop_clock = LoopClock(monkeypatch)
    scene.becomes(1, "failed")
    scene.simulator.update_run(1, updated_at=created(400))
    for count in range(120):  # an hour, in which the counts of the newest run change all the while
        scene.simulator.update_run(7, records_processed=count)
        scene.api_passes(seconds=30)
        scene.clock.advance(seconds=30)
        loop_clock.now += 30
        await scene.poll(target)
    assert (1, "failed") in scene.events()


@pytest.mark.asyncio
async def test_a_fault_of_ours_while_a_sync_is_forgotten_does_not_leave_it_deaf(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(53, label="Other")
    watcher = await scene.watcher(ALL)
    assert await watcher.run_once()
    roster = watcher._roster
    target = roster.syncs[52]
    handle = scene.simulator.fault(
        Transform(
            lambda answer: {
                **answer,
                "data": [s for s in answer["data"] if s["id"] != 52],
                "pagination": {**answer["pagination"], "total_records": 1},
            }
        ),
        path="/syncs",
    )
    last_words = scene.recorder.last_words

    async def broken(*given: Any) -> Any:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(scene.recorder, "last_words", broken)
    await watcher._lister.list()
    await watcher._lister.list()
    monkeypatch.setattr(scene.recorder, "last_words", last_words)
    handle.clear()
    assert await watcher._lister.list()
    scene.run(1, "failed")
    await scene.poll(target, times=5)
    assert scene.events() == [(1, "failed")]


# --- false events ---


@pytest.mark.asyncio
async def test_a_run_that_ends_late_below_the_list_does_not_resolve_what_a_younger_one_opened_though_the_newest_failed(
    scene: Scene,
) -> None:
    target = await watched(scene, only(rejected_records=RejectedRecords()))
    scene.run(1, "working")
    await scene.poll(target)
    scene.run(2, "completed", records_processed=10, records_failed=10)
    await scene.poll(target)
    scene.run(3, "failed")
    scene.runs(range(4, 9), "skipped")
    await scene.poll(target)
    scene.becomes(1, "completed", records_processed=10, records_failed=0)
    await scene.poll(target)
    assert told(scene) == ["rejected_records opened by 2"]


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_one_broken_sync_among_several_is_no_silent_workspace_where_the_poll_interval_is_long(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 53):
        scene.sync(sync_id, label=f"Sync {sync_id}")
    assert await (await scene.watcher(ALL)).run_once()
    watcher = await scene.watcher(ALL, checks=SOON, poll_interval=timedelta(minutes=20))
    loop_clock = LoopClock(monkeypatch)
    scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
    async with running(watcher.run()):
        await settled()
        await minutes_pass(scene, loop_clock, 90)
    assert workspace_told(scene) == []


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_two_broken_syncs_among_five_are_no_broken_workspace(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 53, 54, 55):
        scene.sync(sync_id, label=f"Sync {sync_id}")
    assert await (await scene.watcher(ALL)).run_once()
    watcher = await scene.watcher(ALL, checks=SOON)
    loop_clock = LoopClock(monkeypatch)
    scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
    scene.simulator.fault(Status(500), path="/syncs/53/sync_runs")
    with capture_logs() as logs:
        async with running(watcher.run()):
            await settled()
            await minutes_pass(scene, loop_clock, 120)
    bad = lines(logs, "workspace can't be read")
    assert (len(bad), workspace_told(scene)) == (0, [])


@pytest.mark.asyncio
async def test_ages_go_by_the_apis_date_also_where_our_own_clock_is_wrong_by_a_month(scene: Scene) -> None:
    scene.clock.advance(days=30)
    target = await watched(scene, only(slow_run=SlowRun(after=timedelta(hours=2))))
    scene.run(1, "working")
    for _ in range(5):
        scene.api_passes(seconds=10)
        scene.clock.advance(seconds=10)
        await scene.poll(target)
    assert told(scene) == []


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_what_can_not_be_read_for_ten_minutes_is_not_said_to_be_unreadable_for_half_an_hour(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.runs((1, 2), "working")
    scene.runs(range(3, 9), "skipped")
    scene.sync(53, label="Other")
    assert await (await scene.watcher(ALL)).run_once()
    watcher = await scene.watcher(ALL, checks=SOON)
    loop_clock = LoopClock(monkeypatch)
    first = scene.simulator.fault(Status(500), path="/sync_runs/1")
    async with running(watcher.run()):
        await settled()
        await minutes_pass(scene, loop_clock, 23)
        scene.simulator.fault(Status(500), path="/sync_runs/2")
        await minutes_pass(scene, loop_clock, 0.5)
        first.clear()  # and it is read again within five minutes
        await minutes_pass(scene, loop_clock, 10)
    said = [b["data"].get("summary") for b in scene.bodies() if b["type"] == "incident.opened"]
    assert said == []


# --- false silence ---


@pytest.mark.asyncio
async def test_a_run_that_says_it_completed_in_the_far_future_does_not_silence_stale_for_ever(scene: Scene) -> None:
    target = await watched(scene, only(stale=Stale(after=timedelta(hours=26))))
    scene.run(1, "completed", completed_at="2099-01-01T00:00:00.000Z")
    await scene.poll(target)
    for _ in range(10):
        scene.api_passes(days=1)
        scene.clock.advance(days=1)
        await scene.poll(target)
    assert told(scene) == ["stale opened"]


@pytest.mark.asyncio
async def test_with_run_once_the_watch_of_a_run_that_is_gone_ends(scene: Scene) -> None:
    scene.run(94, "working")
    assert await (await scene.watcher(Watch(sync_run=94))).run_once()
    scene.simulator.remove_run(94)
    for _ in range(12):
        scene.clock.advance(hours=1)
        scene.api_passes(hours=1)
        scene.observer = scene.new_observer()
        await (await scene.watcher(Watch(sync_run=94))).run_once()
    ended = scene.rows("SELECT ended_at FROM run_watches")
    assert [at for (at,) in ended if at is not None]


# --- what an answer is about ---


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_an_answer_about_another_run_ends_no_watch(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.run(10, "working")
    watcher = await scene.watcher(Watch(sync_run=10))
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(
        Transform(lambda answer: {**answer, "data": {**answer["data"], "id": 77, "status": "failed"}}),
        path="/sync_runs/10",
    )
    async with running(watcher.run()):
        await settled()
        assert handle.hits
        handle.clear()
        await minutes_pass(scene, loop_clock, 1)
        scene.becomes(10, "failed")
        await minutes_pass(scene, loop_clock, 1)
    assert scene.events() == [(10, "failed")]


# --- a key that is refused ---


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_401_about_one_sync_is_its_own_affair(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for sync_id in (51, 53):
        scene.sync(sync_id)
    for sync_id in (51, 52, 53):
        await scene.watched(sync_id)
    watcher = await scene.watcher(ALL, checks=SOON)
    loop_clock = LoopClock(monkeypatch)
    scene.simulator.fault(Status(401), path="/syncs/52/sync_runs")
    async with running(watcher.run()):
        await settled()
        await minutes_pass(scene, loop_clock, 2)
        scene.run(1, "failed", sync_id=51)
        await minutes_pass(scene, loop_clock, 2)
        assert (1, "failed") in scene.events()
        assert workspace_told(scene) == []
        assert watcher.health.state.ok
        scene.simulator.forget_requests()
        await minutes_pass(scene, loop_clock, 40)
        assert watcher.health.state.ok
        assert scene.asked("/syncs/52/sync_runs") <= 9
        assert workspace_told(scene) == []
        assert "unreadable opened" in told(scene)


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_key_that_is_refused_is_tried_with_another_sync_before_it_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 53):
        scene.sync(sync_id)
    for sync_id in (51, 52, 53):
        await scene.watched(sync_id)
    watcher = await scene.watcher(ALL, checks=SOON)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await settled()
        scene.simulator.forget_requests()
        scene.simulator.fault(Status(401))
        await minutes_pass(scene, loop_clock, 2)
        paths = [request.path for request in scene.simulator.requests]
        assert len(paths) == 2, "a poll, and after ten seconds one more"
        assert len(set(paths)) == 2
        assert workspace_told(scene) == ["unreachable opened"]


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.asyncio
async def test_with_run_once_a_key_is_refused_once_a_round_however_many_syncs_there_are(
    scene: Scene, code: int
) -> None:
    for sync_id in range(53, 60):
        scene.sync(sync_id)
    checks = Checks(unreachable=UnreachableSettings(after=HOUR), unreadable=Unreadable(after=HOUR))
    assert await (await scene.watcher(ALL, checks=checks)).run_once()
    scene.simulator.fault(Status(code))
    assert not await (await scene.watcher(ALL, checks=checks, max_concurrent_requests=1)).run_once()
    assert workspace_told(scene) == []
    assert not await (await scene.watcher(ALL, checks=checks, max_concurrent_requests=1)).run_once()
    assert workspace_told(scene) == ["unreachable opened"]
