"""Health asks whether what the notifier came for was read: listings, one sync among several, one run among several."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from notifier.census.v1 import ENDS
from notifier.service.liveness import Liveness
from notifier.service.systemd import Systemd
from notifier.service.vitals import Vitals, trouble
from notifier.simulator import Body, Status, Transform
from notifier.store.sql.schema import NONE
from notifier.store.store import Store
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.checks import Checks, Stale, UnreachableSettings, Unreadable
from notifier.watchlist.models import Watch
from tests.integration.watching.incidents.kit import incidents, kinds, told
from tests.integration.watching.kit import LoopClock, Scene, a_scene, lines, running, settled, until

pytestmark = pytest.mark.standing_clock

ALL = Watch(syncs="all")
SOON = Checks(
    unreachable=UnreachableSettings(after=timedelta(minutes=5)), unreadable=Unreadable(after=timedelta(minutes=30))
)
DOWN = "workspace can't be read"
UP = "workspace answers again"
UNREAD = "sync can't be read; the others go on"
READ = "sync can be read again"


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        for sync_id in (51, 52, 53):
            made.sync(sync_id, label=f"Sync {sync_id}")
        yield made


async def begun(scene: Scene, checks: Checks = SOON, *watches: Watch) -> WorkspaceWatcher:
    """A watcher of syncs that have their baseline."""
    assert await (await scene.watcher(*(watches or (ALL,)))).run_once()
    return await scene.watcher(*(watches or (ALL,)), checks=checks)


async def minutes_pass(scene: Scene, loop_clock: LoopClock, minutes: float) -> None:
    """By all clocks, ten seconds at a time."""
    for _ in range(round(minutes * 6)):
        scene.clock.advance(seconds=10)
        scene.api_passes(seconds=10)
        await loop_clock.advance(10)


def last_error(scene: Scene, sync_id: int = 52) -> str | None:
    ((error,),) = scene.rows("SELECT last_error FROM syncs WHERE sync_id = ?", sync_id)
    return None if error is None else str(error)


def workspace_told(scene: Scene) -> list[str]:
    return told(scene, NONE)


# --- the listing ---


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Status(500), "HTTP 500 Internal Server Error"),
        (Status(404), f"HTTP 404 Not Found: {ENDS}; or else check its region or base_url"),
        (Status(410), f"HTTP 410 Gone: {ENDS}; or else check its region or base_url"),
        (Status(403), "HTTP 403 Forbidden: the API key is wrong or lacks access"),
        (Body(b"<html>", "text/html"), "the answer is not JSON"),
        (
            Transform(lambda answer: {**answer, "data": [{"id": "wandering aimlessly"}]}),
            "the answer holds a list of 1, and none of them has an ID that can be read",
        ),
        (
            Transform(lambda answer: {**answer, "data": [*answer["data"], {"label": "no ID"}]}),
            "1 of 4 syncs in it have no ID that can be read",
        ),
        (
            Transform(lambda answer: {**answer, "pagination": {**answer["pagination"], "total_records": 9}}),
            "it holds 3 syncs, and says that there are 9",
        ),
    ],
)
@pytest.mark.asyncio
async def test_a_list_of_syncs_that_can_not_be_read_whole_is_told_though_polls_work(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, fault: Any, reason: str
) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(fault, path="/syncs")
    with capture_logs() as logs:
        async with running(watcher.run()):
            await settled()
            await minutes_pass(scene, loop_clock, 30)
            assert watcher.health.state.last_error == f"the list of syncs: {reason}"
            assert workspace_told(scene) == ["unreachable opened"]
            summary = scene.bodies()[0]["data"]["summary"]
            assert summary == f"no usable answer for more than 5 min: the list of syncs: {reason}"
            assert not watcher.health.is_down, "polls go on as ever"
            handle.clear()
            await minutes_pass(scene, loop_clock, 5)
            assert watcher.health.state.ok
    assert workspace_told(scene) == ["unreachable opened", "unreachable resolved"]
    assert [line["error"] for line in lines(logs, DOWN)] == [f"the list of syncs: {reason}"]
    assert len(lines(logs, UP)) == 1
    (state,) = (await scene.store.watching.workspaces()).values()
    assert (state.ok, state.last_error, state.unlisted_since) == (True, None, None)


@pytest.mark.asyncio
async def test_while_the_list_can_not_be_read_not_all_is_well(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    liveness = Liveness(scene.store, [watcher], Systemd(), heartbeat=None)

    def reason() -> str | None:
        vitals = liveness.vitals()
        return trouble(Vitals(True, True, timedelta(0), vitals.workspaces))

    async with running(watcher.run()):
        await until(lambda: watcher.health.answered_at is not None)
        assert reason() is None
        handle = scene.simulator.fault(Status(404), path="/syncs")
        await minutes_pass(scene, loop_clock, 5)
        assert "production can't be read: the list of syncs: HTTP 404" in str(reason())
        handle.clear()
        await minutes_pass(scene, loop_clock, 5)
        assert reason() is None


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.asyncio
async def test_404_or_410_on_everything_is_no_answer(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    scene.simulator.fault(Status(status))
    async with running(watcher.run()):
        await settled()
        await minutes_pass(scene, loop_clock, 10)
        assert not watcher.health.state.ok
        assert watcher.health.answered_at is None
    assert workspace_told(scene) == ["unreachable opened"]
    assert [kind for kind in kinds(scene) if kind == "sync.deleted"] == []


@pytest.mark.asyncio
async def test_a_run_is_not_gone_while_a_gateway_says_404_to_everything(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(94, "working")
    watcher = await begun(scene, SOON, Watch(sync_run=94), Watch(sync=51))
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(Status(404, b"default backend - 404"))
    async with running(watcher.run()):
        await settled()
        await minutes_pass(scene, loop_clock, 40)
        handle.clear()
        await minutes_pass(scene, loop_clock, 10)
        scene.becomes(94, "failed")
        await minutes_pass(scene, loop_clock, 2)
    assert (94, "failed") in scene.events()


@pytest.mark.asyncio
async def test_a_list_that_can_be_read_says_nothing_of_runs_that_can_not(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(Status(500), path="/syncs/*/sync_runs")
    with capture_logs() as logs:
        async with running(watcher.run()):
            await settled()
            await minutes_pass(scene, loop_clock, 120)
            assert scene.asked("/syncs") >= 20
            handle.clear()
            await minutes_pass(scene, loop_clock, 10)
    assert (len(lines(logs, DOWN)), len(lines(logs, UP))) == (1, 1)
    assert workspace_told(scene) == ["unreachable opened", "unreachable resolved"]


@pytest.mark.asyncio
async def test_what_was_frozen_did_not_fail_to_answer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: watcher.health.answered_at is not None)
        scene.simulator.fault(Status(500))
        await minutes_pass(scene, loop_clock, 3)
        loop_clock.now += 3600  # SIGSTOP, and all due at once when it goes on
        await minutes_pass(scene, loop_clock, 1)
        assert workspace_told(scene) == []
        await minutes_pass(scene, loop_clock, 5)
        assert workspace_told(scene) == ["unreachable opened"]


# --- one sync among several ---


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Status(500), "HTTP 500 Internal Server Error"),
        (Status(504), "HTTP 504 Gateway Timeout"),
        (Status(400), "HTTP 400 Bad Request"),
        (Status(403), "HTTP 403 Forbidden: the API key is wrong or lacks access"),
        (Status(404), "HTTP 404 Not Found"),
        (Body(b"<html>", "text/html"), "the answer is not JSON"),
        (Transform(lambda answer: {**answer, "data": [{"status": "failed"}]}), "none of them has an ID"),
    ],
)
@pytest.mark.asyncio
async def test_one_sync_that_can_not_be_read_is_told_and_the_others_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, fault: Any, reason: str
) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(fault, path="/syncs/52/sync_runs")
    with capture_logs() as logs:
        async with running(watcher.run()):
            await settled()
            await minutes_pass(scene, loop_clock, 29)
            assert told(scene) == []
            assert reason in str(last_error(scene))
            scene.run(1, "failed", sync_id=51)
            await minutes_pass(scene, loop_clock, 12)
            assert told(scene) == ["unreadable opened"]
            assert watcher.health.state.ok
            assert workspace_told(scene) == []
            handle.clear()
            await minutes_pass(scene, loop_clock, 6)
    assert told(scene) == ["unreadable opened", "unreadable resolved"]
    assert "failing opened by 1" in told(scene, 51)
    (line,) = lines(logs, UNREAD)
    assert line["sync_id"] == 52
    assert reason in line["error"]
    assert [line["sync_id"] for line in lines(logs, READ)] == [52]
    assert last_error(scene) is None
    opened, resolved = (i for i in incidents(scene) if i["check"] == "unreadable")
    assert (opened["id"], resolved["reason"]) == (resolved["id"], "recovered")
    (body, *_) = (body for body in scene.bodies() if body["data"].get("incident", {}).get("check") == "unreadable")
    assert body["data"]["summary"].startswith("no readable answer for more than 30 min: ")
    assert "sync_run" not in body["data"]


@pytest.mark.asyncio
async def test_a_sync_that_is_unread_since_before_a_restart_is_so_after_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
    async with running(watcher.run()):
        await settled()
        await minutes_pass(scene, loop_clock, 20)
    watcher = await scene.watcher(ALL, checks=SOON)
    with capture_logs() as logs:
        async with running(watcher.run()):
            await settled()
            await minutes_pass(scene, loop_clock, 16)
    assert told(scene) == ["unreadable opened"]
    assert lines(logs, UNREAD) == [], "it was told before"


@pytest.mark.asyncio
async def test_the_time_for_which_the_whole_workspace_was_silent_is_held_against_no_sync(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await settled()
        one = scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
        await minutes_pass(scene, loop_clock, 2)
        everything = scene.simulator.fault(Status(500))
        await minutes_pass(scene, loop_clock, 90)
        everything.clear()
        await minutes_pass(scene, loop_clock, 15)
        assert told(scene) == []
        one.clear()
        await minutes_pass(scene, loop_clock, 10)
    assert told(scene) == []
    assert workspace_told(scene) == ["unreachable opened", "unreachable resolved"]


@pytest.mark.asyncio
async def test_a_sync_that_can_not_be_read_goes_stale_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = Checks(stale=Stale(after=timedelta(hours=1)), unreadable=False)
    scene.run(1)
    watcher = await begun(scene, checks)
    loop_clock = LoopClock(monkeypatch)
    scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
    async with running(watcher.run()):
        await settled()
        await minutes_pass(scene, loop_clock, 70)
    assert told(scene) == ["stale opened"]


@pytest.mark.asyncio
async def test_an_open_incident_of_a_sync_that_can_not_be_read_is_told_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await settled()
        scene.run(1, "failed")
        await minutes_pass(scene, loop_clock, 2)
        scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
        await minutes_pass(scene, loop_clock, 1)
        scene.clock.advance(hours=25)
        scene.api_passes(hours=25)
        loop_clock.now += 5
        scene.simulator.update_run(1, records_processed=1)
        await minutes_pass(scene, loop_clock, 12)
    assert "failing reminder" in told(scene)


# --- one run among several ---


@pytest.mark.parametrize("fault", [Status(500), Status(403), Body(b"{}", "application/json")])
@pytest.mark.asyncio
async def test_one_run_that_can_not_be_read_holds_its_sync_up_in_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    scene.run(1, "working")
    scene.runs(range(2, 9), "skipped")
    watcher = await begun(scene, Checks(stale=Stale(after=timedelta(hours=2))))
    loop_clock = LoopClock(monkeypatch)
    handle = scene.simulator.fault(fault, path="/sync_runs/1")
    async with running(watcher.run()):
        await settled()
        scene.simulator.forget_requests()
        await minutes_pass(scene, loop_clock, 30)
        assert scene.asked("/syncs/52/sync_runs") >= 175, "every ten seconds, as any sync with a run"
        assert 5 <= scene.asked("/sync_runs/1") <= 15
        scene.run(2_500, "failed")
        await minutes_pass(scene, loop_clock, 10)
        assert sorted(told(scene)) == ["failing opened by 2500", "unreadable opened"]
        assert str(last_error(scene)).startswith("run 1: ")
        (opened,) = (b for b in scene.bodies() if b["data"].get("incident", {}).get("check") == "unreadable")
        assert opened["data"]["summary"].startswith("run 1 can't be read for more than 30 min: ")
        await minutes_pass(scene, loop_clock, 90)
        assert "stale opened" in told(scene)
        handle.clear()
        await minutes_pass(scene, loop_clock, 6)
        assert told(scene)[-1] == "unreadable resolved"
        assert last_error(scene) is None


@pytest.mark.asyncio
async def test_a_run_that_can_not_be_read_for_seven_days_is_given_up(scene: Scene) -> None:
    scene.run(1, "working")
    target = scene.target()
    await scene.poll(target)
    scene.runs(range(2, 9), "skipped")
    scene.simulator.fault(Status(500), path="/sync_runs/1")
    await scene.poll(target)
    scene.api_passes(days=7)
    scene.clock.advance(days=7)
    await scene.poll(target)
    assert target.followed == {}


# --- rights ---


@pytest.mark.asyncio
async def test_a_key_that_may_read_runs_and_not_the_list_polls_what_is_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.simulator.fault(Status(403), path="/syncs")
    watcher = await scene.watcher(Watch(sync=52), Watch(sync=53), checks=SOON)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await settled()
        await minutes_pass(scene, loop_clock, 3)
        scene.run(1, "failed")
        await minutes_pass(scene, loop_clock, 5)
        assert not watcher.health.is_down
        assert "HTTP 403" in str(watcher.health.state.last_error)
    assert told(scene) == ["failing opened by 1"]


@pytest.mark.asyncio
async def test_a_brief_403_on_everything_keeps_no_sync_waiting_for_minutes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await begun(scene)
    loop_clock = LoopClock(monkeypatch)
    async with running(watcher.run()):
        await until(lambda: watcher.health.answered_at is not None)
        await settled()
        brief = scene.simulator.fault(Status(403))
        await minutes_pass(scene, loop_clock, 1.5)
        brief.clear()
        scene.simulator.forget_requests()
        await minutes_pass(scene, loop_clock, 2)
        asked = {sync_id: scene.asked(f"/syncs/{sync_id}/sync_runs") for sync_id in (51, 52, 53)}
    assert min(asked.values()) >= 1, asked


# --- one round ---


@pytest.mark.asyncio
async def test_a_round_says_what_it_could_not_read_and_the_status_keeps_it(scene: Scene) -> None:
    await begun(scene)
    scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
    with capture_logs() as logs:
        assert not await (await scene.watcher(ALL, checks=SOON)).run_once()
    (line,) = lines(logs, "could not be read in this round")
    assert (line["workspace"], line["sync_id"], line["error"]) == (
        "production",
        52,
        "HTTP 500 Internal Server Error",
    )
    assert last_error(scene) == "HTTP 500 Internal Server Error"


@pytest.mark.asyncio
async def test_a_round_that_could_read_nothing_leaves_a_bad_workspace(scene: Scene) -> None:
    await begun(scene, SOON, Watch(sync=52))
    scene.simulator.fault(Status(500))
    watcher = await scene.watcher(Watch(sync=52), checks=SOON)
    assert not await watcher.run_once()
    (state,) = (await scene.store.watching.workspaces()).values()
    assert (state.ok, state.last_error) == (False, "HTTP 500 Internal Server Error")


@pytest.mark.asyncio
async def test_a_key_that_is_refused_in_two_rounds_opens_the_incident(scene: Scene) -> None:
    await begun(scene)
    scene.simulator.fault(Status(401))
    for expected in ([], ["unreachable opened"], ["unreachable opened"]):
        await (await scene.watcher(ALL, checks=SOON)).run_once()
        assert workspace_told(scene) == expected
        scene.clock.advance(minutes=1)


@pytest.mark.asyncio
async def test_rounds_tell_of_a_sync_that_can_not_be_read_for_half_an_hour(scene: Scene) -> None:
    await begun(scene)
    scene.simulator.fault(Status(500), path="/syncs/52/sync_runs")
    for _ in range(8):
        await (await scene.watcher(ALL, checks=SOON)).run_once()
        scene.clock.advance(minutes=5)
    assert told(scene) == ["unreadable opened"]
    assert kinds(scene) == ["incident.opened"]
