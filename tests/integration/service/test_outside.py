"""What others wrote to the database is taken up, also after a look that failed."""

import asyncio

import pytest
from structlog.testing import capture_logs

from notifier.model.delivery import Retry
from notifier.model.errors import StoreUnavailable
from notifier.service.outside import Outside
from notifier.store.orders import retry_deliveries
from notifier.store.seat import Counters
from notifier.store.store import Store
from notifier.store.views.deliveries import DeliveryFilter
from tests.integration.delivering.test_deliverer import failing_times, faults, stage_of
from tests.integration.delivering.test_queue import until_quiet
from tests.integration.watching.kit import running, settled, until

pytestmark = pytest.mark.standing_clock


def nothing() -> None:
    """Nobody is told."""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "told"), [(StoreUnavailable("the disk failed"), 0), (RuntimeError("a fault of ours"), 1)]
)
async def test_a_first_look_that_fails_ends_nothing_and_what_a_command_did_meanwhile_is_taken_up(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, told: int
) -> None:
    stage, _, deliverer = stage_of(store, monkeypatch)
    stage.receiver.script = lambda _: Retry("HTTP 500")
    monkeypatch.setattr(store, "changes_from_outside", failing_times(1, error, store.changes_from_outside))
    await stage.record("evt_1", sync_id=1)
    with capture_logs() as said:
        async with running(deliverer.run()), running(Outside(store, deliverer, nothing).run()):
            await until_quiet()
            assert stage.receiver.take() == ["evt_1"]
            assert retry_deliveries(store.place, DeliveryFilter(), stage.clock.now, ["pipeline"]).ids == (1,)
            await stage.passes(step=1, seconds=5)
            assert stage.receiver.take() == ["evt_1"]
    assert len(faults(said)) == told


@pytest.mark.asyncio
async def test_a_look_that_fails_by_a_fault_of_ours_is_told_and_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, _, deliverer = stage_of(store, monkeypatch)
    stage.receiver.script = lambda _: Retry("HTTP 500")
    await stage.record("evt_1", sync_id=1)
    with capture_logs() as said:
        async with running(deliverer.run()), running(Outside(store, deliverer, nothing).run()):
            await until_quiet()
            monkeypatch.setattr(
                store.delivering, "receivers", failing_times(1, KeyError("a fault of ours"), store.delivering.receivers)
            )
            retry_deliveries(store.place, DeliveryFilter(), stage.clock.now, ["pipeline"])
            await stage.passes(step=1, seconds=5)
            assert stage.receiver.take() == ["evt_1", "evt_1"]
    assert faults(said) == ["what others wrote can't be seen by a fault of the notifier; please report it"]


@pytest.mark.asyncio
async def test_what_another_worker_appended_before_a_first_look_that_had_to_wait_is_sent_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue has read what was pending by then, and would read again after a minute."""
    stage, _, deliverer = stage_of(store, monkeypatch)
    look, goes_on, appended = store.changes_from_outside, asyncio.Event(), 0

    async def changes() -> Counters:
        await goes_on.wait()
        return (await look())._replace(appended=appended)

    monkeypatch.setattr(store, "changes_from_outside", changes)
    async with running(deliverer.run()), running(Outside(store, deliverer, nothing).run()):
        for _ in range(20):
            await settled()
        await stage.record("evt_1", sync_id=1)  # as another worker does: nobody here is told
        appended = 1
        goes_on.set()
        await until(lambda: stage.receiver.sent == ["evt_1"])
