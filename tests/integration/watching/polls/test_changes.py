"""Changes of runs that are known: what is told, against which run before, and to whom."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.simulator import ABSENT, Transform
from notifier.watchlist.models import Route
from tests.integration.watching.kit import Scene, created, lines
from tests.integration.watching.polls.kit import changes

# --- changes of known runs ---


@pytest.mark.asyncio
async def test_every_run_of_an_answer_is_compared_with_its_snapshot(scene: Scene) -> None:
    scene.runs([1, 2, 3, 4])
    target = await scene.watched()
    scene.becomes(2, "completed", canceled=True)
    scene.becomes(4, "failed")
    await scene.poll(target, times=2)
    assert scene.events() == [(2, "canceled"), (4, "failed")]


@pytest.mark.asyncio
async def test_an_error_of_an_ended_run_that_changes_is_news(scene: Scene) -> None:
    scene.run(1, "failed", error_detail="one row")
    target = await scene.watched()
    scene.becomes(1, "failed", error_detail="two rows")
    await scene.poll(target)
    scene.becomes(1, "failed", error_detail="")
    await scene.poll(target)
    scene.becomes(1, "failed", error_detail=ABSENT)
    await scene.poll(target)
    assert scene.events() == [(1, "error_changed"), (1, "error_changed")]
    assert changes(scene) == [[("error_detail", "one row", "two rows")], [("error_detail", "two rows", None)]]


@pytest.mark.asyncio
async def test_canceled_may_come_after_the_end_and_fall_back_again(scene: Scene) -> None:
    scene.run(1, "completed")
    target = await scene.watched()
    scene.becomes(1, "completed", canceled=True)
    await scene.poll(target)
    scene.becomes(1, "completed", canceled=False)
    await scene.poll(target)
    assert scene.events() == [(1, "canceled"), (1, "status_changed")]
    assert changes(scene) == [[("canceled", None, True)], [("canceled", True, None)]]


@pytest.mark.asyncio
async def test_what_is_not_watched_is_no_news(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.becomes(1, "working", records_processed=7, current_step="Syncing", canceled=ABSENT, error_code="")
    await scene.poll(target)
    assert scene.events() == []


@pytest.mark.asyncio
async def test_an_ended_run_that_works_again_is_followed_again(scene: Scene) -> None:
    scene.run(1, "failed")
    target = await scene.watched()
    assert target.followed == {}
    scene.becomes(1, "working")
    await scene.poll(target)
    assert target.followed.keys() == {1}
    assert (await scene.restarted(target)).followed.keys() == {1}


@pytest.mark.parametrize("status", ["preparing", "Completed", "zzz"])
@pytest.mark.asyncio
async def test_an_unknown_status_is_reported_and_has_not_ended(scene: Scene, status: str) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.simulator.update_run(1, status=status)
    await scene.poll(target)
    assert scene.events() == [(1, "status_changed")]
    assert target.followed.keys() == {1}
    assert target.is_active(scene.clock.now)


@pytest.mark.parametrize("nothing", [None, "", ABSENT])
@pytest.mark.parametrize("status", ["completed", "failed", "working"])
@pytest.mark.asyncio
async def test_an_answer_without_a_status_says_nothing_of_it(scene: Scene, status: str, nothing: Any) -> None:
    scene.run(1, status)
    target = await scene.watched()
    scene.simulator.update_run(1, status=nothing)
    await scene.poll(target)
    assert scene.events() == []
    assert (1 in target.followed) == (status == "working")
    scene.simulator.update_run(1, status=status, error_code="E2")
    await scene.poll(target)
    assert scene.events() == [(1, "error_changed")]


@pytest.mark.asyncio
async def test_an_unknown_status_has_ended_once_completed_at_is_set(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.becomes(1, "archived", completed_at=created(9))
    await scene.poll(target)
    assert scene.events() == [(1, "status_changed")]
    assert target.followed == {}
    assert (await scene.restarted(target)).followed == {}


@pytest.mark.asyncio
async def test_completed_at_alone_ends_a_run_without_an_event(scene: Scene) -> None:
    scene.run(1, "archiving")
    target = await scene.watched()
    assert target.followed.keys() == {1}
    scene.simulator.update_run(1, completed_at=created(9))
    await scene.poll(target)
    assert scene.events() == []
    assert target.followed == {}
    assert (await scene.restarted(target)).followed == {}


# --- previous_run ---


def previous_runs(scene: Scene) -> list[Any]:
    return [body["data"]["previous_run"] for body in scene.bodies()]


@pytest.mark.asyncio
async def test_the_previous_run_is_the_last_result_before_this_one(scene: Scene) -> None:
    scene.run(1, "failed")
    target = await scene.watched()
    scene.run(2, "completed")
    scene.run(3, "skipped")
    scene.run(4, "completed", canceled=True)
    scene.run(5, "cancelled")
    scene.run(6, "archived", completed_at=created(7))
    scene.run(7, "failed")
    await scene.poll(target)
    assert previous_runs(scene) == [{"id": 1, "status": "failed"}] + [{"id": 2, "status": "completed"}] * 5


@pytest.mark.asyncio
async def test_without_any_result_before_there_is_no_previous_run(scene: Scene) -> None:
    scene.run(1, "skipped")
    scene.run(2, "working")
    target = await scene.watched()
    scene.run(3, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [None]


@pytest.mark.asyncio
async def test_a_failed_run_that_was_canceled_is_no_result(scene: Scene) -> None:
    target = await scene.watched()
    scene.run(1, "failed", canceled=True)
    scene.run(2, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [None, None]


@pytest.mark.asyncio
async def test_the_previous_run_is_found_across_pages(scene: Scene) -> None:
    target = await scene.watched()
    scene.run(1, "failed")
    scene.runs(range(2, 152), "skipped")
    scene.run(152, "completed")
    await scene.poll(target)
    assert previous_runs(scene)[-1] == {"id": 1, "status": "failed"}


@pytest.mark.asyncio
async def test_the_previous_run_is_found_in_the_database_when_the_answer_does_not_reach_it(scene: Scene) -> None:
    scene.run(1, "completed")
    scene.run(2, "failed")
    scene.runs(range(3, 60), "skipped")
    target = await scene.restarted(await scene.watched())
    scene.run(60, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [{"id": 2, "status": "failed"}]


@pytest.mark.asyncio
async def test_the_previous_run_of_a_change_is_older_than_the_run_and_not_merely_known_before(scene: Scene) -> None:
    scene.run(1, "completed")
    scene.run(2, "working")
    target = await scene.watched()
    scene.runs(range(3, 12), "failed")
    await scene.poll(target)
    scene.becomes(2, "completed")
    await scene.poll(target)
    assert scene.events()[-1] == (2, "completed")
    assert previous_runs(scene)[-1] == {"id": 1, "status": "completed"}


@pytest.mark.asyncio
async def test_the_previous_run_has_its_state_of_this_very_answer(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.becomes(1, "failed")
    scene.run(2, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [None, {"id": 1, "status": "failed"}]


@pytest.mark.asyncio
async def test_the_previous_run_is_of_the_same_sync(scene: Scene) -> None:
    scene.sync(53)
    scene.run(1, "failed", sync_id=53)
    await scene.watched(53)
    target = await scene.watched(52)
    scene.run(2, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [None]


# --- routes ---


@pytest.mark.asyncio
async def test_events_are_routed_when_they_are_recorded(scene: Scene) -> None:
    receivers = ["growth", "pipeline"]
    only_failed = [Route(events=("sync_run.failed",), receivers=("growth",))]
    scene.observer = scene.new_observer(routes=only_failed, receivers=receivers)
    target = await scene.watched()
    scene.run(1, "completed")
    scene.run(2, "failed")
    await scene.poll(target)
    scene.observer = scene.new_observer(receivers=receivers)
    scene.run(3, "completed")
    await scene.poll(target)
    deliveries = "SELECT run_id, receiver, state FROM deliveries JOIN events ON events.id = event_id ORDER BY 1, 2"
    assert scene.rows(deliveries) == [(2, "growth", "pending"), (3, "growth", "pending"), (3, "pipeline", "pending")]
    assert scene.events() == [(1, "completed"), (2, "failed"), (3, "completed")]
    assert sorted(scene.woken) == ["growth", "growth", "pipeline"]


@pytest.mark.asyncio
async def test_each_event_has_one_log_line_and_a_poll_has_none(scene: Scene) -> None:
    scene.run(1)
    with capture_logs() as logs:
        target = await scene.watched()
        await scene.poll(target, times=2)
        assert logs == []
        scene.runs([2, 3])
        await scene.poll(target)
    assert [line["sync_run_id"] for line in lines(logs, "sync run changed")] == [2, 3]


# --- another version of the API ---


def without_errors(answer: Any) -> Any:
    """An answer whose runs have no error but its code, and counts under another name."""
    for run in answer["data"]:
        for field in ("error_message", "error_detail", "records_processed"):
            run.pop(field, None)
    return answer


@pytest.mark.asyncio
async def test_another_version_of_the_api_makes_no_news_of_runs_that_had_ended(scene: Scene) -> None:
    scene.run(1, "failed", error_code="A", error_message="B", error_detail="C", records_processed=5)
    scene.run(2, "working", error_message="so far")
    target = await scene.watched()
    target = await scene.switched(target)
    scene.simulator.fault(Transform(without_errors), path="/syncs/52/sync_runs")
    with capture_logs() as logs:
        await scene.poll(target, times=2)
        scene.run(3, "failed", error_code="D", error_message="E")
        await scene.poll(target, times=2)
    assert scene.events() == [(2, "error_changed"), (3, "failed")]
    (said,) = lines(logs, "this version of the API shows runs otherwise that had ended; what was told of them stays")
    assert (said["sync_run_id"], said["fields"]) == (1, ["error_message", "error_detail"])


@pytest.mark.asyncio
async def test_nor_of_those_that_a_notifier_of_before_kept_which_knew_one_version(scene: Scene) -> None:
    scene.run(1, "failed", error_code="A", error_message="B", error_detail="C")
    target = await scene.watched()
    scene.change("UPDATE snapshots SET api = NULL")
    target = await scene.switched(target)
    scene.simulator.fault(Transform(without_errors), path="/syncs/52/sync_runs")
    await scene.poll(target)
    assert scene.events() == []


@pytest.mark.asyncio
async def test_what_happens_to_a_run_after_the_switch_is_told_as_ever(scene: Scene) -> None:
    scene.run(1, "failed", error_code="A")
    scene.run(2, "working")
    target = await scene.switched(await scene.watched())
    await scene.poll(target)
    scene.becomes(1, "working")  # tried again
    scene.becomes(2, "failed", error_code="B")
    await scene.poll(target)
    scene.becomes(1, "failed", error_code="A")
    scene.becomes(2, "failed", error_code="C")
    await scene.poll(target, times=2)
    assert scene.events() == [(1, "working"), (2, "failed"), (1, "failed"), (2, "error_changed")]
