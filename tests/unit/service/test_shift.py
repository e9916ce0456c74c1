"""What a worker works at follows its seat: each part is taken once, and given when nothing is done for it any more."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from notifier.model.errors import DatabaseUnusable, StoreUnavailable
from notifier.model.part import UPKEEP
from notifier.service import shift
from notifier.service.shift import Shift
from notifier.service.worker import Worker

A, HOOK = "workspace:a", "webhook:hook"


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0)


async def a_while() -> None:
    """Many turns of the loop: what would happen at once has happened."""
    for _ in range(50):
        await asyncio.sleep(0)


class Seat:
    """Has what the test says."""

    is_shared = True
    is_unanimous = False
    trusted = True

    def __init__(self) -> None:
        self.parts: frozenset[str] = frozenset()
        self.leaving: frozenset[str] = frozenset()
        self.looks = asyncio.Event()
        self.looks.set()

    def has(self, *parts: str) -> None:
        self.parts, self.leaving = frozenset(parts), self.leaving - set(parts)

    def loses(self, *parts: str) -> None:
        """They are planned for another."""
        self.parts, self.leaving = self.parts - set(parts), self.leaving | set(parts)

    async def changed(self, parts: frozenset[str], leaving: frozenset[str]) -> None:
        while not self.looks.is_set() or (self.parts, self.leaving) == (parts, leaving):
            await asyncio.sleep(0)


class Work:
    """A worker that says what it does, in its store and deliverer too; each step waits where the test holds it."""

    def __init__(self) -> None:
        self.seat = Seat()
        self.done: list[str] = []
        self.taken: set[str] = set()
        self.receivers = {HOOK: ("hook",)}
        self.held: dict[str, asyncio.Event] = {}
        self.failing: dict[str, list[Exception]] = {}
        self.pickups: dict[str, Any] = {}
        self.is_tidy = False
        self.is_shared = False  # the lists of syncs
        self.store = self.deliverer = self.liveness = self
        self.watching = self
        self.watchlist = self.resources = SimpleNamespace(workspaces={}, warned={})

    def __getitem__(self, workspace: str) -> "Watcher":
        return Watcher(self, workspace)

    async def _step(self, name: str) -> None:
        if errors := self.failing.get(name):
            raise errors.pop()
        if name in self.held:
            await self.held[name].wait()
        self.done.append(name)

    async def take(self, part: str) -> None:
        await self._step(f"take {part}")
        self.taken.add(part)

    async def let_go(self, part: str) -> None:
        self.taken.discard(part)
        await self._step(f"let go {part}")

    async def attempts_over(self, part: str) -> None:
        await self._step(f"over {part}")

    async def give(self, parts: list[str]) -> None:
        for part in parts:
            await self._step(f"give {part}")
            self.seat.leaving -= {part}
            self.seat.parts -= {part}

    async def try_it(self) -> None:
        await self._step("flush")

    def wake_all(self) -> None:
        self.done.append("wake")

    async def send_heartbeats(self) -> None:
        await self._step("heartbeats")

    async def tidy(self) -> None:
        await self._step("tidy")
        self.is_tidy = True

    def hold(self, step: str) -> asyncio.Event:
        self.held[step] = asyncio.Event()
        return self.held[step]

    def take_done(self) -> list[str]:
        done, self.done = self.done, []
        return done


class Watcher:
    def __init__(self, work: Work, workspace: str) -> None:
        self.work, self.workspace = work, workspace

    async def run(self) -> None:
        await self.work._step(f"watch {self.workspace}")
        try:
            await asyncio.Event().wait()
        finally:
            self.work.done.append(f"end {self.workspace}")


@asynccontextmanager
async def on_shift(work: Work) -> AsyncIterator["asyncio.Task[None]"]:
    running = asyncio.create_task(Shift(cast(Worker, work)).run())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "STORE_PATIENCE", 0.0)
    monkeypatch.setattr(shift, "GLANCE", 0.0)


TAKEN = ["take workspace:a", "watch a"]
GIVEN = ["end a", "let go workspace:a", "over workspace:a", "give workspace:a", "wake"]


@pytest.mark.asyncio
async def test_a_part_is_taken_when_it_is_ours_and_given_when_it_is_planned_for_another() -> None:
    work = Work()
    async with on_shift(work):
        work.seat.has(A)
        await until(lambda: work.done == TAKEN)
        work.seat.loses(A)
        await until(lambda: work.done == TAKEN + GIVEN)
        await a_while()
        assert work.take_done() == TAKEN + GIVEN
        work.seat.has(A)
        await until(lambda: work.done == TAKEN)
        assert work.taken == {A}


@pytest.mark.asyncio
async def test_what_was_taken_before_the_shift_is_worked_at_and_not_taken_again() -> None:
    work = Work()
    work.taken = {A}
    work.seat.has(A)
    async with on_shift(work):
        await until(lambda: work.done == ["watch a"])
        await a_while()
        assert work.done == ["watch a"]


@pytest.mark.asyncio
async def test_a_part_that_can_not_be_taken_now_is_taken_later_and_delays_no_other() -> None:
    work = Work()
    work.failing["take workspace:a"] = [StoreUnavailable("the line broke") for _ in range(3)]
    free = work.hold("take workspace:b")
    async with on_shift(work):
        work.seat.has(A, "workspace:b")
        await until(lambda: "watch a" in work.done)
        assert work.taken == {A}
        free.set()
        await until(lambda: "watch b" in work.done)


@pytest.mark.asyncio
async def test_a_part_that_never_could_be_taken_is_given_all_the_same() -> None:
    work = Work()
    errors = work.failing["take workspace:a"] = [StoreUnavailable("the line broke")] * 1_000_000
    async with on_shift(work):
        work.seat.has(A)
        await until(lambda: len(errors) < 1_000_000)
        work.seat.loses(A)
        await until(lambda: work.done == ["over workspace:a", "give workspace:a", "wake"])


@pytest.mark.asyncio
async def test_what_is_planned_for_another_before_it_has_rested_is_given_at_once() -> None:
    work = Work()
    async with on_shift(work):
        work.seat.loses(A)
        await until(lambda: work.done == ["over workspace:a", "give workspace:a", "wake"])
        await a_while()
        assert len(work.take_done()) == 3
        work.seat.loses(A)  # a look that was begun before may show it once more
        await until(lambda: work.done == ["over workspace:a", "give workspace:a", "wake"])


@pytest.mark.asyncio
async def test_what_is_worked_at_goes_on_when_more_comes_and_ends_when_it_goes() -> None:
    work = Work()
    async with on_shift(work):
        work.seat.has(A)
        await until(lambda: work.done == TAKEN)
        work.seat.has(A, "workspace:b")
        both = [*TAKEN, "take workspace:b", "watch b"]
        await until(lambda: work.done == both)
        work.seat.loses(A)
        await until(lambda: work.done == both + GIVEN)


@pytest.mark.asyncio
async def test_who_can_not_give_now_gives_later() -> None:
    work = Work()
    work.failing["give workspace:a"] = [StoreUnavailable("the line broke") for _ in range(3)]
    async with on_shift(work):
        work.seat.has(A)
        await until(lambda: work.done == TAKEN)
        work.seat.loses(A)
        await until(lambda: work.done == TAKEN + GIVEN)


@pytest.mark.asyncio
async def test_a_part_that_is_planned_away_and_back_before_its_end_is_kept_and_taken_anew() -> None:
    """What its watcher had begun to keep is kept before the next one reads it, and told to who delivers."""
    work = Work()
    ending = work.hold("let go workspace:a")
    async with on_shift(work):
        work.seat.has(A)
        await until(lambda: work.done == TAKEN)
        work.seat.loses(A)
        await until(lambda: not work.taken)
        work.seat.has(A)
        await a_while()
        ending.set()
        kept = ["end a", "let go workspace:a", "over workspace:a", "flush", "wake"]
        await until(lambda: len(work.done) >= len(TAKEN + kept + TAKEN))
        assert work.done == TAKEN + kept + TAKEN


@pytest.mark.asyncio
async def test_a_part_that_is_planned_back_while_it_is_given_is_not_taken_before_it_is_ours_again() -> None:
    work = Work()
    giving = work.hold("give workspace:a")
    async with on_shift(work):
        work.seat.has(A)
        await until(lambda: work.done == TAKEN)
        work.seat.loses(A)
        await until(lambda: "over workspace:a" in work.done)
        work.seat.has(A)
        await a_while()
        work.seat.looks.clear()
        giving.set()
        await until(lambda: work.done[-1] == "wake")
        del work.held["give workspace:a"]
        await a_while()
        assert work.done.count("take workspace:a") == 1
        assert not work.taken
        work.seat.looks.set()
        await a_while()
        work.seat.has(A)
        await until(lambda: work.done[-2:] == TAKEN)


@pytest.mark.asyncio
async def test_a_part_that_delivers_is_given_when_its_attempts_are_over() -> None:
    work = Work()
    attempt = work.hold(f"over {HOOK}")
    async with on_shift(work):
        work.seat.has(HOOK)
        await until(lambda: HOOK in work.taken)
        work.seat.loses(HOOK)
        await until(lambda: f"let go {HOOK}" in work.done)
        await a_while()
        assert f"give {HOOK}" not in work.done
        attempt.set()
        await until(lambda: f"give {HOOK}" in work.done)


@pytest.mark.asyncio
@pytest.mark.parametrize("step", ["take workspace:a", "watch a", "let go workspace:a", "give workspace:a"])
async def test_an_error_that_is_for_good_ends_all(step: str) -> None:
    work = Work()
    work.failing[step] = [DatabaseUnusable("the table is gone")]
    async with on_shift(work) as running:
        work.seat.has(A, "workspace:b")
        await until(lambda: "watch b" in work.done)
        work.seat.loses(A)
        await until(running.done)
        assert running.exception() is not None
        assert "end b" in work.done


@pytest.mark.asyncio
async def test_what_the_watchlist_no_longer_names_is_forgotten_only_while_all_agree() -> None:
    """Also where the database was away in between: they may have come to differ meanwhile."""
    work = Work()
    work.seat.is_unanimous = True

    class Differ(list[Exception]):
        def pop(self, *_: Any) -> Exception:
            work.seat.is_unanimous = False
            return super().pop()

    work.failing["tidy"] = Differ([StoreUnavailable("the line broke")])
    async with on_shift(work) as running:
        work.seat.has(UPKEEP)
        await until(lambda: not work.seat.is_unanimous)
        await a_while()
        assert not running.done()
        assert work.done == [f"take {UPKEEP}", "heartbeats"]


@pytest.mark.asyncio
async def test_once_they_agree_it_is_forgotten_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "TIDY_EVERY", timedelta(0))
    work = Work()
    async with on_shift(work):
        work.seat.has(UPKEEP)
        await until(lambda: "heartbeats" in work.done)
        await a_while()
        assert "tidy" not in work.done
        work.seat.is_unanimous = True
        await until(lambda: work.is_tidy)
        await a_while()
        assert work.done.count("tidy") == 1
