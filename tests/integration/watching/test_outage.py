"""A workspace's API that gives no usable answer, as an incident."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from notifier.model.errors import StoreUnavailable, Throttled, Unauthorized, Unreachable, Unusable
from notifier.model.event import Observation
from notifier.model.incident import Check
from notifier.model.sync import WorkspaceState
from notifier.simulator import Status
from notifier.store.store import Store
from notifier.watching.health import Health
from notifier.watching.outage import Outage
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.checks import ChecksInForce, Reminders, UnreachableSettings
from notifier.watchlist.models import Route, Watch
from tests.builders import an_incident
from tests.integration.watching.kit import WORKSPACE, FailingRecord, LoopClock, Scene, a_scene, running, until

pytestmark = pytest.mark.standing_clock

DEAD = Unreachable("HTTP 500 Internal Server Error")
REFUSED = Unauthorized(401, "HTTP 401 Unauthorized")
FORBIDDEN = Unauthorized(403, "HTTP 403 Forbidden")
ON = ChecksInForce(unreachable=UnreachableSettings(after=timedelta(minutes=5)))
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        yield made


class Desk:
    """A workspace's health and its incident; `restart` makes both anew, of what the database holds."""

    def __init__(self, scene: Scene, loop_clock: LoopClock, checks: ChecksInForce = ON) -> None:
        self.scene = scene
        self.loop_clock = loop_clock
        self.checks = checks

    async def start(self, checks: ChecksInForce | None = None) -> None:
        self.checks = checks if checks is not None else self.checks
        self.scene.new_observer()
        state = (await self.scene.store.watching.workspaces()).get(WORKSPACE, WorkspaceState(WORKSPACE))
        self.health = Health(
            state, self.scene.store.watching.save_workspace, clock=self.scene.clock, jitter=lambda: 0.0
        )
        self.outage = Outage(
            self.health, self.scene.recorder, self.scene.store.watching, self.checks, clock=self.scene.clock
        )
        await self.outage.load()

    def passes(self, **units: float) -> None:
        """Time goes on, by our clock and the loop's."""
        self.scene.clock.advance(**units)
        self.loop_clock.now += timedelta(**units).total_seconds()

    async def fails(self, error: Unreachable | Unusable = DEAD, *, of: int = 0) -> None:
        await self.health.failed(error, of=of, among=1)

    @property
    def told(self) -> list[str]:
        found = self.scene.rows("SELECT type, body FROM events ORDER BY seq")
        told = []
        for kind, body in found:
            incident = json.loads(body)["data"]["incident"]
            assert incident["check"] == "unreachable"
            reason = f" {incident['reason']}" if incident["reason"] else ""
            told.append(kind.removeprefix("incident.") + reason)
        return told


@pytest_asyncio.fixture
async def desk(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(scene, LoopClock(monkeypatch))
    await made.start()
    return made


# --- no answer ---


@pytest.mark.asyncio
async def test_it_is_opened_after_the_time_without_an_answer_and_resolved_by_one(desk: Desk) -> None:
    await desk.fails()
    desk.passes(minutes=4, seconds=59)
    await desk.fails()
    await desk.outage.look()
    assert desk.told == []
    desk.passes(seconds=1)
    await desk.outage.look()
    await desk.outage.look()
    assert desk.told == ["opened"]
    desk.passes(minutes=3)
    await desk.fails()
    await desk.outage.look()
    assert desk.told == ["opened"]
    await desk.health.answered()
    await desk.outage.look()
    await desk.outage.look()
    assert desk.told == ["opened", "resolved recovered"]


@pytest.mark.asyncio
async def test_its_events_are_the_workspaces(desk: Desk, scene: Scene) -> None:
    await desk.fails()
    desk.passes(minutes=5)
    await desk.outage.look()
    (body,) = scene.bodies()
    assert body["data"].keys() == {"workspace", "labels", "sync", "incident", "summary"}
    assert (body["data"]["workspace"], body["data"]["sync"], body["data"]["labels"]) == ("production", None, {})
    assert body["data"]["summary"] == "no usable answer for more than 5 min: HTTP 500 Internal Server Error"
    incident = body["data"]["incident"]
    assert incident["opened_at"] == "2026-11-23T16:05:00.000Z"
    assert (incident["state"], incident["runs"], incident["last_good_run"]) == ("open", 0, None)
    assert scene.woken == ["pipeline"]
    assert scene.rows("SELECT receiver, state FROM deliveries") == [("pipeline", "pending")]


@pytest.mark.asyncio
async def test_an_answer_in_between_begins_the_time_anew(desk: Desk) -> None:
    await desk.fails()
    desk.passes(minutes=4)
    await desk.health.answered()
    await desk.fails()
    desk.passes(minutes=4)
    await desk.outage.look()
    assert desk.told == []
    desk.passes(minutes=1)
    await desk.outage.look()
    assert desk.told == ["opened"]


@pytest.mark.asyncio
async def test_an_api_that_was_never_asked_is_not_silent(desk: Desk) -> None:
    desk.passes(hours=9)
    await desk.outage.look()
    assert desk.told == []


@pytest.mark.asyncio
async def test_answers_that_say_nothing_count_as_none(desk: Desk) -> None:
    await desk.fails(Unusable("the answer is not JSON"))
    desk.passes(minutes=3)
    await desk.health.throttled(Throttled(timedelta(seconds=1)))
    desk.passes(minutes=2)
    await desk.outage.look()
    assert desk.told == ["opened"]


@pytest.mark.parametrize("asks_to_wait", [True, False])
@pytest.mark.asyncio
async def test_one_failure_that_asks_all_requests_to_wait_is_a_silence_though_no_other_fails(
    desk: Desk, asks_to_wait: bool
) -> None:
    busy = Unreachable("HTTP 503 Service Unavailable")
    busy.asks_to_wait = asks_to_wait
    await desk.health.failed(busy, of=1, among=8)
    desk.passes(minutes=5)
    await desk.outage.look()
    assert desk.told == (["opened"] if asks_to_wait else [])
    assert desk.health.state.ok is not asks_to_wait
    await desk.health.answered()
    await desk.health.listed(polled=8)
    await desk.outage.look()
    assert desk.told == (["opened", "resolved recovered"] if asks_to_wait else [])


@pytest.mark.asyncio
async def test_it_is_opened_anew_after_it_was_resolved(desk: Desk, scene: Scene) -> None:
    for _ in range(2):
        await desk.fails()
        desk.passes(minutes=5)
        await desk.outage.look()
        await desk.health.answered()
        await desk.outage.look()
    assert desk.told == ["opened", "resolved recovered"] * 2
    assert scene.rows("SELECT count(DISTINCT incident_id) FROM events") == [(2,)]


@pytest.mark.asyncio
async def test_routes_about_syncs_and_labels_do_not_keep_it_away(desk: Desk, scene: Scene) -> None:
    routes = [
        Route(syncs=("Billing*",), labels={"team": "growth"}, checks=("unreachable",), receivers=("pipeline",)),
        Route(checks=("failing",), receivers=("other",)),
    ]
    scene.new_observer(routes=routes, receivers=["pipeline", "other"])
    outage = Outage(desk.health, scene.recorder, scene.store.watching, ON, clock=scene.clock)
    await desk.fails()
    desk.passes(minutes=5)
    await outage.look()
    assert scene.rows("SELECT receiver FROM deliveries") == [("pipeline",)]


# --- the key is refused ---


@pytest.mark.parametrize("error", [REFUSED, FORBIDDEN])
@pytest.mark.asyncio
async def test_a_key_that_is_refused_on_two_polls_in_a_row_opens_it_at_once(
    desk: Desk, scene: Scene, error: Unauthorized
) -> None:
    await desk.health.refused(error)
    await desk.outage.look()
    assert desk.told == []
    await desk.health.refused(error)
    await desk.outage.look()
    assert desk.told == ["opened"]
    assert scene.bodies()[0]["data"]["summary"] == str(error)


@pytest.mark.asyncio
async def test_a_refusal_with_an_answer_in_between_is_not_in_a_row(desk: Desk) -> None:
    for _ in range(3):
        await desk.health.refused(REFUSED)
        await desk.outage.look()
        await desk.health.answered()
        await desk.outage.look()
    assert desk.told == []


@pytest.mark.asyncio
async def test_a_refusal_with_another_failure_in_between_is_not_in_a_row(desk: Desk) -> None:
    await desk.health.refused(REFUSED)
    await desk.fails()
    await desk.health.refused(REFUSED)
    await desk.outage.look()
    assert desk.told == []


@pytest.mark.asyncio
async def test_one_sync_that_the_key_may_not_read_is_not_the_workspace(desk: Desk) -> None:
    for _ in range(5):
        await desk.health.failed(FORBIDDEN, of=1, among=3)
        await desk.outage.look()
        await desk.health.answered()
        desk.passes(minutes=5)
        await desk.outage.look()
    assert desk.told == []


# --- restarts ---


@pytest.mark.asyncio
async def test_it_survives_a_restart_and_is_resolved_by_the_first_answer(desk: Desk, scene: Scene) -> None:
    await desk.fails()
    desk.passes(minutes=5)
    await desk.outage.look()
    for _ in range(2):
        await desk.start()
        await desk.outage.look()
        await desk.fails()
        await desk.outage.look()
    assert desk.told == ["opened"]
    await desk.health.answered()
    await desk.outage.look()
    assert desk.told == ["opened", "resolved recovered"]
    assert scene.rows("SELECT count(DISTINCT incident_id) FROM events") == [(1,)]


@pytest.mark.asyncio
async def test_silence_from_before_a_restart_counts_once_a_request_has_failed_after_it(desk: Desk) -> None:
    await desk.fails()
    await desk.health.save()
    desk.passes(minutes=4)
    await desk.start()
    desk.passes(minutes=1)
    await desk.outage.look()
    assert desk.told == []
    await desk.fails()
    await desk.outage.look()
    assert desk.told == ["opened"]


@pytest.mark.asyncio
async def test_silence_that_was_over_before_a_restart_does_not_count(desk: Desk) -> None:
    await desk.fails()
    await desk.health.save()
    await desk.health.answered()
    await desk.health.save()
    desk.passes(minutes=9)
    await desk.start()
    await desk.fails()
    await desk.outage.look()
    assert desk.told == []


@pytest.mark.parametrize("step", ["opening", "resolution"])
@pytest.mark.asyncio
async def test_what_could_not_be_kept_comes_with_the_next_look(
    desk: Desk, scene: Scene, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await desk.fails()
    desk.passes(minutes=5)
    if step == "resolution":
        await desk.outage.look()
        await desk.health.answered()
    before = desk.told
    FailingRecord(monkeypatch, scene.store)
    with pytest.raises(StoreUnavailable):
        await desk.outage.look()
    assert desk.told == before
    await desk.outage.look()
    await desk.outage.look()
    assert len(desk.told) == len(before) + 1
    assert scene.rows("SELECT count(*) FROM incidents") == [(1,)]


# --- clocks ---


@pytest.mark.parametrize("hours", [9, -9])
@pytest.mark.asyncio
async def test_a_clock_that_jumps_opens_nothing(desk: Desk, scene: Scene, hours: int) -> None:
    await desk.fails()
    scene.clock.advance(hours=hours)
    await desk.fails()
    await desk.outage.look()
    assert desk.told == []
    desk.passes(minutes=5)
    await desk.outage.look()
    assert desk.told == ["opened"]


@pytest.mark.asyncio
async def test_a_clock_that_jumped_back_over_a_restart_opens_nothing(desk: Desk, scene: Scene) -> None:
    await desk.fails()
    await desk.health.save()
    scene.clock.advance(hours=-9)
    await desk.start()
    await desk.fails()
    await desk.outage.look()
    assert desk.told == []


@pytest.mark.asyncio
async def test_it_lasts_no_less_than_no_time_though_our_clock_jumps_back(desk: Desk, scene: Scene) -> None:
    await desk.fails()
    desk.passes(minutes=5)
    await desk.outage.look()
    scene.clock.advance(hours=-9)
    await desk.health.answered()
    await desk.outage.look()
    resolved = scene.bodies()[-1]["data"]["incident"]
    assert resolved["resolved_at"] == resolved["opened_at"]


# --- reminders, and off ---


@pytest.mark.asyncio
async def test_it_is_told_again_while_it_lasts(desk: Desk) -> None:
    await desk.start(
        ChecksInForce(unreachable=UnreachableSettings(), reminders=Reminders(first=HOUR, longest=2 * HOUR))
    )
    await desk.fails()
    desk.passes(minutes=5)
    await desk.outage.look()
    for _ in range(5):
        desk.passes(hours=1)
        await desk.fails()
        await desk.outage.look()
        await desk.outage.look()
    assert desk.told == ["opened", "reminder", "reminder", "reminder"]  # after 1, 3 and 5 hours


@pytest.mark.asyncio
async def test_it_is_not_told_again_where_reminders_are_off(desk: Desk) -> None:
    await desk.fails()
    desk.passes(minutes=5)
    await desk.outage.look()
    desk.passes(hours=999)
    await desk.fails()
    await desk.outage.look()
    assert desk.told == ["opened"]


@pytest.mark.asyncio
async def test_nothing_is_opened_where_the_check_is_off(desk: Desk) -> None:
    await desk.start(ChecksInForce())
    await desk.health.refused(REFUSED)
    await desk.health.refused(REFUSED)
    desk.passes(hours=9)
    await desk.outage.look()
    assert desk.told == []


@pytest.mark.asyncio
async def test_a_check_that_was_turned_off_ends_it_once(desk: Desk) -> None:
    await desk.fails()
    desk.passes(minutes=5)
    await desk.outage.look()
    await desk.start(ChecksInForce())
    await desk.outage.look()
    await desk.outage.look()
    assert desk.told == ["opened", "resolved check_off"]


# --- with a watcher, over real sockets ---


async def watcher_with_outage(scene: Scene, *watches: Watch) -> WorkspaceWatcher:
    """A new process."""
    scene.observer = scene.new_observer()
    return await scene.watcher(*watches, in_force=ON)


async def one_round(scene: Scene, *watches: Watch) -> None:
    """What `--once` does."""
    watcher = await watcher_with_outage(scene, *watches)
    await watcher.run_once()


@pytest.mark.asyncio
async def test_rounds_over_hours_make_one_incident_of_an_api_that_is_down(scene: Scene) -> None:
    scene.sync(52)
    watch = Watch(sync=52)
    await one_round(scene, watch)
    fault = scene.simulator.fault(Status(500))
    for _ in range(3):
        await one_round(scene, watch)
        scene.clock.advance(minutes=6)
    assert [body["type"] for body in scene.bodies()] == ["incident.opened"]
    fault.clear()
    await one_round(scene, watch)
    assert [body["type"] for body in scene.bodies()] == ["incident.opened", "incident.resolved"]


@pytest.mark.asyncio
async def test_a_key_that_is_withdrawn_opens_it_and_one_that_is_given_back_resolves_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    await one_round(scene, Watch(sync=52))
    fault = scene.simulator.fault(Status(401))
    loop_clock = LoopClock(monkeypatch)
    watcher = await watcher_with_outage(scene, Watch(sync=52))
    async with running(watcher.run()):
        await until(lambda: watcher.health.refusals == 2)  # the listing and the sync
        await loop_clock.advance(1)
        assert [body["type"] for body in scene.bodies()] == ["incident.opened"]
        await loop_clock.advance(299)
        await loop_clock.advance(1)
        assert len(scene.bodies()) == 1
        fault.clear()
        await loop_clock.advance(300)
        await until(lambda: watcher.health.has_answered)
        await loop_clock.advance(1)
    assert [body["type"] for body in scene.bodies()] == ["incident.opened", "incident.resolved"]


@pytest.mark.asyncio
async def test_a_process_that_stood_still_tells_of_no_silence_that_it_did_not_hear(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept: nobody asked, so nobody failed to answer."""
    scene.sync(52)
    loop_clock = LoopClock(monkeypatch)
    watcher = await watcher_with_outage(scene, Watch(sync=52))
    async with running(watcher.run()):
        await until(lambda: watcher.health.is_well)
        scene.simulator.fault(Status(500))
        for _ in range(120):
            await loop_clock.advance(1)
        assert watcher.health.is_down
        await loop_clock.advance(HOUR.total_seconds())
        assert scene.bodies() == []
        for _ in range(300):  # after a minute at least before it: the first poll has a place within 60 s
            await loop_clock.advance(1)
        await until(lambda: [body["type"] for body in scene.bodies()] == ["incident.opened"])


# --- what is not its own, and an answer that did not last ---


@pytest.mark.asyncio
async def test_the_incidents_of_syncs_are_not_the_workspaces(desk: Desk, scene: Scene) -> None:
    stale = an_incident(Check.STALE, opened_at=scene.clock.now)
    await scene.store.watching.record(Observation(WORKSPACE, 52, "Leads", incidents=(stale,)))
    await desk.start()
    await desk.health.answered()
    await desk.outage.look()
    await desk.outage.end()
    assert desk.told == []
    assert await scene.store.watching.open_incidents(WORKSPACE) == [stale]


@pytest.mark.asyncio
async def test_an_answer_between_two_looks_after_which_it_is_silent_again_resolves_nothing(desk: Desk) -> None:
    await desk.fails()
    desk.passes(minutes=6)
    await desk.outage.look()
    await desk.health.answered()
    await desk.fails()
    await desk.outage.look()
    assert desk.told == ["opened"]
    await desk.health.answered()
    await desk.outage.look()
    assert desk.told == ["opened", "resolved recovered"]


@pytest.mark.asyncio
async def test_a_workspace_that_leaves_the_watchlist_ends_it_once(desk: Desk) -> None:
    await desk.fails()
    desk.passes(minutes=6)
    await desk.outage.look()
    await desk.start()
    await desk.outage.end()
    await desk.outage.end()
    assert desk.told == ["opened", "resolved unwatched"]
