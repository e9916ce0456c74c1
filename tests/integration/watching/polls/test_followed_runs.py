"""Runs that are followed after the list no longer shows them."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.simulator import Status, Transform
from tests.integration.watching.kit import LoopClock, Scene, created, lines
from tests.integration.watching.polls.kit import DROPPED, LIST, changes


@pytest.mark.asyncio
async def test_a_skipped_run_does_not_hide_the_working_one(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.run(2, "skipped")
    await scene.poll(target)
    assert target.is_active(scene.clock.now)
    scene.becomes(1, "failed")
    await scene.poll(target)
    assert scene.events() == [(2, "skipped"), (1, "failed")]
    assert not target.is_active(scene.clock.now)


@pytest.mark.asyncio
async def test_runs_that_have_not_ended_and_left_the_answer_are_fetched_one_by_one(scene: Scene) -> None:
    scene.run(1, "working")
    scene.run(2, "queued")
    target = await scene.watched()
    scene.runs(range(3, 13), "skipped")
    await scene.poll(target)
    scene.simulator.forget_requests()
    scene.becomes(1, "completed")
    await scene.poll(target)
    assert (scene.asked("/sync_runs/1"), scene.asked("/sync_runs/2")) == (1, 1)
    await scene.poll(target)
    assert (scene.asked("/sync_runs/1"), scene.asked("/sync_runs/2")) == (1, 2)
    assert scene.events()[10:] == [(1, "completed")]


@pytest.mark.asyncio
async def test_a_run_that_left_the_answer_is_still_fetched_after_a_restart(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.runs(range(2, 9), "skipped")
    await scene.poll(target)
    scene.becomes(1, "failed", error_code="TIMEOUT")
    await scene.poll(await scene.restarted(target))
    assert scene.events()[-1] == (1, "failed")
    assert changes(scene)[-1] == [("status", "working", "failed"), ("error_code", None, "TIMEOUT")]


@pytest.mark.asyncio
async def test_runs_walked_over_on_the_way_to_the_mark_are_followed(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.run(2, "working")
    scene.runs(range(3, 40), "skipped")
    await scene.poll(target, times=2)
    scene.becomes(2, "completed")
    await scene.poll(target)
    assert scene.events()[-1] == (2, "completed")


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_run_that_is_not_found_three_times_in_a_row_is_dropped_with_a_log_line_and_no_event(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1, "working")
    scene.run(2)
    target = await scene.watched()
    scene.simulator.remove_run(1)
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        await scene.poll(target, times=5)
        assert target.followed.keys() == {1}, "three times in ten minutes at least: a gateway may say so for a while"
        await loop_clock.advance(600.001)  # a float's last digit may be off
        await scene.poll(target)
    assert target.followed == {}
    assert not target.is_active(scene.observer.api_clock.now())
    (line,) = lines(logs, DROPPED)
    assert (line["sync_run_id"], line["reason"]) == (1, "not found three times")
    scene.simulator.forget_requests()
    await scene.poll(target)
    await scene.poll(await scene.restarted(target))
    assert scene.asked("/sync_runs/1") == 0
    assert scene.events() == []


@pytest.mark.asyncio
async def test_a_run_that_is_found_again_after_two_misses_is_not_dropped(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.runs(range(2, 9), "skipped")
    await scene.poll(target)
    for _ in range(2):
        scene.simulator.fault(Status(404), path="/sync_runs/1", times=2)
        await scene.poll(target, times=3)
    scene.simulator.fault(Status(410), path="/sync_runs/1", times=2)
    await scene.poll(target, times=2)
    assert target.followed.keys() == {1}
    scene.becomes(1, "completed")
    await scene.poll(target)
    assert scene.events()[-1] == (1, "completed")


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_run_that_failed_to_be_fetched_is_not_one_that_is_gone_and_is_asked_for_less_and_less(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.runs(range(2, 9), "skipped")
    await scene.poll(target)
    fault = scene.simulator.fault(Status(500), path="/sync_runs/1")
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        for _ in range(60):
            await scene.poll(target)
            await loop_clock.advance(10)
    assert fault.hits == 10, "at 0, 10, 20, 30, 40, 60, 100, 170, 300 and 560 s: it waits for 1, 2, 4 ... 256 s"
    (line,) = lines(logs, "a run can't be read; the others go on")
    assert (line["sync_run_id"], line["error"]) == (1, "HTTP 500 Internal Server Error")
    assert target.followed.keys() == {1}
    fault.clear()
    scene.becomes(1, "completed")
    await loop_clock.advance(360)
    await scene.poll(target)
    assert scene.events()[-1] == (1, "completed")
    assert target.unread_run() is None


@pytest.mark.asyncio
async def test_a_run_unchanged_for_a_day_no_longer_makes_its_sync_active(scene: Scene) -> None:
    scene.run(1, "working", updated_at=created(1))
    target = await scene.watched()
    scene.api_passes(hours=23, minutes=59)
    await scene.poll(target)
    assert target.is_active(scene.observer.api_clock.now())
    scene.api_passes(minutes=1)
    await scene.poll(target)
    assert not target.is_active(scene.observer.api_clock.now())
    scene.becomes(1, "working", error_message="slow", updated_at=created(2))
    await scene.poll(target)
    assert scene.events() == [(1, "error_changed")]
    assert target.is_active(scene.observer.api_clock.now())


@pytest.mark.asyncio
async def test_a_quiet_run_stays_quiet_after_a_restart(scene: Scene) -> None:
    scene.run(1, "working", updated_at=created(1))
    target = await scene.watched()
    scene.api_passes(hours=25)
    target = await scene.restarted(target)
    await scene.poll(target)
    assert not target.is_active(scene.observer.api_clock.now())


@pytest.mark.parametrize("newer", [0, 7])
@pytest.mark.asyncio
async def test_a_run_unchanged_for_seven_days_is_dropped_with_a_log_line_and_no_event(scene: Scene, newer: int) -> None:
    scene.run(1, "working", updated_at=created(1))
    scene.runs(range(2, 2 + newer))
    target = await scene.watched()
    scene.api_passes(days=6, hours=23)
    await scene.poll(target)
    assert target.followed.keys() == {1}
    scene.api_passes(hours=1)
    with capture_logs() as logs:
        await scene.poll(target, times=3)
    (line,) = lines(logs, DROPPED)
    assert (line["sync_id"], line["sync_run_id"], line["reason"]) == (52, 1, "unchanged for seven days")
    scene.simulator.forget_requests()
    await scene.poll(await scene.restarted(target))
    assert scene.asked("/sync_runs/1") == 0
    assert scene.events() == []


@pytest.mark.asyncio
async def test_a_dropped_run_that_moves_within_the_answer_is_news_and_followed_again(scene: Scene) -> None:
    scene.run(1, "queued", updated_at=created(1))
    target = await scene.watched()
    scene.api_passes(days=7)
    await scene.poll(target)
    assert target.followed == {}
    scene.becomes(1, "working", updated_at=created(1))
    await scene.poll(target)
    assert scene.events() == [(1, "working")]
    assert target.followed.keys() == {1}


@pytest.mark.asyncio
async def test_a_run_that_is_watched_by_its_id_and_newer_than_the_list_is_left_to_the_list(scene: Scene) -> None:
    """The list's answer was made just before the run was; the run by its ID is there already."""
    scene.run(1)
    target = await scene.watched()
    await scene.poll(target)

    def the_run_is_made_meanwhile(answer: Any) -> Any:
        scene.run(2, "queued")
        target.watch_run(2, {"team": "growth"})
        return answer

    scene.simulator.fault(Transform(the_run_is_made_meanwhile), path=LIST, times=1)
    await scene.poll(target)
    await scene.poll(target, times=2)
    assert scene.events() == [(2, "queued")]
    assert scene.bodies()[0]["data"]["labels"] == {"team": "growth"}
