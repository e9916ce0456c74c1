"""How the workspace's API fares: when it counts as down, how it is left alone, what is said and kept of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from notifier.model.errors import StoreUnavailable, Unauthorized, Unreachable
from notifier.model.sync import WorkspaceState
from notifier.simulator import FaultHandle, Status
from notifier.store.store import Store
from notifier.watching.health import Health
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.models import Watch
from tests.integration.watching.kit import Clock, LoopClock, Scene, a_scene, lines, running, settled, until

pytestmark = pytest.mark.standing_clock

ALL = Watch(syncs="all")
RUNS = "/syncs/*/sync_runs"
DOWN = "workspace can't be read"
UP = "workspace answers again"
DEAD = Unreachable("HTTP 500 Internal Server Error")
LACKS = "it lacks all 3 syncs that the notifier knows of this workspace"
REFUSED = Unauthorized(401, "HTTP 401 Unauthorized: the API key is wrong or lacks access")


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        yield made


@pytest.fixture
def saved() -> list[WorkspaceState]:
    return []


@pytest.fixture
def health(saved: list[WorkspaceState]) -> Health:
    async def save(state: WorkspaceState) -> None:
        saved.append(state)

    return Health(WorkspaceState("production"), save, clock=Clock(), jitter=lambda: 0.0)


async def is_left_alone_for(health: Health, loop_clock: LoopClock, seconds: float) -> None:
    """Sees that nobody may ask before `seconds` have passed, and that everybody may then."""
    waiting = asyncio.create_task(health.until_asked_again())
    await loop_clock.advance(seconds - 0.01)
    assert not waiting.done()
    await loop_clock.advance(0.02)
    assert waiting.done()
    await waiting


# --- by itself ---


@pytest.mark.asyncio
async def test_three_failures_in_a_row_make_it_down(health: Health, saved: list[WorkspaceState]) -> None:
    with capture_logs() as logs:
        for number in range(2):
            await health.failed(DEAD, of=number, among=5)
        assert (health.is_down, health.state.ok, saved) == (False, True, [])
        await health.failed(DEAD, of=2, among=5)
    assert health.is_down
    assert [(state.ok, state.last_error) for state in saved] == [(False, str(DEAD))]
    (line,) = lines(logs, DOWN)
    assert (line["workspace"], line["error"]) == ("production", str(DEAD))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "before",
    [None, "HTTP 301 Moved Permanently: version 1 of the API ends"],
    ids=["well before", "bad before this start"],
)
async def test_that_a_list_is_anothers_says_more_than_that_runs_can_not_be_read_there(
    saved: list[WorkspaceState], before: str | None
) -> None:
    async def save(state: WorkspaceState) -> None:
        saved.append(state)

    state = WorkspaceState("production", ok=before is None, last_error=before)
    health = Health(state, save, clock=Clock(), jitter=lambda: 0.0)
    forbidden = Unauthorized(403, "HTTP 403 Forbidden")
    with capture_logs() as logs:
        await health.unlisted_by(LACKS, is_certain=True)
        for number in range(3):
            await health.failed(forbidden, of=number, among=3)
        await health.unlisted_by(LACKS, is_certain=True)
    assert {state.last_error for state in saved} == {f"the list of syncs: {LACKS}"}
    assert [line["error"] for line in lines(logs, DOWN)] == [f"the list of syncs: {LACKS}"]
    assert health.why_silent == f"the list of syncs: {LACKS}"
    await health.listed(polled=3)
    assert health.why_silent == str(forbidden)


@pytest.mark.asyncio
async def test_a_key_that_is_refused_by_now_says_more_than_whose_list_it_showed(health: Health) -> None:
    await health.unlisted_by(LACKS, is_certain=True)
    await health.refused(REFUSED)
    assert health.state.last_error == str(REFUSED)


@pytest.mark.asyncio
async def test_an_answer_between_failures_begins_the_count_anew(health: Health) -> None:
    for number in range(6):
        await health.failed(DEAD, of=number, among=10)
        if number % 2:
            await health.answered()
    assert not health.is_down


@pytest.mark.asyncio
async def test_one_target_that_fails_among_others_is_not_the_workspace(health: Health) -> None:
    for _ in range(10):
        await health.failed(DEAD, of=7, among=2)
    assert not health.is_down
    await health.failed(DEAD, of=8, among=2)
    assert health.is_down


@pytest.mark.asyncio
async def test_one_target_that_fails_and_is_the_only_one_is_the_workspace(health: Health) -> None:
    for _ in range(3):
        await health.failed(DEAD, of=7, among=1)
    assert health.is_down


@pytest.mark.asyncio
async def test_the_time_it_is_left_alone_doubles_up_to_five_minutes(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_clock = LoopClock(monkeypatch)
    for _ in range(2):
        await health.failed(DEAD, of=0, among=1)
    for wait in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300):
        await health.failed(DEAD, of=0, among=1)
        await is_left_alone_for(health, loop_clock, wait)


@pytest.mark.asyncio
async def test_failures_of_requests_under_way_do_not_lengthen_the_wait(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_clock = LoopClock(monkeypatch)
    for number in range(16):
        await health.failed(DEAD, of=number, among=16)
    await is_left_alone_for(health, loop_clock, 1)
    await health.failed(DEAD, of=1, among=16)
    await is_left_alone_for(health, loop_clock, 2)


@pytest.mark.asyncio
async def test_an_answer_ends_the_wait_for_all_at_once(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    loop_clock = LoopClock(monkeypatch)
    await health.refused(REFUSED)
    waiting = [asyncio.create_task(health.until_asked_again()) for _ in range(5)]
    await settled()
    assert not any(task.done() for task in waiting)
    await health.answered()
    await asyncio.gather(*waiting)
    assert not health.is_down
    for number in range(3):
        await health.failed(DEAD, of=number, among=3)
    await is_left_alone_for(health, loop_clock, 1)


@pytest.mark.asyncio
async def test_a_refused_key_is_asked_again_after_ten_seconds_and_then_every_five_minutes_and_logged_once(
    health: Health, saved: list[WorkspaceState], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        for wait in (10, 300, 300, 300):
            await health.refused(REFUSED)
            await is_left_alone_for(health, loop_clock, wait)
    (line,) = lines(logs, DOWN)
    assert line["remedy"] == "mend its api_key in the watchlist"
    assert [state.last_error for state in saved] == [str(REFUSED)]


@pytest.mark.asyncio
async def test_a_workspace_that_is_down_and_then_refuses_the_key_is_reported_again(
    health: Health, saved: list[WorkspaceState], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        for number in range(3):
            await health.failed(DEAD, of=number, among=3)
        await is_left_alone_for(health, loop_clock, 1)
        await health.refused(REFUSED)
    assert [line["error"] for line in lines(logs, DOWN)] == [str(DEAD), str(REFUSED)]
    assert [state.last_error for state in saved] == [str(DEAD), str(REFUSED)]


@pytest.mark.asyncio
async def test_while_it_is_down_another_error_is_kept_and_not_logged_again(
    health: Health, saved: list[WorkspaceState], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_clock = LoopClock(monkeypatch)
    errors = [f"HTTP {status}" for status in (500, 502, 503, 500)]
    with capture_logs() as logs:
        for number in range(2):
            await health.failed(DEAD, of=number, among=3)
        for error, wait in zip(errors, (1, 2, 4, 8), strict=True):
            await health.failed(Unreachable(error), of=2, among=3)
            await is_left_alone_for(health, loop_clock, wait)
    assert [line["error"] for line in lines(logs, DOWN)] == ["HTTP 500"]
    assert [state.last_error for state in saved] == errors


@pytest.mark.asyncio
async def test_recovery_is_logged_once_and_kept(health: Health, saved: list[WorkspaceState]) -> None:
    await health.refused(REFUSED)
    with capture_logs() as logs:
        for _ in range(3):
            await health.answered()
    assert len(lines(logs, UP)) == 1
    assert [(state.ok, state.last_error) for state in saved] == [(False, str(REFUSED)), (True, None)]
    assert saved[-1].last_polled_at == Clock()()


@pytest.mark.asyncio
async def test_the_first_answer_ever_is_kept_and_later_ones_cost_no_write(
    health: Health, saved: list[WorkspaceState]
) -> None:
    for _ in range(3):
        await health.answered()
    assert len(saved) == 1


@pytest.mark.asyncio
async def test_a_state_that_can_not_be_kept_stops_nothing() -> None:
    async def full_disk(_: WorkspaceState) -> None:
        raise StoreUnavailable("the disk is full")

    health = Health(WorkspaceState("production"), full_disk)
    await health.refused(REFUSED)
    assert not health.state.ok
    await health.answered()
    assert health.state.ok


# --- with polls ---


async def polled_watcher(scene: Scene, syncs: int) -> WorkspaceWatcher:
    """A watcher of syncs with a baseline, about to start."""
    for sync_id in range(1, syncs + 1):
        scene.sync(sync_id)
    assert await (await scene.watcher(ALL)).run_once()
    scene.simulator.forget_requests()
    return await scene.watcher(ALL)


def polls(scene: Scene) -> int:
    return sum(request.path.endswith("/sync_runs") for request in scene.simulator.requests)


async def state(scene: Scene) -> WorkspaceState:
    return (await scene.store.watching.workspaces())["production"]


@pytest.mark.asyncio
async def test_while_it_is_down_one_poll_at_a_time_asks_and_recovery_resumes_all(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await polled_watcher(scene, 40)
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(Status(503), path=RUNS)
    with capture_logs() as logs:
        async with running(watcher.run()):
            await until(lambda: watcher.health.is_down)
            await settled()
            assert not (await state(scene)).ok
            asked = polls(scene)
            assert asked < 40
            for number, wait in enumerate((1, 2, 4, 8), 1):
                await loop_clock.advance(wait - 0.1)
                assert polls(scene) == asked + number - 1
                await loop_clock.advance(0.2)
                assert polls(scene) == asked + number
            handle.clear()
            scene.simulator.forget_requests()
            await loop_clock.advance(17)
            await until(lambda: polls(scene) >= 40)
            asked_paths = {request.path for request in scene.simulator.requests}
            assert {f"/syncs/{number}/sync_runs" for number in range(1, 41)} <= asked_paths
    assert (len(lines(logs, DOWN)), len(lines(logs, UP))) == (1, 1)
    assert (await state(scene)).ok


@pytest.mark.asyncio
async def test_one_failing_sync_among_others_makes_nothing_go_bad(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await polled_watcher(scene, 3)
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(Status(500), path="/syncs/2/sync_runs")
    with capture_logs() as logs:
        async with running(watcher.run()):
            for _ in range(150):
                await loop_clock.advance(1)
    assert 6 <= handle.hits <= 9
    assert lines(logs, DOWN) == []
    assert (await state(scene)).ok
    assert scene.asked("/syncs/1/sync_runs") >= 3


@pytest.mark.asyncio
async def test_a_sync_that_fails_alone_is_asked_less_and_less_often(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await polled_watcher(scene, 3)
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(Status(500), path="/syncs/2/sync_runs")
    async with running(watcher.run()):
        await until(lambda: handle.hits == 1)
        await settled()
        for hits, wait in enumerate((1, 2, 4, 8, 16, 32, 64, 128), 2):
            await loop_clock.advance(wait - 0.1)
            assert handle.hits == hits - 1
            await loop_clock.advance(0.1)
            assert handle.hits == hits


@pytest.mark.asyncio
async def test_a_wrong_key_is_asked_about_every_five_minutes_until_it_works_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await polled_watcher(scene, 20)
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(Status(401), path="*")
    with capture_logs() as logs:
        async with running(watcher.run()):
            await until(lambda: not watcher.health.state.ok)
            await settled()
            assert "401" in str((await state(scene)).last_error)
            for wait in (10, 300, 300):
                hits = handle.hits
                await loop_clock.advance(wait - 1)
                assert handle.hits == hits
                await loop_clock.advance(2)
                assert hits < handle.hits <= hits + 2  # one poll and the listing
            assert len(lines(logs, DOWN)) == 1
            handle.clear()
            scene.simulator.forget_requests()
            await loop_clock.advance(300)
            await until(lambda: polls(scene) >= 20)
    assert len(lines(logs, UP)) == 1
    assert (await state(scene)).ok


@pytest.mark.asyncio
async def test_a_sync_that_the_key_may_not_read_hinders_no_other_and_is_reported_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await polled_watcher(scene, 5)
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(Status(403), path="/syncs/2/sync_runs")
    with capture_logs() as logs:
        async with running(watcher.run()):
            await until(lambda: handle.hits == 1)
            await settled()
            await loop_clock.advance(9)
            assert handle.hits == 1
            await loop_clock.advance(2)
            await until(lambda: handle.hits == 2)  # it may have been brief
            await settled()
            for _ in range(29):
                await loop_clock.advance(10)
            assert handle.hits == 2
            await loop_clock.advance(11)
            await until(lambda: handle.hits == 3)
    (line,) = lines(logs, "sync can't be read; the others go on")
    assert (line["sync_id"], line["error"]) == (2, "HTTP 403 Forbidden: the API key is wrong or lacks access")
    assert lines(logs, DOWN) == []
    assert scene.asked("/syncs/1/sync_runs") >= 5


@pytest.mark.asyncio
async def test_a_key_that_may_read_nothing_is_the_workspaces_trouble(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await polled_watcher(scene, 5)
    LoopClock(monkeypatch)
    scene.simulator.fault(Status(403), path="*")
    async with running(watcher.run()):
        await until(lambda: not watcher.health.state.ok)
        await settled()
    assert "403" in str((await state(scene)).last_error)


@pytest.mark.asyncio
async def test_a_sync_that_the_listing_no_longer_shows_is_no_trouble_of_its_workspace(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await polled_watcher(scene, 2)
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        async with running(watcher.run()):
            await settled()
            scene.simulator.remove_sync(1)
            for _ in range(60):
                await loop_clock.advance(10)
            assert watcher.health.is_well
    assert watcher.health.state.ok
    assert lines(logs, DOWN) == []
    assert [line["sync_id"] for line in lines(logs, "sync is no longer watched")] == [1]


@pytest.mark.asyncio
async def test_runs_that_are_not_found_of_all_syncs_that_the_listing_shows_are_no_answer(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await polled_watcher(scene, 5)
    loop_clock = LoopClock(monkeypatch)
    scene.simulator.fault(Status(404), path=RUNS)
    with capture_logs() as logs:
        async with running(watcher.run()):
            await settled()
            for _ in range(20):
                await loop_clock.advance(10)
    assert not watcher.health.state.ok
    (line,) = lines(logs, DOWN)
    assert line["error"] == "HTTP 404 Not Found"


@pytest.mark.asyncio
async def test_a_workspace_that_was_down_before_the_restart_is_said_to_answer_again(scene: Scene) -> None:
    await scene.store.watching.save_workspace(WorkspaceState("production", ok=False, last_error="HTTP 500"))
    scene.sync(1)
    with capture_logs() as logs:
        assert await (await scene.watcher(ALL)).run_once()
    assert len(lines(logs, UP)) == 1
    kept = await state(scene)
    assert (kept.ok, kept.last_error, kept.last_polled_at) == (True, None, scene.clock.now)


@pytest.mark.asyncio
async def test_events_of_the_time_it_was_down_come_when_it_is_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await polled_watcher(scene, 3)
    loop_clock = LoopClock(monkeypatch)
    handle: FaultHandle = scene.simulator.fault(Status(500), path=RUNS)
    async with running(watcher.run()):
        await until(lambda: watcher.health.is_down)
        for number in (1, 2, 3):
            scene.run(number, "failed", sync_id=number)
        handle.clear()
        await loop_clock.advance(1)
        await until(lambda: len(scene.events()) == 3)
    assert sorted(scene.events()) == [(1, "failed"), (2, "failed"), (3, "failed")]
