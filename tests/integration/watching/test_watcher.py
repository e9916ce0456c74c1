"""When what is polled, and that nothing that goes wrong with one target stops the others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from notifier.census.client import Gate
from notifier.model.errors import DatabaseUnusable, StoreUnavailable
from notifier.model.event import Observation
from notifier.model.meters import PollOutcome, WorkspaceMeter
from notifier.model.sync import WorkspaceState
from notifier.simulator import Hang, Status, Transform
from notifier.store.store import Store
from notifier.watching.poll import Observer
from notifier.watching.roster import Roster
from notifier.watching.target import SyncTarget
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.models import SyncSelector, Watch
from tests.integration.watching.kit import (
    LATER,
    FailingRecord,
    LoopClock,
    Scene,
    a_scene,
    lines,
    running,
    settled,
    until,
)

pytestmark = pytest.mark.standing_clock

ALL = Watch(syncs="all")
FAULT = "poll failed by a fault of the notifier; please report it"


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        yield made


async def with_baselines(scene: Scene, *watches: Watch) -> None:
    assert await (await scene.watcher(*watches or (ALL,))).run_once()
    scene.simulator.forget_requests()


def asked(scene: Scene, sync_id: int = 52) -> int:
    return scene.asked(f"/syncs/{sync_id}/sync_runs")


def fails_at(monkeypatch: pytest.MonkeyPatch, scene: Scene, sync_id: int, error: BaseException) -> list[int]:
    """From now on the observer's polls of one sync raise; gives the list to which each such poll is added."""
    real = Observer.poll_sync
    failed: list[int] = []

    async def poll_sync(observer: Observer, target: SyncTarget, *, conditionally: bool) -> bool:
        if target.sync_id == sync_id:
            failed.append(sync_id)
            raise error
        return await real(observer, target, conditionally=conditionally)

    monkeypatch.setattr(Observer, "poll_sync", poll_sync)
    return failed


# --- one round ---


@pytest.mark.asyncio
async def test_one_round_polls_everything_once(scene: Scene) -> None:
    for sync_id in range(1, 31):
        scene.sync(sync_id)
    scene.run(94, "working", sync_id=1)
    scene.run(95, "working", sync_id=2)
    watches = (Watch(syncs=SyncSelector(exclude_label=("Sync 1",))), Watch(sync_run=94), Watch(sync_run=95))
    assert await (await scene.watcher(*watches)).run_once()
    assert [asked(scene, sync_id) for sync_id in range(1, 31)] == [0] + [1] * 29
    assert (scene.asked("/sync_runs/94"), scene.asked("/sync_runs/95")) == (1, 1)
    assert scene.asked("/syncs") == 1


@pytest.mark.asyncio
async def test_rounds_of_separate_processes_find_each_event_once(scene: Scene) -> None:
    scene.sync(52)
    await with_baselines(scene)
    scene.run(1, "failed")
    for _ in range(3):
        assert await (await scene.watcher(ALL)).run_once()
    assert scene.events() == [(1, "failed")]


@pytest.mark.asyncio
async def test_a_round_with_a_refused_key_asks_no_more_than_the_listing(scene: Scene) -> None:
    for sync_id in range(1, 31):
        scene.sync(sync_id)
    await with_baselines(scene)
    scene.simulator.forget_requests()
    scene.simulator.fault(Status(401))
    assert not await (await scene.watcher(ALL)).run_once()
    assert [request.path for request in scene.simulator.requests] == ["/syncs"]


@pytest.mark.asyncio
async def test_one_round_asks_no_more_at_once_than_it_may(scene: Scene) -> None:
    for sync_id in range(1, 31):
        scene.sync(sync_id)
    scene.simulator.latency = 0.01
    assert await (await scene.watcher(ALL, max_concurrent_requests=3)).run_once()
    assert scene.simulator.max_open_requests == 3


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/syncs", Status(500)),
        ("/syncs", Transform(lambda _: {})),
        ("/syncs/52/sync_runs", Status(500)),
        ("/syncs/52/sync_runs", Status(403)),
        ("/syncs/52/sync_runs", Status(429, headers={"Retry-After": "0"})),
        ("/sync_runs/1", Status(500)),
    ],
)
@pytest.mark.asyncio
async def test_a_round_in_which_something_could_not_be_read_says_so_and_reads_the_rest(
    scene: Scene, path: str, fault: Status | Transform
) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    scene.run(1, "working")
    await with_baselines(scene)
    scene.runs(range(2, 9), "skipped")
    await with_baselines(scene)
    scene.simulator.fault(fault, path=path)
    assert not await (await scene.watcher(ALL)).run_once()
    assert (asked(scene, 51), asked(scene, 52), asked(scene, 53)) == (1, 1, 1)


@pytest.mark.asyncio
async def test_a_round_whose_finds_could_not_be_kept_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.sync(52)
    await with_baselines(scene)
    scene.run(1)
    FailingRecord(monkeypatch, scene.store)
    assert not await (await scene.watcher(ALL)).run_once()
    assert scene.events() == []
    assert await (await scene.watcher(ALL)).run_once()
    assert scene.events() == [(1, "completed")]


@pytest.mark.asyncio
async def test_a_sync_that_is_gone_is_no_failure_of_a_round(scene: Scene) -> None:
    scene.sync(52)
    scene.sync(53)
    await with_baselines(scene)
    scene.simulator.remove_sync(52)
    with capture_logs() as logs:
        assert await (await scene.watcher(ALL)).run_once()
    assert [line["sync_id"] for line in lines(logs, "watched sync is not found")] == [52]


@pytest.mark.asyncio
async def test_a_sync_that_the_listing_shows_and_whose_runs_are_not_found_is_a_failure_of_a_round(
    scene: Scene,
) -> None:
    scene.sync(52)
    scene.sync(53)
    await with_baselines(scene)
    scene.simulator.fault(Status(404), path="/syncs/52/sync_runs")
    with capture_logs() as logs:
        assert not await (await scene.watcher(ALL)).run_once()
    (line,) = lines(logs, "could not be read in this round")
    assert (line["sync_id"], line["error"]) == (52, "HTTP 404 Not Found")


@pytest.mark.parametrize("fault", [Status(404), Status(500), Transform(lambda _: [])])
@pytest.mark.asyncio
async def test_a_round_without_a_listing_polls_the_syncs_that_are_named(
    scene: Scene, fault: Status | Transform
) -> None:
    scene.sync(52)
    scene.simulator.fault(fault, path="/syncs")
    for number in range(2):
        assert not await (await scene.watcher(ALL, Watch(sync=52))).run_once()
        assert asked(scene) == number + 1
        scene.run(number + 1)
    assert scene.events() == [(1, "completed")]


# --- what goes wrong with one ---


@pytest.mark.asyncio
async def test_a_fault_of_ours_in_one_poll_is_logged_and_stops_no_other(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    await with_baselines(scene)
    failed = fails_at(monkeypatch, scene, 52, RuntimeError("a bug"))
    scene.run(1, sync_id=51)
    scene.run(3, sync_id=53)
    with capture_logs() as logs:
        assert not await (await scene.watcher(ALL)).run_once()
    assert failed == [52]
    (line,) = lines(logs, FAULT)
    assert (line["log_level"], line["workspace"]) == ("error", "production")
    assert sorted(scene.events()) == [(1, "completed"), (3, "completed")]


@pytest.mark.asyncio
async def test_a_worker_with_a_fault_in_one_poll_goes_on_with_the_others_and_tries_that_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 52):
        scene.sync(sync_id)
    await with_baselines(scene)
    failed = fails_at(monkeypatch, scene, 52, KeyError("a bug"))
    watcher = await scene.watcher(ALL)
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        async with running(watcher.run()):
            for _ in range(13):
                await loop_clock.advance(10)
            assert asked(scene, 51) >= 3
    assert len(failed) == len(lines(logs, FAULT)) == 3
    assert watcher.health.state.ok


@pytest.mark.asyncio
async def test_a_database_that_is_unusable_stops_a_round_with_its_own_error(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    await with_baselines(scene)
    fails_at(monkeypatch, scene, 52, DatabaseUnusable("notifier.db: the file is damaged"))
    with pytest.raises(DatabaseUnusable, match="damaged"):
        await (await scene.watcher(ALL)).run_once()


@pytest.mark.asyncio
async def test_a_database_that_is_unusable_stops_the_worker(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    await with_baselines(scene)
    fails_at(monkeypatch, scene, 52, DatabaseUnusable("notifier.db: the file is damaged"))
    watcher = await scene.watcher(ALL)
    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(watcher.run(), 20)
    assert caught.value.subgroup(DatabaseUnusable) is not None


@pytest.mark.asyncio
async def test_finds_that_could_not_be_kept_are_found_again_soon_and_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    await with_baselines(scene)
    full_disk = FailingRecord(monkeypatch, scene.store, times=3)
    scene.run(1)
    watcher = await scene.watcher(ALL)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        for failures in (1, 2, 3):
            await until(lambda: len(full_disk.failed) == failures)  # noqa: B023 - awaited at once
            await loop_clock.advance(2)
        await until(lambda: scene.events() == [(1, "completed")])
        await loop_clock.advance(60)
        await settled()
    assert scene.events() == [(1, "completed")]
    assert watcher.health.state.ok


@pytest.mark.asyncio
async def test_a_full_disk_does_not_end_a_worker_that_has_no_listing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    listing = scene.simulator.fault(Status(404), path="/syncs")
    real = scene.store.watching.save_listed
    calls: list[object] = []

    async def full_at_first(workspace: str, listed: Any) -> None:
        calls.append(listed)
        if len(calls) == 1:
            raise StoreUnavailable("the disk is full")
        await real(workspace, listed)

    monkeypatch.setattr(scene.store.watching, "save_listed", full_at_first)
    watcher = await scene.watcher(Watch(sync=52))
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()) as task:
        await until(lambda: listing.hits == 1)
        await settled()
        assert not task.done()
        await loop_clock.advance(1.5)
        await until(lambda: asked(scene) == 1)
    assert len(calls) >= 2


@pytest.mark.asyncio
async def test_what_a_listing_took_away_is_no_longer_polled_even_if_the_rest_could_not_be_kept(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(51, label="on")
    scene.sync(52, label="on")
    watches = (Watch(syncs=SyncSelector(label=("on*",))),)
    await with_baselines(scene, *watches)
    scene.simulator.update_sync(51, label="off")
    scene.simulator.update_sync(52, label="on and on")

    real, calls = scene.store.watching.save_listed, []

    async def full_for_renamed(workspace: str, listed: Any) -> None:
        calls.append(listed)
        if listed:
            raise StoreUnavailable("the disk is full")
        await real(workspace, listed)

    monkeypatch.setattr(scene.store.watching, "save_listed", full_for_renamed)
    assert not await (await scene.watcher(*watches)).run_once()
    assert any(calls)
    assert (asked(scene, 51), asked(scene, 52)) == (0, 1)


# --- the pace ---


@pytest.mark.asyncio
async def test_a_sync_at_rest_is_polled_once_an_interval(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for sync_id in range(1, 11):
        scene.sync(sync_id)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: all(asked(scene, sync_id) for sync_id in range(1, 11)))
        await loop_clock.advance(60)
        scene.simulator.forget_requests()
        for _ in range(24):
            await loop_clock.advance(5)
        counts = [asked(scene, sync_id) for sync_id in range(1, 11)]
    assert counts == [2] * 10


@pytest.mark.asyncio
async def test_a_sync_with_a_run_under_way_is_polled_at_the_active_interval_until_it_ends(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    scene.run(1, "working")
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: asked(scene) == 1)
        await settled()
        await loop_clock.advance_to_the_middle_of(10)
        scene.simulator.forget_requests()
        for number in (1, 2, 3):
            await loop_clock.advance(4.5)
            assert asked(scene) == number - 1
            await loop_clock.advance(5.5)
            await until(lambda: asked(scene) == number)  # noqa: B023 - awaited at once
            await settled()
        scene.becomes(1, "completed")
        await loop_clock.advance(10)
        await until(lambda: scene.events() == [(1, "completed")])
        await settled()
        scene.simulator.forget_requests()
        for _ in range(12):
            await loop_clock.advance(10)
    assert asked(scene) == 2


@pytest.mark.asyncio
async def test_a_poll_that_began_a_little_early_is_not_made_again_when_it_was_due(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    scene.run(1, "working")
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: asked(scene) == 1)
        await settled()
        await loop_clock.advance_to_the_middle_of(10)
        scene.simulator.forget_requests()
        await loop_clock.advance(4.9995)
        watcher._wake.set()  # as a timer does that rings early
        await until(lambda: asked(scene) == 1)
        await settled()
        await loop_clock.advance(1)
    assert asked(scene) == 1


@pytest.mark.asyncio
async def test_what_is_due_together_begins_in_one_turn_of_the_event_loop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in range(1, 9):
        scene.sync(sync_id)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    loop_clock, loop = LoopClock(monkeypatch), asyncio.get_running_loop()
    turns, begun, real = 0, list[int](), Observer.poll_sync

    def count() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(count)

    async def poll_sync(observer: Observer, target: SyncTarget, *, conditionally: bool) -> bool:
        begun.append(turns)
        return await real(observer, target, conditionally=conditionally)

    async with running(watcher.run()):
        await until(lambda: all(asked(scene, sync_id) for sync_id in range(1, 9)))
        await settled()
        await loop_clock.advance(60)
        monkeypatch.setattr(Observer, "poll_sync", poll_sync)
        count()
        for sync_id in range(1, 9):
            watcher.poll_soon(sync_id)
        await until(lambda: len(begun) == 8)
    assert max(begun) - min(begun) <= 1  # who has waited, and in the next turn all others


@pytest.mark.asyncio
async def test_a_run_unchanged_for_a_day_is_polled_at_rest(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.sync(52)
    scene.run(1, "working")
    await with_baselines(scene)
    scene.api_passes(hours=25)
    watcher = await scene.watcher(ALL)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: asked(scene) >= 1)
        await loop_clock.advance(60)
        scene.simulator.forget_requests()
        for _ in range(12):
            await loop_clock.advance(10)
    assert asked(scene) == 2


@pytest.mark.asyncio
async def test_a_new_sync_is_polled_within_five_minutes_and_one_that_is_gone_no_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(51)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: scene.asked("/syncs") == 1)
        await settled()
        scene.sync(60, created_at=LATER)
        scene.run(1, "failed", sync_id=60)
        scene.simulator.remove_sync(51)
        for _ in range(30):
            await loop_clock.advance(10)
        assert (1, "failed") in scene.events()
        for _ in range(24):
            await loop_clock.advance(10)
        assert sorted(scene.events()) == [(0, "sync.deleted"), (1, "failed")]
        scene.simulator.forget_requests()
        for _ in range(12):
            await loop_clock.advance(10)
        assert (asked(scene, 51), asked(scene, 60)) == (0, 2)


@pytest.mark.asyncio
async def test_a_slow_sync_delays_no_other(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    await with_baselines(scene)
    for number in (51, 52, 53):
        scene.run(number, sync_id=number)
    handle = scene.simulator.fault(Hang(), path="/syncs/51/sync_runs")
    watcher = await scene.watcher(ALL)
    async with running(watcher.run()):
        await until(lambda: len(scene.events()) == 2)
        assert sorted(scene.events()) == [(52, "completed"), (53, "completed")]
        handle.clear()
        await until(lambda: len(scene.events()) == 3)


class Crowd(WorkspaceMeter):
    """How many polls are under way."""

    def __init__(self) -> None:
        self.now = 0

    def poll_begins(self, lag: float) -> None:
        self.now += 1

    def poll_ended(self, outcome: PollOutcome, seconds: float) -> None:
        self.now -= 1


@pytest.mark.asyncio
async def test_as_many_syncs_are_asked_for_at_once_as_may_be_and_no_more_are_handed_out(scene: Scene) -> None:
    for sync_id in range(1, 13):
        scene.sync(sync_id)
    handle = scene.simulator.fault(Hang(), path="/syncs/*/sync_runs")
    crowd = Crowd()
    watcher = await scene.watcher(ALL, meter=crowd, max_concurrent_requests=3)
    scene.client.gate = Gate(10_000, 3)
    async with running(watcher.run()):
        await until(lambda: crowd.now == 3)
        for _ in range(100):  # turns of the loop, in which another could begin
            await asyncio.sleep(0)
        assert crowd.now == 3
        handle.clear()
        await until(lambda: all(asked(scene, sync_id) for sync_id in range(1, 13)))


@pytest.mark.asyncio
async def test_while_the_database_is_slow_other_syncs_are_asked_for_but_not_without_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in range(1, 13):
        scene.sync(sync_id)
    crowd, record, written = Crowd(), scene.store.watching.record, asyncio.Event()

    async def record_slowly(observation: Observation) -> None:
        await written.wait()
        await record(observation)

    monkeypatch.setattr(scene.store.watching, "record", record_slowly)
    watcher = await scene.watcher(ALL, meter=crowd, max_concurrent_requests=3)
    async with running(watcher.run()):
        await until(lambda: crowd.now == 6)
        await settled()
        assert crowd.now == 6
        written.set()
        await until(lambda: all(asked(scene, sync_id) for sync_id in range(1, 13)))


@pytest.mark.asyncio
async def test_a_sync_with_a_run_is_never_looked_at_less_often_than_one_at_rest(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    scene.run(1, "working", sync_id=52)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL, poll_interval=timedelta(seconds=1), active_poll_interval=timedelta(seconds=10))
    loop_clock = LoopClock(monkeypatch)
    before = asked(scene, 52)
    async with running(watcher.run()):
        await until(lambda: asked(scene, 52) == before + 1)
        for more in (2, 3):
            await settled()
            await loop_clock.advance(1.01)
            await until(lambda: asked(scene, 52) == before + more)  # noqa: B023 - awaited at once


@pytest.mark.asyncio
async def test_intervals_that_ask_for_more_than_the_budget_stretch_and_the_log_says_so_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in range(1, 31):
        scene.sync(sync_id)
    watcher = await scene.watcher(ALL, max_requests_per_second=0.1)
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        async with running(watcher.run()):
            await until(lambda: scene.asked("/syncs") == 1)
            for number in (2, 3):
                await settled()
                await loop_clock.advance(241)
                await until(lambda: scene.asked("/syncs") >= number)  # noqa: B023 - awaited at once
            await settled()
            factor = watcher.health.state.stretch
            scene.simulator.forget_requests()
            for _ in range(100):
                await loop_clock.advance(2 * 60 * factor / 100)
            counts = [asked(scene, sync_id) for sync_id in range(1, 31)]
    assert set(counts) <= {1, 2, 3}  # in two of the stretched intervals; it would be ten in as they were asked for
    assert sum(counts) == pytest.approx(60, abs=3)
    (line,) = lines(logs, "intervals are stretched: the watchlist asks for more requests than max_requests_per_second")
    assert line["max_requests_per_second"] == 0.1
    assert line["needed_requests_per_second"] == pytest.approx(30 / 60 + 1 / 240, abs=0.01)
    assert factor == line["factor"] > 1
    assert watcher.longest_pause == timedelta(seconds=60 * factor)  # else all would not be well by it
    assert 0.09 < 30 / 60 / factor + 1 / 240 <= 0.1
    assert watcher.health.state.needed_rate == line["needed_requests_per_second"]


# --- runs that are watched by their ID ---


@pytest.mark.asyncio
async def test_a_watched_run_is_polled_at_the_active_interval_until_it_ends(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    scene.run(94, "working")
    watcher = await scene.watcher(Watch(sync_run=94))
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: scene.asked("/sync_runs/94") == 1)
        await settled()
        await loop_clock.advance_to_the_middle_of(10)
        scene.simulator.forget_requests()
        await loop_clock.advance(4.5)
        assert scene.asked("/sync_runs/94") == 0
        await loop_clock.advance(5.5)
        await until(lambda: scene.asked("/sync_runs/94") == 1)
        await settled()
        scene.becomes(94, "failed")
        await loop_clock.advance(10)
        await until(lambda: scene.events() == [(94, "failed")])
        await settled()
        for _ in range(12):
            await loop_clock.advance(10)
    assert scene.asked("/sync_runs/94") == 2


@pytest.mark.asyncio
async def test_a_run_whose_sync_stops_being_watched_during_the_hand_over_is_still_polled(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52, label="on")
    scene.run(94, "working")
    watches = (Watch(syncs=SyncSelector(label=("on",))), Watch(sync_run=94))
    watcher: WorkspaceWatcher = await scene.watcher(*watches)
    real = scene.store.watching.save_run_watch
    roster = watcher._roster

    async def a_listing_comes_between(*given: Any) -> None:
        await real(*given)
        if 52 in roster.syncs:
            roster.syncs.pop(52)

    with monkeypatch.context() as patch:
        patch.setattr(scene.store.watching, "save_run_watch", a_listing_comes_between)
        await watcher.run_once()
    assert roster.runs.keys() == {94}
    assert roster.runs[94] in [poller.target for poller in watcher._schedule]


@pytest.mark.asyncio
async def test_a_watched_run_is_handed_over_to_its_sync_and_not_polled_twice(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    scene.run(94, "working")
    watcher = await scene.watcher(ALL, Watch(sync_run=94))
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        for _ in range(12):
            await loop_clock.advance(10)
        scene.simulator.forget_requests()
        scene.becomes(94, "failed")
        for _ in range(12):
            await loop_clock.advance(10)
    assert scene.asked("/sync_runs/94") == 0
    assert scene.events() == [(94, "failed")]


# --- the state that is kept ---


@pytest.mark.asyncio
async def test_the_time_of_the_first_listing_is_kept_and_stays(scene: Scene) -> None:
    scene.sync(52)
    await with_baselines(scene)
    first = (await scene.store.watching.workspaces())["production"].first_listed_at
    assert first is not None
    await scene.store.watching.save_workspace(WorkspaceState("production", first_listed_at=first.replace(year=2021)))
    await with_baselines(scene)
    assert (await scene.store.watching.workspaces())["production"].first_listed_at == first.replace(year=2021)


@pytest.mark.asyncio
async def test_each_find_is_one_transaction(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.sync(52)
    await with_baselines(scene)
    scene.run(1, "working")
    scene.run(2, "skipped")
    recorded: list[Observation] = []
    real = scene.store.watching.record

    async def record(observation: Observation) -> None:
        recorded.append(observation)
        await real(observation)

    monkeypatch.setattr(scene.store.watching, "record", record)
    assert await (await scene.watcher(ALL)).run_once()
    (observation,) = recorded
    assert ([event.run_id for event in observation.events], len(observation.snapshots)) == ([1, 2], 2)
    assert observation.mark is not None


# --- polls that were asked for ---


@pytest.mark.asyncio
async def test_a_hint_brings_the_poll_at_once_and_many_together_bring_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: asked(scene) == 1)
        await settled()
        for _ in range(100):
            watcher.poll_soon(52)
            watcher.poll_soon(999)
        await until(lambda: asked(scene) == 2)
        await settled()
        assert asked(scene) == 2
        await clock.advance(61)
        await until(lambda: asked(scene) == 3)
        await settled()
        assert asked(scene) == 3


@pytest.mark.asyncio
async def test_hints_during_a_poll_bring_one_more_after_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.sync(52)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    begun, go_on = asyncio.Event(), asyncio.Event()
    polls = 0

    async def poll_sync(_: Observer, target: SyncTarget, *, conditionally: bool) -> bool:
        nonlocal polls
        polls += 1
        begun.set()
        await go_on.wait()
        return False

    monkeypatch.setattr(Observer, "poll_sync", poll_sync)
    LoopClock(monkeypatch)
    async with running(watcher.run()):
        await begun.wait()
        for _ in range(100):
            watcher.poll_soon(52)
        await settled()
        assert polls == 1
        go_on.set()
        await until(lambda: polls == 2)
        await settled()
        assert polls == 2


@pytest.mark.asyncio
async def test_a_workspace_that_is_down_is_left_alone_whatever_hints_come(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    scene.simulator.fault(Status(401))
    LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: watcher.health.is_down)
        await settled()
        before = len(scene.simulator.requests)
        for _ in range(100):
            watcher.poll_soon(52)
        await settled()
        assert len(scene.simulator.requests) == before


@pytest.mark.asyncio
async def test_a_sync_whose_polls_fail_is_left_alone_until_its_time_whatever_hints_come(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    failing = scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
    clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: failing.hits == 1)
        await settled()
        watcher.poll_soon(52)
        await settled()
        assert failing.hits == 1
        await clock.advance(1.01)
        assert failing.hits == 2


# --- whose trouble it is ---


async def passes_until(clock: LoopClock, condition: Callable[[], bool]) -> None:
    """Time passes, a second at a time, until it holds."""
    for _ in range(5_000):
        if condition():
            return
        await clock.advance(1)
    raise AssertionError("what was waited for did not happen")


@pytest.mark.asyncio
async def test_that_the_workspace_is_down_is_found_out_by_others_before_their_turn(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL, poll_interval=timedelta(hours=1))
    clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: all(asked(scene, sync_id) for sync_id in (51, 52, 53)))
        await settled()
        failing = scene.simulator.fault(Status(500), path="/syncs/*/sync_runs")
        await passes_until(clock, lambda: failing.hits > 0)
        for _ in range(10):  # after 1, 2 and 4 seconds the one that failed has failed three times more
            await clock.advance(1)
        assert watcher.health.is_down


@pytest.mark.asyncio
async def test_a_sync_that_failed_long_before_the_workspace_did_is_polled_in_its_turn_once_that_is_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    clock = LoopClock(monkeypatch)
    alone = scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
    async with running(watcher.run()):
        await passes_until(clock, lambda: alone.hits == 9)  # after which it waits for more than four minutes
        every = scene.simulator.fault(Status(500), path="/syncs/*/sync_runs")
        await passes_until(clock, lambda: watcher.health.is_down)
        every.clear()
        alone.clear()
        before = asked(scene)
        await passes_until(clock, lambda: not watcher.health.is_down)
        for _ in range(61):
            await clock.advance(1)
        assert asked(scene) > before


@pytest.mark.asyncio
async def test_a_listed_sync_whose_runs_are_not_found_is_looked_for_in_the_list_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sync_id in (51, 52, 53):
        scene.sync(sync_id)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)
    clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: all(asked(scene, sync_id) for sync_id in (51, 52, 53)))
        await settled()
        scene.simulator.remove_sync(52)
        polled, listed = asked(scene), scene.asked("/syncs")
        await passes_until(clock, lambda: asked(scene) > polled)
        assert scene.asked("/syncs") == listed + 1


@pytest.mark.asyncio
async def test_listings_that_fail_by_a_fault_of_ours_are_told_and_count_as_unread(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    await with_baselines(scene)
    watcher = await scene.watcher(ALL)

    async def fails(*_: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(Roster, "apply", fails)
    clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        async with running(watcher.run()):
            for _ in range(10):
                await clock.advance(1)
            assert watcher.health.unlisted == "the list of syncs: a fault of the notifier; see its log"
            before = asked(scene)
            await clock.advance(60)
            await until(lambda: asked(scene) > before)  # polls go on
    assert lines(logs, "listing failed by a fault of the notifier; please report it")
