"""A write whose line breaks at each of its statements: what its caller is told is what is in the database."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from faults.line import Line
from notifier.model.errors import SeatLost, StoreUnavailable
from notifier.store.attendance import LEASE
from notifier.store.postgres.fence import MARGIN
from notifier.store.postgres.migration import LOCK
from notifier.store.postgres.replica import REST
from notifier.store.store import Store, open_store
from notifier.watchlist.database import ServerUrl
from tests.integration.store.builders import FULL
from tests.integration.store.postgres.kit import (
    Worker,
    a_sign_of_life,
    change_at,
    holding,
    kept,
    pass_time,
    rows_at,
    settled,
    until,
    workers,
)

ALL_OF_IT = (1, 2, 2, 4)
NOTHING = (0, 0, 0, 0)
STATEMENTS = 8  # more than one such write has


def counts(url: str) -> tuple[int, ...]:
    return tuple(
        rows_at(
            url,
            "SELECT (SELECT count(*) FROM syncs), (SELECT count(*) FROM snapshots), (SELECT count(*) FROM events), "
            "(SELECT count(*) FROM deliveries)",
        )[0]
    )


def at_statement(store: Store, number: int, act: Callable[[], Any]) -> list[str]:
    """Acts once before that statement of the next write; returns those that came, as they come."""
    came: list[str] = []
    thread: Any = store._writer.thread

    @event.listens_for(thread._engine, "before_cursor_execute")
    def _before(_: Any, __: Any, statement: str, *___: Any) -> None:
        came.append(statement)
        if len(came) == number + 1:
            act()

    return came


@pytest.mark.slow
@pytest.mark.parametrize("number", range(STATEMENTS))
@pytest.mark.asyncio
async def test_a_line_that_breaks_at_a_statement_leaves_all_or_nothing_of_the_write_and_it_is_told_which(
    far_url: str, line: Line, url: str, number: int
) -> None:
    """The reset may overtake the last statement or its COMMIT, or not."""
    async with open_store(ServerUrl(far_url)) as store:
        await settled(store)  # nothing else is written just then
        at_statement(store, number, line.close)
        try:
            await store.watching.record(FULL)
        except StoreUnavailable:
            assert counts(url) == NOTHING
            await store.watching.record(FULL)
        assert counts(url) == ALL_OF_IT
        assert not store.seat.is_lost


@pytest.mark.slow
@pytest.mark.parametrize("number", range(STATEMENTS))
@pytest.mark.asyncio
async def test_a_worker_that_is_expelled_writes_all_or_nothing_and_is_told_which(url: str, number: int) -> None:
    """Before the fence nothing of it is written; after it, who expels waits for the write's end."""
    async with open_store(ServerUrl(url)) as store:
        await settled(store)  # nothing else is written just then
        loop = asyncio.get_running_loop()
        expelling: list[asyncio.Future[int]] = []
        is_over = False

        def expel() -> None:
            if is_over:  # the statement is one of a later write, after which somebody lives again
                return
            expelling.append(loop.run_in_executor(None, change_at, url, "DELETE FROM replicas"))
            if number == 0:  # it waits for nobody
                while rows_at(url, "SELECT FROM replicas"):
                    pass

        at_statement(store, number, expel)
        try:
            await store.watching.record(FULL)
        except SeatLost:
            assert number == 0
            assert counts(url) == NOTHING
        else:
            assert number > 0
            assert counts(url) == ALL_OF_IT
        is_over = True
        if expelling:
            await expelling[0]
        else:
            change_at(url, "DELETE FROM replicas")
        with pytest.raises(SeatLost):
            await store.watching.record(FULL)
        store.seat.anew()
        await until(lambda: store.seat.life)
        await store._writer.write(a_sign_of_life("anew"))
        assert kept(url) == "anew"


@pytest.mark.asyncio
async def test_a_slow_line_changes_no_outcome(far_url: str, line: Line, url: str) -> None:
    async with open_store(ServerUrl(far_url)) as store:
        await store.seat.until(trusted=True)
        line.delay(0.05)
        await store.watching.record(FULL)
        assert counts(url) == ALL_OF_IT
        line.delay(0)


# --- who works ---


async def both(url: str, first: Worker, second: Worker) -> None:
    await first.look()
    await second.look()
    assert rows_at(url, "SELECT owner FROM parts") == [(first.id,)]


def owner(url: str) -> Any:
    return rows_at(url, "SELECT owner FROM parts")[0][0]


@pytest.mark.asyncio
async def test_only_one_holds_the_work_and_not_at_once(url: str) -> None:
    async with workers(url, "a", "b") as [first, second]:
        await both(url, first, second)
        assert not first.seat.parts
        await pass_time(REST, first, second)
        assert (bool(first.seat.parts), bool(second.seat.parts)) == (True, False)


@pytest.mark.asyncio
async def test_who_is_silent_for_a_lease_is_replaced_and_not_before(url: str) -> None:
    async with workers(url, "a", "b") as [first, second]:
        await both(url, first, second)
        lost = first.id
        await pass_time(LEASE - 0.5, second)
        assert owner(url) == lost
        await pass_time(1.0, second)
        assert owner(url) == second.id
        assert not first.seat.trusted
        with pytest.raises(SeatLost):
            await first.write("old")
        assert kept(url) is None


@pytest.mark.asyncio
async def test_who_was_frozen_accuses_nobody(url: str) -> None:
    async with workers(url, "a", "b") as [first, second]:
        await both(url, first, second)
        for _ in range(5):
            first.clock.now += 5 * LEASE  # nobody looks meanwhile
            await second.look()
            await first.look()
        assert owner(url) == first.id
        await first.write("mine")
        assert kept(url) == "mine"


@pytest.mark.asyncio
async def test_trust_ends_a_margin_before_the_lease_from_the_beginning_of_the_last_write(url: str) -> None:
    async with workers(url, "a") as [worker]:
        await worker.look()
        await pass_time(2.0, worker)
        begun = worker.clock.now
        execute = worker.seat._fence.write

        def slow(work: Any, life: object, connection: Any) -> None:
            def worked(connection: Any) -> None:
                worker.clock.now += 5.0
                work(connection)

            execute(worked, life, connection)

        worker.seat._fence.write = slow  # type: ignore[method-assign,assignment]
        await worker.write("slow")
        worker.clock.now = begun + LEASE - MARGIN - 0.01
        assert worker.seat.parts
        worker.clock.now = begun + LEASE - MARGIN
        assert not worker.seat.trusted
        assert not worker.seat.parts


@pytest.mark.asyncio
async def test_a_database_that_was_away_for_longer_than_a_lease_finds_the_same_life(url: str) -> None:
    async with workers(url, "a", "b") as [first, second]:
        await both(url, first, second)
        await pass_time(2.0, first, second)
        life = first.id
        first.clock.now += 10 * LEASE  # no look of either came through
        assert not first.seat.parts
        await second.look()
        await first.look()
        assert first.seat.parts
        assert (first.id, owner(url)) == (life, life)


@pytest.mark.asyncio
async def test_a_database_that_went_back_in_time_is_noticed_by_the_next_write_and_by_the_next_beat(url: str) -> None:
    async with workers(url, "a") as [worker]:
        await worker.look()
        await worker.write("one")
        await worker.write("two")
        change_at(url, "UPDATE replicas SET written = written - 1")
        with pytest.raises(SeatLost):
            await worker.write("three")
        assert kept(url) == "two"
        worker.seat.anew()
        await worker.look()
        await worker.write("anew")
        change_at(url, "UPDATE replicas SET written = 0")
        worker.clock.now += 3.0
        await worker.look()
        assert worker.seat.is_lost
        worker.seat.anew()
        await pass_time(LEASE + 1.0, worker)
        assert owner(url) == worker.id
        assert len(rows_at(url, "SELECT FROM replicas")) == 1


@pytest.mark.asyncio
async def test_two_that_take_a_dead_ones_place_at_once_end_nothing_of_each_other(url: str) -> None:
    """Who deletes the row of one that is dead holds it, as a frozen one does that is to be ended."""
    async with workers(url, "a", "b") as [dead, other]:
        await dead.look()
        await other.look()
        taking = "WITH mine AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(%s)) DELETE FROM replicas USING mine "
        with holding(url, taking + "WHERE replicas.id = %s", LOCK + 1, dead.id) as another:
            await pass_time(LEASE + 1, other)
            assert owner(url) == dead.id
            another.execute("SELECT 1")  # it was not ended
            another.commit()
        await other.look()
        assert owner(url) == other.id
