"""Results that change after they were judged, or that come late."""

import pytest

from notifier.watchlist.checks import (
    Failing,
    RecordCount,
)
from notifier.watchlist.models import Watch
from tests.integration.watching.incidents.kit import (
    FAILING,
    incidents,
    only,
    rerostered,
    told,
    watched,
)
from tests.integration.watching.kit import Scene, created


@pytest.mark.asyncio
async def test_a_failed_run_that_turns_out_to_have_completed_resolves_its_incident(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    await scene.poll(target)
    scene.becomes(1, "completed")
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1", "failing resolved by 1"]


@pytest.mark.asyncio
async def test_a_run_counts_once_it_is_no_longer_canceled(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    scene.run(2, "completed", canceled=True)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1"]
    scene.becomes(2, "completed", canceled=False)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1", "failing resolved by 2"]


@pytest.mark.asyncio
async def test_a_failed_run_that_runs_again_is_no_result_and_changes_no_incident(scene: Scene) -> None:
    target = await watched(scene, only(failing=Failing(runs=2)))
    scene.run(1, "failed", error_code="E1")
    await scene.poll(target)
    scene.becomes(1, "working", error_code=None)
    scene.run(2, "failed", error_code="E1")
    await scene.poll(target)
    assert told(scene) == []
    scene.run(3, "failed", error_code="E1")
    await scene.poll(target)
    scene.becomes(3, "working", error_code=None)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 3"]


@pytest.mark.asyncio
async def test_an_elder_run_that_completes_below_the_list_resolves_nothing_that_a_newer_one_opened(
    scene: Scene,
) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "working")
    scene.runs(range(2, 7))
    scene.run(7, "failed")
    await scene.poll(target)
    scene.becomes(1, "completed")
    await scene.poll(target, times=2)
    assert (1, "completed") in scene.events()
    assert told(scene) == ["failing opened by 7"]


@pytest.mark.asyncio
async def test_a_recovery_of_more_runs_than_one_answer_shows_is_seen(scene: Scene) -> None:
    target = await watched(scene, only(failing=Failing(recovered_after=7)))
    scene.run(1, "failed")
    for number in range(2, 9):
        await scene.poll(target)
        scene.run(number)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1", "failing resolved by 8"]


@pytest.mark.asyncio
async def test_an_unusual_number_of_records_is_no_measure_for_later_polls(scene: Scene) -> None:
    """Of 160, 100, 100 and 100, but not of the 1,000 in between, the mean is too low for 200."""
    target = await watched(scene, only(record_count=RecordCount(deviation_percent=50, of_last=10)))
    for number, sent in enumerate([100, 100, 100, 1000, 100, 160], start=1):
        scene.run(number, records_processed=sent)
        await scene.poll(target)
    assert told(scene) == ["record_count opened by 4", "record_count resolved by 5", "record_count opened by 6"]


@pytest.mark.asyncio
async def test_the_last_good_run_is_the_one_that_completed_last_and_was_not_canceled(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, completed_at=created(900))
    scene.run(2, completed_at=created(800))
    scene.run(3, completed_at=created(950), canceled=True)
    scene.run(4, "failed")
    await scene.poll(target)
    assert [incident["last_good_run"] for incident in incidents(scene)] == [{"id": 1, "completed_at": created(900)}]


@pytest.mark.asyncio
async def test_a_good_run_that_does_not_say_when_it_completed_did_so_when_it_last_changed(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, completed_at=None, updated_at=created(900))
    scene.run(2, "failed")
    await scene.poll(target)
    assert [incident["last_good_run"] for incident in incidents(scene)] == [{"id": 1, "completed_at": created(900)}]


@pytest.mark.asyncio
async def test_a_baseline_opens_nothing_though_it_shows_what_became_of_a_run_that_was_watched_before(
    scene: Scene,
) -> None:
    scene.run(1, "working")
    roster, _ = await scene.roster(Watch(sync_run=1), checks=FAILING)
    await scene.observer.poll_run(roster.runs[1], roster.sync_label, roster.is_watched)
    scene.becomes(1, "failed")
    roster = await rerostered(scene, FAILING, Watch(sync_run=1), Watch(sync=52))
    await scene.listed(roster)
    await scene.poll(roster.syncs[52], times=2)
    assert scene.events() == [(1, "failed")]
    assert told(scene) == []
