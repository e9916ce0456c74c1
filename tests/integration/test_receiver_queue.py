"""One receiver's queue over hours: stepping aside, probing a broken receiver, giving up. Both clocks are the test's."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from notifier.config.models import DeliverySettings
from notifier.model import Broken, Delivered, Message, Outcome, ReceiverState, Refused, Retry
from notifier.receiver_queue import ReceiverQueue
from notifier.store.store import Store
from notifier.turnstile import Turnstile
from tests.integration.store_builders import NOW, an_event, an_observation
from tests.integration.watching import UNDER_WAY, Clock, LoopClock, running, settled

STORE_CALLS = ("pending", "pending_in_lane", "message", "settle", "record")


class Scripted:
    """A receiver that answers as its script says, and remembers what it was sent."""

    name = "pipeline"
    concurrency = 16

    def __init__(self, script: Callable[[str], Outcome], *, can_be_asked: bool = False) -> None:
        self.script = script
        self.can_be_asked = can_be_asked
        self.turnstile = Turnstile()
        self.sent: list[str] = []

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message.event_id)
        return self.script(message.event_id)

    def take(self) -> list[str]:
        """What was sent since it was last asked."""
        sent, self.sent = self.sent, []
        return sent


class Stage:
    """A queue over a real store, and two clocks that go together."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, receiver: Scripted) -> None:
        UNDER_WAY.count(store, *STORE_CALLS)
        self.store = store
        self.receiver = receiver
        self.clock = Clock()
        self.clock.now = NOW
        self.loop_clock = LoopClock(monkeypatch)

    def queue(self, state: ReceiverState | None = None) -> ReceiverQueue:
        return ReceiverQueue(
            self.receiver,
            state or ReceiverState("pipeline"),
            self.store,
            DeliverySettings(first_retry=timedelta(minutes=1), longest_retry=timedelta(minutes=10)),
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    async def record(self, *event_ids: str, sync_id: int) -> None:
        events = [an_event(i, "pipeline", sync_id=sync_id, seen_at=self.clock.now) for i in event_ids]
        await self.store.record(an_observation(*events, sync_id=sync_id))

    async def passes(self, step: float = 10.0, **units: float) -> None:
        """Time passes, `step` seconds at a time: what is due in between has its turn then."""
        left = timedelta(**units).total_seconds()
        while left > 0:
            step = min(left, step)
            self.clock.advance(seconds=step)
            await self.loop_clock.advance(step)
            left -= step


async def until_quiet() -> None:
    for _ in range(3):
        await settled()


@pytest.mark.asyncio
async def test_a_delivery_that_fails_for_15_minutes_while_others_are_accepted_steps_aside_and_goes_on_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda i: Retry("HTTP 500") if i == "evt_a1" else Delivered()))
    await stage.record("evt_a1", "evt_a2", "evt_a3", sync_id=1)
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        await stage.passes(minutes=5)
        await stage.record("evt_b1", sync_id=2)
        queue.wake()
        await until_quiet()
        await stage.passes(minutes=9)
        assert {"evt_a2", "evt_a3"}.isdisjoint(stage.receiver.sent)
        assert "evt_b1" in stage.receiver.take()
        await stage.passes(minutes=1, seconds=30)
        assert [i for i in stage.receiver.take() if i != "evt_a1"] == ["evt_a2", "evt_a3"]
        await stage.passes(minutes=11)
        assert stage.receiver.take() == ["evt_a1"]
    (left,) = await store.pending("pipeline", 0, 9)
    assert (left.event_id, left.aside) == ("evt_a1", True)

    await stage.record("evt_a4", sync_id=1)  # a restart knows that it stepped aside
    async with running(stage.queue().run()):
        await until_quiet()
        assert "evt_a4" in stage.receiver.take()


@pytest.mark.asyncio
async def test_nothing_steps_aside_at_a_receiver_that_accepts_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("no answer in time")))
    await stage.record("evt_a1", "evt_a2", sync_id=1)
    await stage.record("evt_b1", sync_id=2)
    async with running(stage.queue().run()):
        await until_quiet()
        await stage.passes(hours=1)
        assert set(stage.receiver.sent) == {"evt_a1", "evt_b1"}


@pytest.mark.asyncio
async def test_a_broken_receiver_is_tried_with_one_message_every_five_minutes_and_then_gets_all_in_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Broken("HTTP 404 Not Found")))
    for number in range(1, 31):
        await stage.record(f"evt_{number:02}", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
        assert stage.receiver.take() == ["evt_01"]
        await stage.passes(minutes=4, seconds=50)
        assert stage.receiver.take() == []
        await stage.passes(seconds=20)
        assert stage.receiver.take() == ["evt_01"]
        await stage.passes(
            step=240, days=4
        )  # far beyond give_up_after: only a person can mend it, and its messages wait
        stage.receiver.take()
        stage.receiver.script = lambda _: Delivered()
        await stage.passes(minutes=5)
        assert stage.receiver.take() == [f"evt_{number:02}" for number in range(1, 31)]


@pytest.mark.asyncio
async def test_a_refused_message_holds_nothing_back_and_a_hopeless_one_is_given_up_after_its_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: dict[str, Outcome] = {"evt_1": Refused("HTTP 422"), "evt_2": Retry("HTTP 500")}
    stage = Stage(store, monkeypatch, Scripted(lambda i: outcomes.get(i, Delivered())))
    await stage.record("evt_1", "evt_2", "evt_3", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
        assert stage.receiver.take() == ["evt_1", "evt_2"]
        await stage.passes(step=120, days=2, hours=23)
        assert "evt_3" not in stage.receiver.take()
        await stage.passes(hours=1, minutes=20)
        assert stage.receiver.take()[-1] == "evt_3"


@pytest.mark.asyncio
async def test_retry_after_holds_the_whole_receiver_and_a_restart_remembers_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Retry("HTTP 429", after=timedelta(minutes=30))
    stage = Stage(store, monkeypatch, Scripted(lambda _: busy))
    await stage.record("evt_a1", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
    assert stage.receiver.take() == ["evt_a1"]
    await stage.record("evt_b1", sync_id=2)
    stage.receiver.script = lambda _: Delivered()
    async with running(stage.queue((await store.receivers())["pipeline"]).run()):
        await until_quiet()
        await stage.passes(minutes=29)
        assert stage.receiver.take() == []
        await stage.passes(minutes=2)
        assert sorted(stage.receiver.take()) == ["evt_a1", "evt_b1"]


@pytest.mark.asyncio
async def test_a_wall_clock_that_jumps_a_day_back_does_not_hold_a_delivery_for_a_day(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500")))
    await stage.record("evt_1", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
    stage.clock.advance(days=-1)
    stage.receiver.take()
    async with running(stage.queue().run()):
        await until_quiet()
        await stage.passes(hours=1, minutes=1)  # an hour is the most that any stored time can ask for
        assert "evt_1" in stage.receiver.take()
