"""Receivers that become this worker's, and another's again: nothing begins then, and what is under way ends."""

import asyncio
from collections.abc import Mapping

import pytest

from notifier.delivering.deliverer import Builder, Deliverer
from notifier.model.delivery import Delivered, Message, Outcome, ReceiverState, Retry
from notifier.store.store import Store
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from tests.integration.delivering.test_queue import Scripted, Stage, until_quiet
from tests.integration.watching.kit import running, until

pytestmark = pytest.mark.standing_clock


class Held(Scripted):
    """A receiver that answers when the test says so."""

    def __init__(self) -> None:
        super().__init__(lambda _: Delivered())
        self.answers = asyncio.Event()
        self.under_way = 0

    async def send(self, message: Message) -> Outcome:
        self.under_way += 1
        await self.answers.wait()
        self.under_way -= 1
        return await super().send(message)


def state_of(store: Store, event_id: str) -> str:
    return next(each.state for each in read_deliveries(store.place, DeliveryFilter(), 9) if each.event_id == event_id)


def builders(stage: Stage) -> Mapping[str, Builder]:
    return {"pipeline": lambda state: stage.queue(state)}


@pytest.mark.asyncio
async def test_who_ends_while_a_receivers_state_is_read_begins_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Delivered()))
    await stage.record("evt_1", sync_id=1)
    deliverer = Deliverer(builders(stage), store.delivering)
    read, goes_on, reads = store.delivering.receivers, asyncio.Event(), asyncio.Event()

    async def receivers() -> dict[str, ReceiverState]:
        reads.set()
        await goes_on.wait()
        return await read()

    monkeypatch.setattr(store.delivering, "receivers", receivers)
    async with running(deliverer.run()) as delivering:
        deliverer.begin(["pipeline"])
        await reads.wait()
        ending = asyncio.create_task(deliverer.end(["pipeline"]))
        await asyncio.sleep(0)
        goes_on.set()
        await until(ending.done)
        assert (stage.receiver.sent, deliverer.working(), deliverer.unfinished()) == ([], {}, frozenset())
        deliverer.begin(["pipeline"])  # it comes back
        await until(lambda: stage.receiver.sent == ["evt_1"])
        assert deliverer.working() == {"pipeline": True}
        assert not delivering.done()


@pytest.mark.asyncio
async def test_an_end_waits_for_the_attempt_under_way_and_its_outcome_and_begins_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    stage = Stage(store, monkeypatch, held)
    await stage.record("evt_1", "evt_2", sync_id=1)
    deliverer = Deliverer(builders(stage), store.delivering)
    deliverer.begin(["pipeline"])
    async with running(deliverer.run()):
        await until(lambda: held.under_way == 1)
        ending = asyncio.create_task(deliverer.end(["pipeline"]))
        await stage.passes(minutes=2)
        assert not ending.done()
        assert deliverer.unfinished() == {"pipeline"}
        held.answers.set()
        await until(ending.done)
        assert held.sent == ["evt_1"]
        assert (state_of(store, "evt_1"), state_of(store, "evt_2")) == ("delivered", "pending")
        deliverer.wake(["pipeline"])
        deliverer.wake_all()
        await deliverer.reload()
        await stage.passes(minutes=2)
        assert held.sent == ["evt_1"]
        deliverer.begin(["pipeline"])
        await until(lambda: held.sent == ["evt_1", "evt_2"])


@pytest.mark.asyncio
async def test_what_a_worker_before_has_under_way_is_waited_for_by_who_never_began_that_receiver(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    stage = Stage(store, monkeypatch, held)
    await stage.record("evt_1", sync_id=1)
    first = Deliverer(builders(stage), store.delivering)
    first.begin(["pipeline"])
    async with running(first.run()):
        await until(lambda: held.under_way == 1)
        first.stop()
        second = Deliverer(builders(stage), store.delivering, first)
        third = Deliverer(builders(stage), store.delivering, second)
        over = asyncio.create_task(third.over("pipeline"))
        await until_quiet()
        assert not over.done()
        assert third.unfinished() == {"pipeline"}
        held.answers.set()
        await until(over.done)


@pytest.mark.asyncio
async def test_nothing_is_begun_of_what_was_to_begin_after_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Delivered()))
    await stage.record("evt_1", sync_id=1)
    deliverer = Deliverer(builders(stage), store.delivering)
    async with running(deliverer.run()) as delivering:
        await until_quiet()
        deliverer.stop()
        deliverer.begin(["pipeline"])
        await until(delivering.done)
    deliverer.begin(["pipeline"])
    assert (stage.receiver.sent, deliverer.unfinished()) == ([], frozenset())


@pytest.mark.asyncio
async def test_what_is_left_for_a_receiver_that_is_gone_ends_only_once_it_may_be_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other workers may go by a watchlist that names it, or others that this one does not name."""
    held = Held()
    stage = Stage(store, monkeypatch, held)
    await stage.record("evt_1", sync_id=1)
    await stage.record("evt_2", sync_id=2, receiver="of another watchlist")
    first = Deliverer(builders(stage), store.delivering)
    first.begin(["pipeline"])
    agree = False
    async with running(first.run()):
        await until(lambda: held.under_way == 1)
        held.script = lambda _: Retry("HTTP 500")
        first.stop()
        second = Deliverer({}, store.delivering, first, may_forget=lambda: agree)
        async with running(second.run()):
            held.answers.set()
            await until(lambda: not first.unfinished())
            await stage.passes(minutes=2)
            assert {state_of(store, "evt_1"), state_of(store, "evt_2")} == {"pending"}
            agree = True
            await stage.passes(minutes=1)
            await until(lambda: {state_of(store, "evt_1"), state_of(store, "evt_2")} == {"dead"})
