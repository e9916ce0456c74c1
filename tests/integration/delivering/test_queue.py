"""One receiver's queue over hours: stepping aside, probing a broken receiver, giving up. Both clocks are the test's."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.delivering.queue import ReceiverQueue
from notifier.model.delivery import Broken, Delivered, Message, Outcome, ReceiverState, Refused, Retry
from notifier.model.errors import StoreUnavailable
from notifier.receivers.pace import Turnstile
from notifier.store.delivering import DeliveringStore
from notifier.store.store import Store
from notifier.watchlist.models import DeliverySettings
from tests.integration.store.builders import MINUTE, NOW, an_event, an_observation, change
from tests.integration.store.test_store_unavailable import LARGE, make_full
from tests.integration.watching.kit import UNDER_WAY, Clock, LoopClock, running, settled, until

pytestmark = pytest.mark.standing_clock

STORE_CALLS = ("pending", "pending_in_lane", "message", "story", "begin_attempt", "settle")


class Scripted:
    """A receiver that answers as its script says, and remembers what it was sent."""

    name = "pipeline"
    concurrency = 16

    def __init__(self, script: Callable[[str], Outcome], *, can_be_asked: bool = False) -> None:
        self.script = script
        self.can_be_asked = can_be_asked
        self.turnstile = Turnstile()
        self.sent: list[str] = []

    most_at_once = 1

    def gate(self, message: Message) -> Turnstile | None:
        return None

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
        UNDER_WAY.count(store.delivering, *STORE_CALLS)
        UNDER_WAY.count(store.watching, "record")
        self.store = store
        self.receiver = receiver
        self.clock = Clock()
        self.clock.now = NOW
        self.loop_clock = LoopClock(monkeypatch)

    def queue(self, state: ReceiverState | None = None, *, once: bool = False) -> ReceiverQueue:
        return ReceiverQueue(
            self.receiver,
            state or ReceiverState("pipeline"),
            self.store.delivering,
            DeliverySettings(first_retry=timedelta(minutes=1), longest_retry=timedelta(minutes=10)),
            once=once,
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    async def record(self, *event_ids: str, sync_id: int, receiver: str = "pipeline") -> None:
        events = [an_event(i, receiver, sync_id=sync_id, seen_at=self.clock.now) for i in event_ids]
        await self.store.watching.record(an_observation(*events, sync_id=sync_id))

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
    (left,) = await store.delivering.pending("pipeline", 0, 9)
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
    async with running(stage.queue((await store.delivering.receivers())["pipeline"]).run()):
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


@pytest.mark.asyncio
async def test_a_wall_clock_that_jumps_back_delays_nothing_when_a_command_has_the_queue_read_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500")))
    await stage.record("evt_1", sync_id=1)
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        assert stage.receiver.take() == ["evt_1"]
        stage.clock.advance(days=-1)
        queue.reload(None)
        await until_quiet()
        assert stage.receiver.take() == []
        await stage.passes(minutes=1, seconds=10)
        assert stage.receiver.take() == ["evt_1"]


@pytest.mark.asyncio
async def test_a_wall_clock_that_jumps_back_while_an_outcome_is_kept_delays_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500")))
    await stage.record("evt_1", sync_id=1)
    settle = store.delivering.settle

    async def settle_as_it_jumps(*settlements: Any, **more: Any) -> None:
        await settle(*settlements, **more)
        stage.clock.advance(days=-1)

    monkeypatch.setattr(store.delivering, "settle", settle_as_it_jumps)
    async with running(stage.queue().run()):
        await until_quiet()
        assert stage.receiver.take() == ["evt_1"]
        await stage.passes(minutes=1, seconds=10)
        assert stage.receiver.take() == ["evt_1"]


@pytest.mark.asyncio
async def test_a_message_that_was_never_tried_waits_for_no_clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: dict[str, list[Outcome]] = {"evt_1": [Retry("HTTP 500")]}
    stage = Stage(store, monkeypatch, Scripted(lambda i: outcomes[i].pop() if outcomes.get(i) else Delivered()))
    await stage.record("evt_1", "evt_2", sync_id=1)
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        stage.clock.advance(days=-1)
        await stage.passes(minutes=1, seconds=10)
        assert stage.receiver.take() == ["evt_1", "evt_1", "evt_2"]


@pytest.mark.asyncio
async def test_a_wall_clock_that_jumps_ahead_makes_nothing_step_aside(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda i: Retry("HTTP 500") if i == "evt_a1" else Delivered()))
    await stage.record("evt_a1", "evt_a2", sync_id=1)
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        await stage.passes(seconds=1)
        stage.clock.advance(days=1)
        await stage.record("evt_b1", sync_id=2)
        queue.wake()
        await until_quiet()
        await stage.passes(minutes=10)
        assert "evt_b1" in stage.receiver.sent
        assert "evt_a2" not in stage.receiver.sent
        await stage.passes(minutes=6)
        assert "evt_a2" in stage.receiver.sent


@pytest.mark.asyncio
async def test_a_wall_clock_that_jumps_a_day_back_keeps_no_follower_behind_a_failed_head(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda i: Retry("HTTP 500") if i == "evt_a1" else Delivered()))
    await stage.record("evt_a1", "evt_a2", sync_id=1)
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        await stage.passes(minutes=1)
        stage.clock.advance(days=-1)
        await stage.record("evt_b1", sync_id=2)
        queue.wake()
        await stage.passes(minutes=13)
        assert "evt_a2" not in stage.receiver.sent
        await stage.passes(minutes=2)
        assert "evt_a2" in stage.receiver.sent


@pytest.mark.asyncio
@pytest.mark.parametrize("restarted", [False, True], ids=["one queue", "a queue after a restart"])
async def test_a_wall_clock_that_jumps_four_days_ahead_kills_nothing_that_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500")))
    await stage.record("evt_1", "evt_2", sync_id=1)
    async with running((queue := stage.queue()).run()):
        await until_quiet()
        stage.clock.advance(days=4)
        await stage.record("evt_3", sync_id=2)
        queue.wake()
        await stage.passes(hours=2)
    if restarted:
        queue = stage.queue()
    async with running(queue.run()):
        await stage.passes(step=60, hours=12)
        assert await store.delivering.count_pending() == 3
        stage.receiver.script = lambda _: Delivered()
        await stage.passes(hours=1)
    assert await store.delivering.count_pending() == 0
    assert queue.died == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("days", [-4, 4])
async def test_what_is_recorded_by_a_clock_that_is_off_is_given_up_in_its_time_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """The clock goes back to the right time at once: that neither kills it nor keeps it for days more."""
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500")))
    async with running((queue := stage.queue()).run()):
        await stage.passes(step=240, hours=1)
        stage.clock.advance(days=days)
        await stage.record("evt_1", sync_id=1)
        queue.wake()
        await until_quiet()
        stage.clock.advance(days=-days)
        await stage.passes(step=240, days=2, hours=23)
        assert await store.delivering.count_pending() == 1
        await stage.passes(step=240, hours=1, minutes=20)
        assert await store.delivering.count_pending() == 0


@pytest.mark.asyncio
async def test_after_a_restart_each_message_has_a_quarter_of_its_time_left_and_no_more_when_it_is_that_old(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell four days without a worker from a clock that jumped."""
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500")))
    await stage.record("evt_1", sync_id=1)
    stage.clock.advance(days=4)
    async with running(stage.queue().run()):
        await stage.passes(step=60, hours=17, minutes=40)
        assert await store.delivering.count_pending() == 1
        await stage.passes(step=60, minutes=40)
        assert await store.delivering.count_pending() == 0


@pytest.mark.asyncio
async def test_a_clock_that_went_back_holds_a_message_for_an_hour_in_all_however_often_the_queue_is_read_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500")))
    await stage.record("evt_1", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
    stage.clock.advance(days=-1)
    stage.receiver.take()
    async with running((queue := stage.queue()).run()):
        for _ in range(3):
            await stage.passes(minutes=20, seconds=20)
            queue.reload(None)
        await until_quiet()
        assert "evt_1" in stage.receiver.take()


# --- a receiver that takes nothing ---

BEGINS, ENDS = "receiver has taken nothing for 5 minutes; trying goes on", "receiver works again"


def sentences(said: list[Any], *wanted: str) -> list[str]:
    return [each["event"] for each in said if each["event"] in wanted]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("HTTP 500", Retry("HTTP 500")),
        ("no connection: TLS failed", Retry("no connection: TLS failed")),
        ("HTTP 400", Refused("HTTP 400")),
        ("HTTP 429", Retry("HTTP 429", after=MINUTE)),
    ],
)
async def test_a_receiver_whose_attempts_have_all_failed_for_five_minutes_is_failing_until_it_takes_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, reason: str, outcome: Outcome
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: outcome))
    queue = stage.queue()
    with capture_logs() as said:
        async with running(queue.run()):
            for number in range(7):
                await stage.record(f"evt_{number}", sync_id=number)
                queue.wake()
                await until_quiet()
                assert queue.state.works is (number < 5)
                await stage.passes(minutes=1)
            state = (await store.delivering.receivers())["pipeline"]
            assert (state.failing, state.failed_since, state.last_error) == (True, NOW, reason)
            stage.receiver.script = lambda _: Delivered()
            await stage.record("evt_last", sync_id=99)
            queue.wake()
            await stage.passes(minutes=2)
            assert queue.state.works
    state = (await store.delivering.receivers())["pipeline"]
    assert (state.failing, state.failed_since, state.last_error) == (False, None, None)
    assert sentences(said, BEGINS, ENDS) == [BEGINS, ENDS]


@pytest.mark.asyncio
async def test_one_refused_message_with_nothing_after_it_is_no_receiver_that_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Outcome] = [Delivered(), Refused("HTTP 400")]
    stage = Stage(store, monkeypatch, Scripted(lambda _: outcomes.pop()))
    await stage.record("evt_1", sync_id=1)
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        await stage.passes(step=60, hours=5)
        assert queue.state.works
        await stage.record("evt_2", sync_id=1)
        queue.wake()
        await until_quiet()
        assert queue.state == await kept(store)
    assert queue.state.failed_since is None


async def kept(store: Store) -> ReceiverState:
    return (await store.delivering.receivers())["pipeline"]


@pytest.mark.asyncio
async def test_a_wall_clock_that_jumps_makes_no_receiver_fail_and_hides_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500")))
    await stage.record("evt_1", sync_id=1)
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        stage.clock.advance(days=1)
        await stage.passes(minutes=4)
        assert queue.state.works
        stage.clock.advance(days=-2)
        await stage.passes(minutes=5)
        assert not queue.state.works


@pytest.mark.asyncio
async def test_that_a_receiver_fails_outlives_the_process_and_a_broken_one_is_told_of_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500")))
    await stage.record("evt_1", sync_id=1)
    await stage.queue(once=True).run()
    stage.clock.advance(minutes=6)
    await stage.queue(await kept(store), once=True).run()
    assert (await kept(store)).failing
    with capture_logs() as said:
        stage.receiver.script = lambda _: Broken("HTTP 404")
        async with running(stage.queue(await kept(store)).run()):
            await stage.passes(minutes=20)
            stage.receiver.script = lambda _: Delivered()
            await stage.passes(minutes=5)
    assert sentences(said, BEGINS, ENDS) == [ENDS]
    assert (await kept(store)).works


@pytest.mark.asyncio
async def test_a_message_of_which_there_is_nothing_to_send_is_no_trial_of_a_broken_receiver(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = Delivered(unsent=True)
    stage = Stage(store, monkeypatch, Scripted(lambda i: quiet if i == "evt_b1" else Broken("is_archived")))
    for sync_id, event_id in enumerate(("evt_a1", "evt_b1", "evt_c1")):
        await stage.record(event_id, sync_id=sync_id)
    stage.receiver.concurrency = 1
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        assert stage.receiver.take() == ["evt_a1"]
        await stage.passes(minutes=5)
        assert stage.receiver.take() == ["evt_b1", "evt_c1"]
        assert queue.state.broken_since == NOW


# --- a broken receiver is tried ---


@pytest.mark.asyncio
async def test_a_broken_receiver_is_tried_with_another_syncs_message_each_time_and_then_with_the_first_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be one message that is wrong: its thread is locked, say."""
    stage = Stage(store, monkeypatch, Scripted(lambda _: Broken("restricted_action")))
    stage.receiver.concurrency = 1
    for sync_id in (1, 2, 3):
        await stage.record(f"evt_{sync_id}a", f"evt_{sync_id}b", sync_id=sync_id)
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        for _ in range(3):
            queue.reload(None)  # another process writes meanwhile
            await stage.passes(minutes=5)
        assert stage.receiver.take() == ["evt_1a", "evt_2a", "evt_3a", "evt_1a"]
        stage.receiver.script = lambda i: Broken("restricted_action") if i == "evt_1a" else Delivered()
        await stage.passes(minutes=5)
        assert stage.receiver.take()[0] == "evt_2a"
        await stage.passes(minutes=10)
    assert [left.event_id for left in await store.delivering.pending("pipeline", 0, 9)] == ["evt_1a", "evt_1b"]


@pytest.mark.asyncio
async def test_a_trial_that_had_to_wait_for_a_gate_is_made_when_that_opens(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Turnstile(1.0)
    outcomes: list[Outcome] = [Delivered(), Broken("is_archived")]
    receiver = Scripted(lambda _: outcomes.pop())
    stage = Stage(store, monkeypatch, receiver)
    await stage.record("evt_1", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
        monkeypatch.setattr(receiver, "gate", lambda _: gate)
        gate.hold(stage.loop_clock.now + 330)
        await stage.passes(minutes=5)
        assert receiver.sent == ["evt_1"]
        await stage.passes(seconds=40)
    assert receiver.sent == ["evt_1", "evt_1"]


@pytest.mark.asyncio
async def test_a_receiver_that_works_again_gets_at_once_what_waits_for_its_next_attempt(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Retry("HTTP 500", for_all=False)))
    await stage.record("evt_1a", "evt_1b", sync_id=1)
    queue = stage.queue()
    async with running(queue.run()):
        await until_quiet()
        await stage.passes(hours=1)  # its pause is ten minutes by now
        stage.receiver.script = lambda i: Broken("HTTP 404") if i == "evt_2" else Retry("HTTP 500", for_all=False)
        await stage.record("evt_2", sync_id=2)
        queue.wake()
        await until_quiet()
        await stage.passes(minutes=5)
        assert stage.receiver.take()[-2:] == ["evt_2", "evt_1a"]  # the trial, ten minutes before its next attempt
        stage.receiver.script = lambda _: Delivered()
        await stage.passes(minutes=5)
        assert stage.receiver.take() == ["evt_2", "evt_1a", "evt_1b"]


# --- a database that takes no writes ---


@pytest.mark.sqlite
@pytest.mark.asyncio
@pytest.mark.parametrize("state", [None, ReceiverState("pipeline", broken_since=NOW)], ids=["works", "broken"])
async def test_while_no_outcome_could_be_kept_nothing_is_sent(
    store: Store, monkeypatch: pytest.MonkeyPatch, state: ReceiverState | None
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Delivered()))
    await stage.record("evt_1a", "evt_1b", sync_id=1)
    await stage.record("evt_2", sync_id=2)
    await make_full(store)
    with pytest.raises(StoreUnavailable):
        await store.watching.record(LARGE)
    async with running(stage.queue(state).run()):
        await stage.passes(minutes=10)
        assert stage.receiver.sent == []
        await make_full(store, full=False)
        await store.save_worker("1", NOW, NOW)  # as whoever looks after the database does
        await stage.passes(step=1, seconds=5)
    assert sorted(stage.receiver.sent) == ["evt_1a", "evt_1b", "evt_2"]


@pytest.mark.asyncio
async def test_who_may_not_keep_an_outcome_any_more_by_the_time_of_the_attempt_does_not_begin_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process that stood still between the decision and the attempt, and has lost its place meanwhile."""
    stage = Stage(store, monkeypatch, Scripted(lambda _: Delivered()))
    await stage.record("evt_1", sync_id=1)
    works, read = True, store.delivering.message
    monkeypatch.setattr(DeliveringStore, "works", property(lambda _: works))

    async def read_and_lose(event_id: str, receiver: str = "") -> Message:
        nonlocal works
        message = await read(event_id, receiver)
        works = False
        return message

    monkeypatch.setattr(store.delivering, "message", read_and_lose)
    async with running(stage.queue().run()):
        await stage.passes(minutes=1)
        assert stage.receiver.sent == []
        works = True
        monkeypatch.setattr(store.delivering, "message", read)
        await stage.passes(step=1, seconds=5)
    assert stage.receiver.sent == ["evt_1"]


# --- what may have been sent ---


class Hanging(Scripted):
    """A receiver that takes a message and never answers; it remembers what it was told of earlier attempts."""

    def __init__(self, script: Callable[[str], Outcome | None], *, can_be_asked: bool = True) -> None:
        super().__init__(lambda _: Delivered(), can_be_asked=can_be_asked)
        self.answers = script
        self.told: list[datetime | None] = []

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message.event_id)
        self.told.append(message.maybe_sent_at)
        outcome = self.answers(message.event_id)
        if outcome is None:
            await asyncio.Event().wait()
        assert outcome is not None
        return outcome


@pytest.mark.asyncio
async def test_a_restart_in_mid_send_tells_a_receiver_that_can_be_asked_when_that_attempt_began(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Hanging(lambda _: None)
    stage = Stage(store, monkeypatch, receiver)
    await stage.record("evt_1", sync_id=1)
    async with running(stage.queue().run()):
        await until(lambda: receiver.sent == ["evt_1"])
    stage.clock.advance(minutes=3)
    receiver.answers = lambda _: Delivered()
    async with running(stage.queue().run()):
        await until(lambda: len(receiver.sent) == 2)
        await until_quiet()
    assert receiver.told == [None, NOW]
    assert await store.delivering.pending("pipeline", 0, 9) == []


@pytest.mark.asyncio
async def test_a_receiver_that_can_not_be_asked_costs_no_write_before_a_message(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Hanging(lambda _: None, can_be_asked=False)
    stage = Stage(store, monkeypatch, receiver)
    await stage.record("evt_1", sync_id=1)
    async with running(stage.queue().run()):
        await until(lambda: receiver.sent == ["evt_1"])
    (left,) = await store.delivering.pending("pipeline", 0, 9)
    assert left.maybe_sent_at is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("first", "told"),
    [
        (Retry("no answer in time", maybe_sent=True), NOW),
        (Broken("invalid_auth", maybe_sent=True), NOW),
        (Retry("connection refused"), None),
        (Retry("HTTP 429"), None),
        (Broken("channel_not_found"), None),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_only_an_attempt_whose_end_is_unknown_is_told_to_the_next_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, first: Outcome, told: datetime | None
) -> None:
    outcomes = [first]
    receiver = Hanging(lambda _: outcomes.pop() if outcomes else Delivered())
    stage = Stage(store, monkeypatch, receiver)
    await stage.record("evt_1", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
        (left,) = await store.delivering.pending("pipeline", 0, 9)
        assert left.maybe_sent_at == told
        await stage.passes(minutes=6)
    assert receiver.told == [None, told]
    assert await store.delivering.pending("pipeline", 0, 9) == []


@pytest.mark.asyncio
async def test_the_time_of_the_first_unknown_attempt_lasts_until_the_end_is_known(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = Retry("no answer in time", maybe_sent=True)
    outcomes: list[Outcome] = [Delivered(), unknown, unknown, unknown]
    receiver = Hanging(lambda _: outcomes.pop())
    stage = Stage(store, monkeypatch, receiver)
    await stage.record("evt_1", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
        await stage.passes(minutes=10)
    assert receiver.told == [None, NOW, NOW, NOW]


@pytest.mark.asyncio
async def test_a_senders_note_is_kept_for_the_next_start(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda i: Delivered(note="#a=C1") if i == "evt_1" else Delivered()))
    await stage.record("evt_1", "evt_2", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
    assert (await store.delivering.receivers())["pipeline"].note == "#a=C1"


# --- a pace, and a hold, that receivers share ---


def two_queues(stage: Stage, interval: float) -> tuple[Scripted, Scripted, list[ReceiverQueue]]:
    """Two receivers of one destination, as two receivers with the same token and channel are."""
    turnstile = Turnstile(interval)
    first, second = Scripted(lambda _: Delivered()), Scripted(lambda _: Delivered())
    queues = []
    for name, receiver in (("first", first), ("second", second)):
        receiver.name, receiver.concurrency, receiver.turnstile = name, 1, turnstile
        queues.append(
            ReceiverQueue(receiver, ReceiverState(name), stage.store.delivering, DeliverySettings(), clock=stage.clock)
        )
    return first, second, queues


@pytest.mark.asyncio
async def test_receivers_that_share_a_pace_take_turns_at_one_message_a_second(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Delivered()))
    first, second, queues = two_queues(stage, 1.0)
    for number in range(4):
        event = an_event(f"evt_{number}", "first", "second", sync_id=number, seen_at=NOW)
        await store.watching.record(an_observation(event, sync_id=number))
    async with running(queues[0].run()), running(queues[1].run()):
        await until_quiet()
        assert len(first.sent) + len(second.sent) == 1
        for second_passed in range(1, 8):
            await stage.passes(step=0.25, seconds=1.1)
            assert len(first.sent) + len(second.sent) == 1 + second_passed
            assert abs(len(first.sent) - len(second.sent)) <= 1
    assert first.sent == second.sent == ["evt_0", "evt_1", "evt_2", "evt_3"]


@pytest.mark.asyncio
async def test_a_hold_that_one_receiver_was_given_holds_the_other_of_its_destination(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda _: Delivered()))
    first, second, queues = two_queues(stage, 1.0)
    first.script = lambda _: Retry("HTTP 429", after=timedelta(seconds=30))
    await store.watching.record(an_observation(an_event("evt_1", "first", sync_id=1), sync_id=1))
    async with running(queues[0].run()), running(queues[1].run()):
        await until_quiet()
        assert first.take() == ["evt_1"]
        await store.watching.record(an_observation(an_event("evt_2", "second", sync_id=2), sync_id=2))
        queues[1].wake()
        first.script = lambda _: Delivered()
        await stage.passes(step=1, seconds=29)
        assert first.sent == second.sent == []
        await stage.passes(step=0.5, seconds=4)
        assert (first.sent, second.sent) == (["evt_1"], ["evt_2"])


@pytest.mark.asyncio
async def test_the_pace_counts_from_the_end_of_a_slow_attempt(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = asyncio.Event()

    class Slow(Scripted):
        async def send(self, message: Message) -> Outcome:
            await super().send(message)
            await answered.wait()
            return Delivered()

    receiver = Slow(lambda _: Delivered())
    receiver.concurrency, receiver.turnstile = 1, Turnstile(1.0)
    stage = Stage(store, monkeypatch, receiver)
    await stage.record("evt_1", "evt_2", sync_id=1)
    async with running(stage.queue().run()):
        await until(lambda: receiver.sent == ["evt_1"])
        await stage.loop_clock.advance(0.7)
        answered.set()
        await until_quiet()
        await stage.loop_clock.advance(0.9)
        assert receiver.sent == ["evt_1"]
        await stage.loop_clock.advance(0.2)
        assert receiver.sent == ["evt_1", "evt_2"]


@pytest.mark.asyncio
async def test_after_a_fault_of_ours_in_mid_send_the_next_attempt_looks_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(_: str) -> Outcome:
        if len(receiver.sent) == 1:
            raise RuntimeError("a fault of ours")
        return Delivered()

    receiver = Hanging(answers)
    stage = Stage(store, monkeypatch, receiver)
    await stage.record("evt_1", sync_id=1)
    async with running(stage.queue().run()):
        await until_quiet()
        await stage.passes(minutes=2)
    assert receiver.told == [None, NOW]


@pytest.mark.asyncio
async def test_a_delivery_that_steps_aside_still_knows_that_it_may_have_been_sent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = Retry("no answer in time", maybe_sent=True)

    def answers(event_id: str) -> Outcome | None:
        if event_id == "evt_b1":
            return Delivered()
        return None if stage.clock.now - NOW >= timedelta(minutes=15) else unknown  # the last attempt does not end

    receiver = Hanging(answers)
    stage = Stage(store, monkeypatch, receiver)
    await stage.record("evt_a1", sync_id=1)
    async with running(stage.queue().run()) as _:
        await until_quiet()
        await stage.passes(minutes=5)
    async with running((queue := stage.queue()).run()):
        await stage.record("evt_b1", sync_id=2)
        queue.wake()
        await until_quiet()
        await stage.passes(minutes=11)
        (left,) = await store.delivering.pending("pipeline", 0, 9)
    assert (left.aside, left.maybe_sent_at) == (True, NOW)


@pytest.mark.asyncio
async def test_what_can_not_be_written_down_first_is_not_sent_to_a_receiver_that_can_be_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Hanging(lambda _: Delivered())
    stage = Stage(store, monkeypatch, receiver)
    await stage.record("evt_1", sync_id=1)
    begin, tries = store.delivering.begin_attempt, []

    async def full(delivery_id: int, at: datetime) -> None:
        tries.append(delivery_id)
        if len(tries) < 3:
            raise StoreUnavailable("the disk is full")
        assert receiver.sent == []
        await begin(delivery_id, at)

    monkeypatch.setattr(store.delivering, "begin_attempt", full)
    async with running(stage.queue().run()):
        await until_quiet()
        assert len(tries) == 1
        await stage.passes(step=1, seconds=4)
    assert len(tries) == 3
    assert receiver.told == [None]
    assert await store.delivering.pending("pipeline", 0, 9) == []


# --- one round of `run --once` ---


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [130, 1_200], ids="{0} of each of two syncs".format)
async def test_in_a_round_a_failed_head_leaves_its_followers_however_many_there_are(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """They are read by hundreds: some are only read when the head has failed."""
    heads = {"evt_1_0", "evt_2_0"}
    stage = Stage(store, monkeypatch, Scripted(lambda i: Retry("HTTP 500") if i in heads else Delivered()))
    for sync_id in (1, 2):
        await stage.record(*(f"evt_{sync_id}_{place}" for place in range(number)), sync_id=sync_id)
    await stage.record("evt_3_0", "evt_3_1", sync_id=3)
    await stage.queue(once=True).run()
    assert sorted(stage.receiver.sent) == ["evt_1_0", "evt_2_0", "evt_3_0", "evt_3_1"]
    assert await store.delivering.count_pending() == 2 * number


@pytest.mark.asyncio
async def test_in_a_round_what_stepped_aside_holds_none_back_and_none_holds_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store, monkeypatch, Scripted(lambda i: Retry("HTTP 500") if i == "evt_2" else Delivered()))
    await stage.record("evt_1", "evt_2", "evt_3", sync_id=1)
    change(store.place, "UPDATE deliveries SET aside = TRUE, attempts = 3 WHERE event_id = 'evt_1'")
    await stage.queue(once=True).run()
    assert stage.receiver.sent == ["evt_1", "evt_2"]
