"""Whatever a receiver answers, however its clock jumps, and whoever reads, restarts or makes a round in between: each
message arrives once, in the order of its sync, and none is lost.

Hypothesis makes up the steps; a model that knows nothing of lanes and of the wall clock says what must hold.
"""

import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, TypeAlias

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, event, example, given, settings
from hypothesis import strategies as st

from notifier.delivering import queue as receiver_queue
from notifier.delivering.queue import ReceiverQueue
from notifier.delivering.retry import STEPS_ASIDE_AFTER
from notifier.model.delivery import Broken, Delivered, DeliveryState, Outcome, ReceiverState, Refused, Retry
from notifier.store.store import Store
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from tests.integration.delivering.test_queue import Scripted, Stage, until_quiet
from tests.integration.store.builders import NOW
from tests.integration.watching.kit import running

pytestmark = pytest.mark.standing_clock

SYNCS: Final = 3
READ_AT_ONCE: Final = 2
Word: TypeAlias = Literal["takes", "fails", "refuses", "is broken"]
ANSWERS: dict[Word, Outcome] = {
    "takes": Delivered(),
    "fails": Retry("HTTP 500"),
    "refuses": Refused("HTTP 400"),
    "is broken": Broken("HTTP 404"),
}


@pytest_asyncio.fixture
async def stage(store: Store, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(receiver_queue, "LOAD_AT_ONCE", READ_AT_ONCE)
    return Stage(store, monkeypatch, Scripted(lambda _: Delivered()))


# --- what may happen ---


@dataclass(frozen=True, slots=True)
class Record:
    sync: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """From now on, to all messages of a sync."""

    sync: int
    word: Word


@dataclass(frozen=True, slots=True)
class Jump:
    """The wall clock alone."""

    hours: int


@dataclass(frozen=True, slots=True)
class Wait:
    minutes: int


@dataclass(frozen=True, slots=True)
class Reload:
    """Another process wrote."""


@dataclass(frozen=True, slots=True)
class Restart:
    pass


@dataclass(frozen=True, slots=True)
class Round:
    """The worker is stopped, `run --once` has its turn, and the worker begins again."""


Step: TypeAlias = Record | Answer | Jump | Wait | Reload | Restart | Round
SYNC = st.integers(0, SYNCS - 1)
STEPS = st.lists(
    st.one_of(
        st.builds(Record, SYNC, st.sampled_from([1, 2, 25])),
        st.builds(Answer, SYNC, st.sampled_from([*ANSWERS, "fails"])),
        st.builds(Jump, st.sampled_from([-96, -24, 24, 96])),
        st.builds(Wait, st.sampled_from([1, 6, 20])),
        st.sampled_from([Reload(), Restart(), Round()]),
    ),
    min_size=4,
    max_size=16,
)


# --- the model ---


@dataclass(slots=True)
class Told:
    """One event: its place among its sync's, and what became of it."""

    sync: int
    number: int
    tried: bool = False
    finished: bool = False
    failed_at: float | None = None
    """When its first attempt failed, by a clock that does not jump."""
    is_doubtful: bool = False
    """A process that began after a jump can't know how long it has failed."""


@dataclass(slots=True)
class Model:
    told: dict[str, Told] = field(default_factory=dict)
    answers: dict[int, Word] = field(default_factory=lambda: dict.fromkeys(range(SYNCS), "takes"))
    round_tried: set[int] | None = None
    """In a round: the syncs of which a message failed."""
    accepted_at: float = 0.0
    was_broken: bool = False
    wrong: list[str] = field(default_factory=list)
    """What must not be. It is raised by the test: the queue takes what its receiver raises for a fault, and goes on."""

    def answer(self, event_id: str, now: float) -> Outcome:
        """Judges that this message is sent now, and answers."""
        it = self.told[event_id]
        self.wrong.extend(self._faults(it, now))
        outcome = ANSWERS[self.answers[it.sync]]
        it.finished = isinstance(outcome, Delivered | Refused)
        it.tried = True
        self.was_broken = self.was_broken or isinstance(outcome, Broken)
        if isinstance(outcome, Delivered):
            self.accepted_at = now
        if isinstance(outcome, Retry) and it.failed_at is None:
            it.failed_at = now
        if self.round_tried is not None and not it.finished:
            self.round_tried.add(it.sync)
        return outcome

    def _faults(self, it: Told, now: float) -> Iterator[str]:
        if it.finished:
            yield f"{it.number} was sent again"
        for elder in (e for e in self.told.values() if e.sync == it.sync and e.number < it.number and not e.finished):
            if elder.failed_at is None:
                yield f"{it.number} overtook {elder.number} before that was tried"
            elif now - elder.failed_at < STEPS_ASIDE_AFTER.total_seconds() and not elder.is_doubtful:
                yield f"{it.number} overtook {elder.number}, which had failed for {now - elder.failed_at} s"
        if it.failed_at is None and it.sync in (self.round_tried or ()):
            yield f"{it.number} was tried in a round in which one before it had failed"

    def held_back(self, now: float) -> Iterator[str]:
        """Behind what has failed for a quarter of an hour while others were accepted, nothing waits."""
        for sync in range(SYNCS):
            left = [each for each in self.told.values() if each.sync == sync and not each.finished]
            elder = list(itertools.takewhile(lambda each: each.tried, left))
            if elder != left and not self.was_broken and all(self._may_be_passed(each, now) for each in elder):
                yield f"{left[len(elder)].number} was not let by"

    def _may_be_passed(self, it: Told, now: float) -> bool:
        if it.failed_at is None or it.is_doubtful or not it.failed_at < self.accepted_at < now - 60:
            return False
        return now - it.failed_at > STEPS_ASIDE_AFTER.total_seconds() + 60

    def began_anew(self) -> None:
        for each in self.told.values():
            each.is_doubtful = each.failed_at is not None


class Play:
    """One receiver of its own over the store and the clocks that all share."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name
        self.model = Model()
        self.receiver = Scripted(lambda i: self.model.answer(i, stage.loop_clock.now))
        self.receiver.name = name
        stage.receiver = self.receiver
        self.numbers = itertools.count()
        self.worker = AsyncExitStack()
        self.queue: ReceiverQueue

    async def start(self) -> None:
        state = (await self.stage.store.delivering.receivers()).get(self.name)
        self.queue = self.stage.queue(state or ReceiverState(self.name))
        await self.worker.enter_async_context(running(self.queue.run()))
        await until_quiet()

    async def take(self, step: Step) -> None:
        match step:
            case Record(sync, count):
                numbers = [next(self.numbers) for _ in range(count)]
                ids = {f"evt_{self.name}_{number}": Told(sync, number) for number in numbers}
                self.model.told |= ids
                await self.stage.record(*ids, sync_id=sync + 1, receiver=self.name)
                self.queue.wake()
            case Answer(sync, word):
                self.model.answers[sync] = word
            case Jump(hours):
                self.stage.clock.advance(hours=hours)
            case Wait(minutes):
                await self.stage.passes(step=30, minutes=minutes)
                self.model.wrong.extend(self.model.held_back(self.stage.loop_clock.now))
            case Reload():
                self.queue.reload(None)
            case Restart():
                await self.worker.aclose()
                self.model.began_anew()
                await self.start()
            case Round():
                await self.worker.aclose()
                await self.round()
                self.model.began_anew()
                await self.start()
        await until_quiet()
        assert self.model.wrong == []

    async def round(self) -> None:
        state = (await self.stage.store.delivering.receivers()).get(self.name)
        queue = self.stage.queue(state or ReceiverState(self.name), once=True)
        self.model.round_tried = set()
        await queue.run()
        self.model.round_tried = None
        event(f"a round left {min(len(await self.stage.store.delivering.pending(self.name, 0, 30)), 3)}")
        dead = read_deliveries(
            self.stage.store.place, DeliveryFilter(state=DeliveryState.DEAD, receiver=self.name), None
        )
        for each in dead:  # a round knows no other clock than the wall's
            self.model.told[each.event_id].finished = True

    async def end(self) -> None:
        """With a receiver that takes all, everything arrives within an hour and a bit, and nothing has died."""
        self.model.answers = dict.fromkeys(range(SYNCS), "takes")
        await self.stage.passes(step=120, minutes=76)
        await self.worker.aclose()
        assert await self.stage.store.delivering.pending(self.name, 0, 9) == []
        assert all(each.finished for each in self.model.told.values())
        assert self.model.wrong == []


EXAMPLES = itertools.count(1)


@example([Record(0, 2), Answer(0, "fails"), Record(0), Jump(96), Wait(20), Restart(), Wait(6)])
@example([Answer(0, "fails"), Record(0, 2), Wait(1), Jump(-24), Record(1), Wait(20)])
@example([Jump(-96), Answer(1, "fails"), Record(1), Jump(96), Wait(20), Reload(), Wait(6)])
@example([Answer(0, "fails"), Record(0, 2), Wait(1), Record(1), Jump(24), Wait(6)])
@example([Answer(0, "fails"), Record(0, 2), Wait(1), Jump(-96), Restart()])
@example([Answer(0, "fails"), Answer(1, "fails"), Record(0, 25), Record(1, 25), Round()])
@example([Answer(0, "is broken"), Record(0, 2), Record(1, 2), Wait(20), Answer(0, "fails"), Round(), Wait(20)])
@given(STEPS)
@settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes longer than a test may
    derandomize=True,
    database=None,
    deadline=None,
    # The database and the clocks are shared by all examples on purpose: each has a receiver of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.slow
@pytest.mark.asyncio
async def test_each_message_arrives_once_in_its_order_whatever_clocks_and_processes_do(
    stage: Stage, steps: list[Step]
) -> None:
    stage.clock.now = NOW + timedelta(seconds=stage.loop_clock.now)
    play = Play(stage, f"receiver_{next(EXAMPLES)}")
    await play.start()
    try:
        for step in steps:
            await play.take(step)
        await play.end()
    finally:
        await play.worker.aclose()
