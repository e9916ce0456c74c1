"""All receivers side by side: what one fault costs, and that a call which is lost costs a minute at most."""

from collections.abc import Awaitable, Callable
from sqlite3 import IntegrityError
from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.delivering.deliverer import Deliverer
from notifier.delivering.queue import ReceiverQueue
from notifier.model.delivery import Delivered, DeliveryState, Outcome, ReceiverState, Retry
from notifier.model.errors import DatabaseUnusable
from notifier.store.store import Store
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from tests.integration.delivering.test_queue import Scripted, Stage, until_quiet
from tests.integration.watching.kit import UNDER_WAY, running, until

pytestmark = pytest.mark.standing_clock


def failing_times(times: int, error: Exception, act: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A call that fails so often, and then acts."""
    left = [error] * times

    async def called(*given: Any, **named: Any) -> Any:
        if left:
            raise left.pop()
        return await act(*given, **named)

    return called


def faults(said: list[Any]) -> list[str]:
    """What was logged with its traceback."""
    return [each["event"] for each in said if each.get("exc_info")]


def stage_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> tuple[Stage, ReceiverQueue, Deliverer]:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Delivered()))
    UNDER_WAY.count(store, "changes_from_outside")
    UNDER_WAY.count(store.delivering, "receivers")
    queue = stage.queue()
    deliverer = Deliverer({"pipeline": lambda _: queue}, store.delivering)
    deliverer.begin(["pipeline"])
    return stage, queue, deliverer


# --- the end ---


@pytest.mark.asyncio
async def test_a_stop_while_a_receivers_state_is_read_begins_nothing_and_is_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload right after another; the first one's queue would go on for ever, beside or in place of the next."""
    stage, _, deliverer = stage_of(store, monkeypatch)
    await stage.record("evt_1", sync_id=1)
    read = store.delivering.receivers

    async def receivers() -> dict[str, ReceiverState]:
        deliverer.stop()
        return await read()

    monkeypatch.setattr(store.delivering, "receivers", receivers)
    async with running(deliverer.run()) as delivering:
        await until(delivering.done)
    assert stage.receiver.sent == []


# --- a call that is lost ---


@pytest.mark.asyncio
async def test_what_nobody_was_woken_for_is_sent_within_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, _, deliverer = stage_of(store, monkeypatch)
    async with running(deliverer.run()):
        await stage.passes(minutes=10)
        await stage.record("evt_1", sync_id=1)
        await stage.passes(minutes=1)
        assert stage.receiver.take() == ["evt_1"]
        stage.receiver.script = lambda _: Retry("HTTP 500", for_all=False)
        await stage.record("evt_2", sync_id=1)
        await stage.passes(minutes=1)
        await stage.record("evt_3", sync_id=2)  # while another waits for its next attempt
        await stage.passes(minutes=1)
        assert "evt_3" in stage.receiver.take()


# --- faults of ours ---


OURS = "a fault of the notifier; see its log"


@pytest.mark.asyncio
@pytest.mark.parametrize("call", ["message", "begin_attempt"])
async def test_a_fault_before_a_message_is_sent_is_an_attempt_that_failed_and_holds_nobody_else(
    store: Store, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    stage, queue, deliverer = stage_of(store, monkeypatch)
    stage.receiver.can_be_asked = True
    await stage.record("evt_1", "evt_2", sync_id=1)
    await stage.record("evt_3", sync_id=2)
    monkeypatch.setattr(
        store.delivering, call, failing_times(1, ValueError("a fault of ours"), getattr(store.delivering, call))
    )
    with capture_logs() as said:
        async with running(deliverer.run()):
            await until_quiet()
            assert stage.receiver.take() == ["evt_3"]
            assert {each.last_error for each in read_deliveries(store.place, DeliveryFilter(), 9)} == {None, OURS}
            await stage.passes(minutes=2)
            assert stage.receiver.take() == ["evt_1", "evt_2"]
    assert faults(said) == ["delivery failed by a fault of the notifier; please report it"]
    assert queue.state.works


@pytest.mark.asyncio
@pytest.mark.parametrize("outcome", [Delivered(), Retry("HTTP 500")])
@pytest.mark.parametrize("times", [1, 2], ids=["with all that it says", "by itself either"])
async def test_an_outcome_that_can_not_be_kept_by_a_fault_of_ours_is_told_and_the_others_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, times: int
) -> None:
    stage, _, deliverer = stage_of(store, monkeypatch)
    outcomes = [outcome]
    stage.receiver.script = lambda i: outcomes.pop() if i == "evt_1" and outcomes else Delivered()
    await stage.record("evt_1", "evt_2", sync_id=1)
    error = IntegrityError("NOT NULL constraint failed")
    monkeypatch.setattr(store.delivering, "settle", failing_times(times, error, store.delivering.settle))
    with capture_logs() as said:
        async with running(deliverer.run()):
            await until_quiet()
            await stage.passes(minutes=2)
            tries = 1 if isinstance(outcome, Delivered) else 2
            assert stage.receiver.take() == [*["evt_1"] * tries, "evt_2"]
    assert faults(said) == ["an outcome can't be kept by a fault of the notifier; please report it"] * times
    kept = {each.event_id: each.state for each in read_deliveries(store.place, DeliveryFilter(), 9)}
    unkept = times == 2 and isinstance(outcome, Delivered)
    assert kept == {"evt_1": DeliveryState.PENDING if unkept else DeliveryState.DELIVERED, "evt_2": "delivered"}


@pytest.mark.asyncio
@pytest.mark.parametrize("call", ["pending", "pending_in_lane"])
async def test_a_fault_in_reading_rests_the_receiver_for_a_minute_however_often_it_is_called(
    store: Store, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    stage, queue, deliverer = stage_of(store, monkeypatch)
    await stage.record(*(f"evt_{number:02}" for number in range(30)), sync_id=1)
    monkeypatch.setattr(
        store.delivering, call, failing_times(1, ValueError("a fault of ours"), getattr(store.delivering, call))
    )
    with capture_logs() as said:
        async with running(deliverer.run()):
            await until_quiet()
            for _ in range(5):
                queue.wake()
                await stage.passes(seconds=10)
            assert len(stage.receiver.sent) < 30
            await stage.passes(minutes=2)
    assert stage.receiver.sent == [f"evt_{number:02}" for number in range(30)]
    assert faults(said) == ["deliveries rest for a minute by a fault of the notifier; please report it"]


@pytest.mark.asyncio
async def test_in_a_round_a_fault_in_reading_leaves_what_is_pending(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Delivered()))
    await stage.record("evt_1", sync_id=1)
    monkeypatch.setattr(
        store.delivering, "pending", failing_times(9, ValueError("a fault of ours"), store.delivering.pending)
    )
    with capture_logs() as said:
        deliverer = Deliverer({"pipeline": lambda _: stage.queue(once=True)}, store.delivering)
        deliverer.begin(["pipeline"])
        await deliverer.drain_once()
    assert await store.delivering.count_pending() == 1
    assert len(faults(said)) == 1


@pytest.mark.asyncio
async def test_a_database_that_is_unusable_ends_the_deliveries(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, queue, _ = stage_of(store, monkeypatch)
    await stage.record("evt_1", sync_id=1)
    monkeypatch.setattr(
        store.delivering, "settle", failing_times(1, DatabaseUnusable("damaged"), store.delivering.settle)
    )
    with pytest.raises(ExceptionGroup) as caught:
        await queue.run()
    assert caught.group_contains(DatabaseUnusable)
