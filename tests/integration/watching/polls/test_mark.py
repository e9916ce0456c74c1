"""How far a sync's list has been read, and what is skipped where too much came at once."""

import pytest
from structlog.testing import capture_logs

from notifier.model.errors import StoreUnavailable
from notifier.model.sync import RunWatch
from tests.integration.watching.kit import FailingRecord, Scene, lines
from tests.integration.watching.polls.kit import GAP, mark_in_database, view_of_sync

# --- the mark ---


@pytest.mark.asyncio
async def test_a_poll_whose_finds_could_not_be_kept_finds_them_again_exactly_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.runs([1, 2])
    scene.run(3, "working")
    target = await scene.watched()
    before = await mark_in_database(scene)
    scene.runs([4, 5])
    scene.becomes(3, "failed")
    full_disk = FailingRecord(monkeypatch, scene.store)
    with pytest.raises(StoreUnavailable):
        await scene.poll(target)
    assert [event.run_id for event in full_disk.failed[0].events] == [3, 4, 5]
    assert scene.events() == []
    assert await mark_in_database(scene) == before == target.mark
    await scene.poll(target, times=2)
    assert scene.events() == [(3, "failed"), (4, "completed"), (5, "completed")]
    after = await mark_in_database(scene)
    assert after is not None
    assert after.run_id == 5


@pytest.mark.asyncio
async def test_a_baseline_that_could_not_be_kept_is_set_at_the_next_poll(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1)
    FailingRecord(monkeypatch, scene.store)
    target = scene.target()
    with pytest.raises(StoreUnavailable):
        await scene.poll(target)
    scene.run(2)
    await scene.poll(target, times=2)
    assert scene.events() == []
    assert target.mark is not None
    assert target.mark.run_id == 2


@pytest.mark.asyncio
async def test_events_are_announced_even_when_what_follows_their_commit_fails(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    target.watch_run(1, {})
    scene.becomes(1, "failed")

    async def full_disk(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(scene.store.watching, "save_run_watch", full_disk)
        with pytest.raises(StoreUnavailable):
            await scene.poll(target)
    assert scene.events() == [(1, "failed")]
    assert scene.woken == ["pipeline"]
    assert len(lines(logs, "sync run changed")) == 1
    await scene.poll(target, times=2)
    assert scene.events() == [(1, "failed")]
    assert await scene.store.watching.run_watches("production") == {1: RunWatch(52, ended=True)}


@pytest.mark.asyncio
async def test_a_restart_repeats_nothing_and_loses_nothing(scene: Scene) -> None:
    scene.run(1)
    scene.run(2, "working")
    target = await scene.watched()
    scene.run(3, "working")
    await scene.poll(target)
    target = await scene.restarted(target)
    await scene.poll(target)
    assert scene.events() == [(3, "working")]
    scene.becomes(2, "completed")
    scene.becomes(3, "failed")
    scene.run(4, "queued")
    target = await scene.restarted(target)
    await scene.poll(target)
    assert scene.events() == [(3, "working"), (2, "completed"), (3, "failed"), (4, "queued")]
    await scene.poll(await scene.restarted(target))
    assert len(scene.events()) == 4


@pytest.mark.asyncio
async def test_a_run_that_the_api_shows_late_below_the_mark_is_still_news(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.run(3)
    await scene.poll(target)
    scene.run(2)
    await scene.poll(target, times=2)
    assert scene.events() == [(3, "completed"), (2, "completed")]


@pytest.mark.asyncio
async def test_the_mark_does_not_move_down_when_newest_runs_are_deleted(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs([2, 3, 4])
    await scene.poll(target)
    scene.simulator.remove_run(3)
    scene.simulator.remove_run(4)
    await scene.poll(target, times=2)
    scene.run(5)
    await scene.poll(await scene.restarted(target), times=2)
    assert [run_id for run_id, _ in scene.events()] == [2, 3, 4, 5]


# --- too many ---


@pytest.mark.asyncio
async def test_exactly_a_thousand_new_runs_are_all_reported(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 1_002))
    with capture_logs() as logs:
        await scene.poll(target)
    assert [run_id for run_id, _ in scene.events()] == list(range(2, 1_002))
    assert lines(logs, GAP) == []
    assert view_of_sync(scene).gap_noticed_at is None


@pytest.mark.parametrize("number", [1_001, 1_250])
@pytest.mark.asyncio
async def test_beyond_a_thousand_the_newest_are_reported_and_the_gap_is_logged_and_kept(
    scene: Scene, number: int
) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, number + 2))
    with capture_logs() as logs:
        await scene.poll(target)
    oldest = number + 2 - 1_000
    assert [run_id for run_id, _ in scene.events()] == list(range(oldest, number + 2))
    (line,) = lines(logs, GAP)
    assert (line["sync_id"], line["oldest_reported_run_id"], line["reported"]) == (52, oldest, 1_000)
    view = view_of_sync(scene)
    assert (view.gap_noticed_at, view.gap_oldest_reported_run_id) == (scene.clock.now, oldest)


@pytest.mark.asyncio
async def test_runs_in_the_gap_never_become_news(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 1_502))
    await scene.poll(target)
    for number in range(480, 1_502):
        scene.simulator.remove_run(number)
    scene.run(1_502)
    await scene.poll(target, times=2)
    await scene.poll(await scene.restarted(target))
    assert [run_id for run_id, _ in scene.events()] == list(range(502, 1_503))
