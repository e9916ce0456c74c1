"""The first poll of a sync, which is silent, and runs that appear after it."""

from datetime import timedelta

import pytest

from notifier.model.sync import Mark
from tests.integration.watching.kit import START_OF_TIME, Scene
from tests.integration.watching.polls.kit import LIST, changes, mark_in_database

# --- the baseline ---


@pytest.mark.asyncio
async def test_runs_that_are_there_at_first_sight_are_no_news(scene: Scene) -> None:
    scene.run(1, "failed")
    scene.run(2, "working")
    target = await scene.watched()
    await scene.poll(target, times=3)
    assert scene.events() == []
    assert scene.rows("SELECT run_id, status FROM snapshots ORDER BY run_id") == [(1, "failed"), (2, "working")]


@pytest.mark.asyncio
async def test_the_baseline_is_stored_with_the_newest_run_as_mark_and_floor(scene: Scene) -> None:
    scene.runs([1, 2, 3])
    await scene.watched()
    moment = START_OF_TIME + timedelta(seconds=3)
    assert await mark_in_database(scene) == Mark(3, moment, moment)


@pytest.mark.asyncio
async def test_the_first_run_of_a_sync_that_had_none_at_the_baseline_is_news(scene: Scene) -> None:
    target = await scene.watched()
    assert await mark_in_database(scene) is not None
    scene.run(1, "queued")
    await scene.poll(target, times=2)
    assert scene.events() == [(1, "queued")]


@pytest.mark.asyncio
async def test_the_baseline_of_a_sync_without_runs_survives_a_restart(scene: Scene) -> None:
    target = await scene.watched()
    scene.run(1, "queued")
    await scene.poll(await scene.restarted(target))
    assert scene.events() == [(1, "queued")]


@pytest.mark.asyncio
async def test_a_change_of_a_run_of_the_baseline_is_news(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.becomes(1, "failed", error_code="AUTH_ERROR")
    await scene.poll(target)
    assert scene.events() == [(1, "failed")]
    assert changes(scene) == [[("status", "working", "failed"), ("error_code", None, "AUTH_ERROR")]]


@pytest.mark.asyncio
async def test_old_runs_stay_silent_when_deletions_bring_them_into_sight(scene: Scene) -> None:
    scene.runs(range(1, 151))
    target = await scene.watched()
    for number in range(40, 151):
        scene.simulator.remove_run(number)
    await scene.poll(target, times=2)
    assert scene.events() == []
    scene.run(151, "queued")
    await scene.poll(target)
    assert scene.events() == [(151, "queued")]


@pytest.mark.asyncio
async def test_old_runs_stay_silent_when_all_newer_ones_but_the_news_are_deleted(scene: Scene) -> None:
    scene.runs(range(1, 151))
    target = await scene.watched()
    for number in range(2, 151):
        scene.simulator.remove_run(number)
    scene.run(151, "queued")
    await scene.poll(target, times=2)
    assert scene.events() == [(151, "queued")]


@pytest.mark.asyncio
async def test_an_emptied_list_is_no_new_baseline(scene: Scene) -> None:
    scene.runs([1, 2])
    target = await scene.watched()
    scene.simulator.remove_run(1)
    scene.simulator.remove_run(2)
    await scene.poll(target)
    scene.runs([3])
    await scene.poll(target)
    assert scene.events() == [(3, "completed")]


# --- runs that appear ---


@pytest.mark.asyncio
async def test_a_run_that_appears_is_a_change_from_nothing(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.run(2, "failed", error_code="AUTH_ERROR", error_message="no access")
    await scene.poll(target)
    assert scene.events() == [(2, "failed")]
    assert changes(scene) == [
        [("status", None, "failed"), ("error_code", None, "AUTH_ERROR"), ("error_message", None, "no access")]
    ]


@pytest.mark.asyncio
async def test_a_run_without_a_status_is_kept_and_is_news_once_it_has_one(scene: Scene) -> None:
    target = await scene.watched()
    scene.run(1, None, error_code="E1")  # type: ignore[arg-type]  # a broken API
    await scene.poll(target, times=2)
    scene.run(2)
    await scene.poll(target, times=2)
    assert scene.events() == [(2, "completed")]
    scene.becomes(1, "failed", error_code="E1")
    await scene.poll(await scene.restarted(target), times=2)
    assert scene.events() == [(2, "completed"), (1, "failed")]
    assert changes(scene)[-1] == [("status", None, "failed"), ("error_code", None, "E1")]


@pytest.mark.asyncio
async def test_several_new_runs_are_reported_oldest_first(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs([2, 3, 4])
    await scene.poll(target)
    assert scene.events() == [(2, "completed"), (3, "completed"), (4, "completed")]


@pytest.mark.asyncio
async def test_an_event_says_what_it_is_about(scene: Scene) -> None:
    target = scene.target(52, "Leads", team="growth")
    await scene.poll(target)
    scene.run(7, "failed", unheard_of={"of": [1]})
    await scene.poll(target)
    (body,) = scene.bodies()
    data = body["data"]
    assert body["timestamp"] == "2026-11-23T16:00:00.000Z"
    assert (data["workspace"], data["labels"]) == ("production", {"team": "growth"})
    assert data["sync"] == {"id": 52, "label": "Leads", "url": "https://app.getcensus.com/syncs/52/history"}
    assert data["sync_run"]["unheard_of"] == {"of": [1]}
    assert data["sync_run"]["url"] == "https://app.getcensus.com/syncs/52/history?sync_run_id=7"


@pytest.mark.asyncio
async def test_a_poll_at_rest_costs_one_small_request(scene: Scene) -> None:
    scene.runs(range(1, 20))
    target = await scene.watched()
    await scene.poll(target)
    scene.simulator.forget_requests()
    await scene.poll(target, times=3)
    assert [(request.path, request.query["per_page"]) for request in scene.simulator.requests] == [(LIST, "5")] * 3
