"""What a trusted list of syncs changes about who is polled when, and what it does not change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from structlog.testing import capture_logs

from notifier.census.listing import ListingReader
from notifier.model.errors import StoreUnavailable
from notifier.model.hints import Hints
from notifier.simulator import Fault, Status, Transform
from notifier.simulator.conditional import Conditional, Tags
from notifier.simulator.listing import Announced
from notifier.watching.hints import NEEDED
from notifier.watching.roster import Roster
from notifier.watching.watcher import WorkspaceWatcher
from notifier.watchlist.checks import Checks
from notifier.watchlist.models import Watch
from tests.integration.watching.kit import WORKSPACE, LoopClock, Scene, created, lines, running, until

pytestmark = pytest.mark.standing_clock

ALL = Watch(syncs="all")
SYNCS = (52, 53, 54, 55)


async def learned(scene: Scene, announced: int = NEEDED, **settings: Any) -> WorkspaceWatcher:
    """A worker that finds baselines of all, and that this list announced so many changes."""
    for sync_id in SYNCS[1:]:
        scene.sync(sync_id)
    for sync_id in SYNCS:
        scene.run(sync_id, sync_id=sync_id)
    scene.simulator.announce_runs(Announced.STATUSES)
    assert await (await scene.watcher(ALL, checks=settings.get("checks"))).run_once()
    state = (await scene.store.watching.workspaces())[WORKSPACE]
    await scene.store.watching.save_workspace(replace(state, announced=announced))
    scene.simulator.forget_requests()
    return await scene.watcher(ALL, **settings)


@asynccontextmanager
async def at_the_seldom_pace(watcher: WorkspaceWatcher, clock: LoopClock) -> AsyncIterator[None]:
    """Two minutes after a start, with five more until the first sync's place in ten intervals."""
    clock.now += 10 * 60 - clock.now % (10 * 60) + 180
    async with running(watcher.run()):
        await passes(clock, 120)
        yield


async def passes(clock: LoopClock, seconds: float) -> None:
    for _ in range(round(seconds / 2)):
        await clock.advance(2)


def asked(scene: Scene, sync_id: int = 52) -> int:
    return scene.asked(f"/syncs/{sync_id}/sync_runs")


@pytest.mark.asyncio
async def test_syncs_at_rest_are_polled_every_tenth_interval_and_the_list_every_active_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.forget_requests()
        await passes(clock, 600)
        assert [asked(scene, sync_id) for sync_id in SYNCS] == [1, 1, 1, 1]
        assert 50 <= scene.asked("/syncs") <= 60
        assert watcher.health.state.hints is Hints.TRUSTED


@pytest.mark.asyncio
async def test_syncs_that_can_not_be_stale_before_are_polled_as_seldom(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await learned(scene, checks=Checks.model_validate({"stale": {"after": "15m"}}))
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.forget_requests()
        await passes(clock, 600)
        assert [asked(scene, sync_id) for sync_id in SYNCS] == [1, 1, 1, 1]


@pytest.mark.asyncio
async def test_what_the_list_announces_is_polled_at_once_and_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.forget_requests()
        scene.run(101, "failed")
        await passes(clock, 12)
        assert scene.events() == [(101, "failed")]
        await passes(clock, 40)
        assert asked(scene) == 1


@pytest.mark.asyncio
async def test_what_is_announced_of_syncs_that_nobody_watches_leaves_nothing_behind(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await learned(scene)
    watcher = await scene.watcher(Watch(sync=52))
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.run(101, "failed", sync_id=53)
        scene.simulator.remove_sync(54)
        await passes(clock, 40)
        assert not watcher._hints._fresh
        assert not watcher._hints._vanished


@pytest.mark.asyncio
async def test_a_change_that_the_list_kept_to_itself_is_told_within_ten_intervals_and_ends_the_trust(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        async with at_the_seldom_pace(watcher, clock):
            scene.simulator.announce_runs(Announced.NOTHING)
            scene.run(101, "failed")
            await passes(clock, 600)
            assert scene.events() == [(101, "failed")]
            await passes(clock, 80)
            assert watcher.health.state.hints is Hints.LEARNING
            scene.simulator.forget_requests()
            await passes(clock, 120)
            assert [asked(scene, sync_id) for sync_id in SYNCS] == [2, 2, 2, 2]
    sentence = "the list of syncs did not announce a change: all syncs are polled at their intervals again"
    assert [line["sync_id"] for line in lines(logs, sentence)] == [52]


@pytest.mark.asyncio
async def test_a_trust_that_a_poll_brought_is_said_in_the_log(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list announced it, a poll found it: between two readings."""
    watcher = await learned(scene, NEEDED - 1)
    clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        async with at_the_seldom_pace(watcher, clock):
            await passes(clock, 114)
            scene.run(101, "failed", sync_id=53)
            await passes(clock, 8)
            assert scene.events() == [(101, "failed")]
            await passes(clock, 300)
            assert watcher.health.state.hints is Hints.TRUSTED
    sentence = "the list of syncs announces what changes: it is read often, and syncs at rest are polled seldom"
    assert len(lines(logs, sentence)) == 1


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.asyncio
async def test_a_list_that_can_not_be_read_is_not_relied_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """It may fail, or never come; the second is noticed after a while."""
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async with at_the_seldom_pace(watcher, clock):
        if hangs:
            monkeypatch.setattr(ListingReader, "read", never)
            await passes(clock, 180)
        else:
            scene.simulator.fault(Status(503), path="/syncs")
        await passes(clock, 120)
        scene.simulator.forget_requests()
        await passes(clock, 120)
        assert [asked(scene, sync_id) for sync_id in SYNCS] == [2, 2, 2, 2]


def lacks_some(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "pagination": {**answer["pagination"], "total_records": 99}}


def shows_strangers(answer: dict[str, Any]) -> dict[str, Any]:
    data = [{**sync, "id": 1_000 + sync["id"]} for sync in answer["data"]]
    return {"data": data, "pagination": answer["pagination"]}


@pytest.mark.asyncio
async def test_a_glance_that_shows_new_syncs_and_none_that_is_known_is_not_believed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.fault(Transform(shows_strangers), path="/syncs")
        await passes(clock, 60)
        assert watcher.health.unlisted is not None
        assert {target.sync_id for target in watcher.watched()} == set(SYNCS)


def lacks_53(answer: dict[str, Any]) -> dict[str, Any]:
    data = [sync for sync in answer["data"] if sync["id"] != 53]
    return {"data": data, "pagination": {**answer["pagination"], "total_records": len(data)}}


@pytest.mark.asyncio
async def test_a_sync_whose_runs_are_not_found_any_more_is_gone_as_soon_as_ever(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That asks for a whole list: a glance would not say whether it is gone."""
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.remove_sync(53)
        watcher.poll_soon(53)
        await passes(clock, 260)
        assert watcher.watched_syncs == 3


@pytest.mark.asyncio
async def test_what_a_glance_shows_of_a_sync_beside_its_runs_is_taken_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.update_sync(53, paused=True, label="Renamed")
        scene.sync(99)
        await passes(clock, 12)
        targets = {target.sync_id: target for target in watcher.watched()}
        assert targets.keys() == {*SYNCS, 99}
        assert targets[53].state.standing.paused
        assert targets[53].label == "Renamed"


@pytest.mark.asyncio
async def test_runs_that_are_behind_the_list_are_looked_at_again_soon(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.forget_requests()
        scene.simulator.update_sync(52, updated_at=created(7))
        while not asked(scene):
            await passes(clock, 2)
        scene.simulator.announce_runs(Announced.NOTHING)
        scene.run(101, "failed")
        await passes(clock, 12)
        assert scene.events() == [(101, "failed")]
        await passes(clock, 100)
        assert watcher.health.state.hints is Hints.TRUSTED


@pytest.mark.parametrize("fault", [Status(503), Transform(lacks_some)])
@pytest.mark.asyncio
async def test_one_reading_that_fails_or_is_not_whole_ends_the_reliance_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.forget_requests()
        scene.simulator.fault(fault, path="/syncs")
        await passes(clock, 72)
        assert [asked(scene, sync_id) for sync_id in SYNCS] == [1, 1, 1, 1]


@pytest.mark.asyncio
async def test_a_reading_that_is_not_whole_brings_the_next_whole_one_no_nearer(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.fault(Transform(lacks_some), path="/syncs")
        await passes(clock, 12)
        scene.simulator.clear_faults()
        scene.simulator.fault(Transform(lacks_53), path="/syncs")
        await passes(clock, 280)
        assert watcher.watched_syncs == 4
        await passes(clock, 120)
        assert watcher.watched_syncs == 3


@pytest.mark.asyncio
async def test_readings_between_two_whole_ones_take_no_sync_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two in a row that lack one would be twenty seconds; an API may well lag that long behind itself."""
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.simulator.fault(Transform(lacks_53), path="/syncs")
        await passes(clock, 200)
        assert watcher.watched_syncs == 4
        await passes(clock, 600)
        assert watcher.watched_syncs == 3


@pytest.mark.asyncio
async def test_a_sync_with_an_open_incident_is_polled_as_ever(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = await learned(scene, checks=Checks())
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.run(101, "failed")
        await passes(clock, 60)
        scene.simulator.forget_requests()
        await passes(clock, 300)
        assert asked(scene) == 5
        assert asked(scene, 53) <= 1


@pytest.mark.parametrize("announced", [0, NEEDED])
@pytest.mark.asyncio
async def test_a_304_costs_nothing_and_is_not_believed_for_ever(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, announced: int
) -> None:
    scene.simulator.tag_answers(Tags.ALWAYS_304)
    watcher = await learned(scene, announced)
    clock = LoopClock(monkeypatch)
    with capture_logs():
        async with at_the_seldom_pace(watcher, clock):
            assert scene.simulator.not_modified
            scene.run(101, "failed")
            await passes(clock, 605)
            assert scene.events() == [(101, "failed")]


@pytest.mark.asyncio
async def test_a_time_that_a_longer_page_bore_too_is_no_lie(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The baseline is of a hundred runs, and every other poll of five: of both, the newest change is the same."""
    told = {"Last-Modified": "Mon, 23 Nov 2026 09:00:00 GMT"}
    monkeypatch.setattr(Conditional, "headers", lambda *_: told)
    scene.runs(range(1, 9))
    target = await scene.watched()
    await scene.poll(target, times=2)
    assert scene.client._sends_validators
    assert target.validators is not None


@pytest.mark.asyncio
async def test_a_304_that_lies_of_the_list_hides_no_new_sync(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.simulator.tag_answers(Tags.ALWAYS_304)
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    async with at_the_seldom_pace(watcher, clock):
        scene.sync(99)
        await passes(clock, 250)
        assert watcher.watched_syncs == 5


@pytest.mark.parametrize("announced", [0, NEEDED])
@pytest.mark.asyncio
async def test_a_304_that_lies_of_what_the_list_keeps_to_itself_too_is_found_out_within_ten_intervals(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, announced: int
) -> None:
    """Where polls are seldom, no other comes than the one that has to find it."""
    scene.simulator.tag_answers(Tags.ALWAYS_304)
    watcher = await learned(scene, announced)
    clock = LoopClock(monkeypatch)
    with capture_logs():
        async with at_the_seldom_pace(watcher, clock):
            scene.simulator.announce_runs(Announced.NOTHING)
            scene.run(101, "failed")
            await passes(clock, 605)
            assert scene.events() == [(101, "failed")]


@pytest.mark.asyncio
async def test_what_the_list_announced_while_no_runs_could_be_read_is_polled_once_they_can(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a workspace that is down nobody is polled at once; and the first sync's own turn is minutes away."""
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    with capture_logs():
        async with at_the_seldom_pace(watcher, clock):
            for sync_id in SYNCS[1:]:
                scene.simulator.fault(Status(500), path=f"/syncs/{sync_id}/sync_runs")
                watcher.poll_soon(sync_id)
            await passes(clock, 6)
            assert watcher.health.is_down
            scene.simulator.forget_requests()
            scene.run(101, "failed")
            await passes(clock, 12)
            assert watcher.health.is_down
            assert scene.asked("/syncs") > 0
            assert asked(scene) == 0
            scene.simulator.clear_faults()
            await passes(clock, 40)
            assert not watcher.health.is_down
            assert scene.events() == [(101, "failed")]


@pytest.mark.asyncio
async def test_what_is_announced_and_can_not_be_read_at_once_is_asked_for_whole_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.simulator.tag_answers(Tags.ALWAYS_304)
    watcher = await learned(scene, 0)
    clock = LoopClock(monkeypatch)
    with capture_logs():
        async with at_the_seldom_pace(watcher, clock):
            scene.run(101, "failed")
            scene.simulator.fault(Status(503), path="/syncs/52/sync_runs")
            watcher.poll_soon(52)
            await passes(clock, 4)
            scene.simulator.clear_faults()
            await passes(clock, 20)
            assert scene.events() == [(101, "failed")]


@pytest.mark.asyncio
async def test_a_list_that_is_not_believed_counts_as_one_that_can_not_be_read_for_as_long(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A glance that came to its end says nothing against that."""
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)

    def shown(answer: dict[str, Any]) -> dict[str, Any]:
        found = [sync for sync in scene.simulator.syncs() if sync["id"] == SYNCS[0]]
        return {**answer, "data": found, "pagination": {"total_records": 1, "next_page": None}}

    with capture_logs():
        async with at_the_seldom_pace(watcher, clock):
            scene.simulator.fault(Transform(shown), path="/syncs")
            await passes(clock, 300)
            assert "it lacks 3 of 4 watched syncs at once" in (watcher.health.unlisted or "")
            for _ in range(6):
                await passes(clock, 50)
                assert not watcher.health.is_listed
            scene.simulator.clear_faults()
            await passes(clock, 250)
            assert watcher.health.is_listed


@pytest.mark.parametrize("error", [StoreUnavailable("the disk is full"), KeyError("a fault of ours")])
@pytest.mark.asyncio
async def test_a_whole_listing_that_could_not_be_taken_is_not_made_up_for_by_a_glance(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    watcher = await learned(scene)
    clock = LoopClock(monkeypatch)
    with capture_logs():
        async with at_the_seldom_pace(watcher, clock):
            with monkeypatch.context() as broken:
                apply = AsyncMock(side_effect=error)
                broken.setattr(Roster, "apply", apply)
                scene.sync(99)
                await passes(clock, 250)
                assert apply.await_count >= 2
            await passes(clock, 10)
            assert watcher.watched_syncs == 5


@pytest.mark.asyncio
async def test_a_list_from_elsewhere_has_to_be_learned_anew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await learned(scene)
    scene.client = scene.v2
    scene.observer = scene.new_observer()
    watcher = await scene.watcher(ALL)
    async with running(watcher.run()):
        await until(lambda: watcher.health.state.hints is not None)
        await asyncio.sleep(0)
        assert watcher.health.state.hints is Hints.LEARNING
