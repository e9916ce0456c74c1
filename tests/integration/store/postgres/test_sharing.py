"""Several workers at one server share the parts of the work: who claims, gives, drops what, and by whose watchlist."""

import asyncio
from typing import Any

import pytest

from notifier.model.errors import AlreadyRunning, SeatLost
from notifier.model.part import UPKEEP
from notifier.store.attendance import LEASE
from notifier.store.postgres.replica import REST
from tests.integration.store.postgres.kit import Worker, change_at, pass_time, rows_at, workers

ONE = (UPKEEP, "slack", "workspace:a", "workspace:b", "webhook:x", "webhook:y")


def owners(url: str) -> dict[str, str | None]:
    """By part, the name of who has it."""
    return dict(rows_at(url, "SELECT parts.name, replicas.name FROM parts LEFT JOIN replicas ON owner = replicas.id"))


def want(watchlist: str, *those: Worker, parts: tuple[str, ...] = ONE) -> None:
    for each in those:
        each.seat.wants(parts, watchlist)


async def give_all_that_leaves(*those: Worker) -> None:
    """As the service does, which has nothing under way."""
    for each in those:
        await each.seat.give(each.seat.leaving, each.writing)


async def agree(*those: Worker) -> None:
    """Until nothing moves any more and all has rested."""
    for _ in range(4):
        await pass_time(REST, *those)
        await give_all_that_leaves(*those)
    assert not any(each.seat.leaving for each in those)


@pytest.mark.asyncio
async def test_the_watchlist_of_one_who_is_gone_keeps_nobody_from_working(url: str) -> None:
    """Who loaded the last one may never come back; nothing is forgotten of it while it was in force alone."""
    async with workers(url, "a", "b", "c") as [a, b, c]:
        want("old", a, b)
        await agree(a, b)
        want("new", c, parts=(UPKEEP, "workspace:n"))
        await agree(a, b, c)
        assert owners(url)["workspace:n"] == "c"
        assert not a.seat.parts | b.seat.parts
        await c.seat.leave(c.writing)
        await agree(a, b)
        assert a.seat.parts | b.seat.parts == set(ONE)


@pytest.mark.asyncio
async def test_a_round_that_must_be_alone_takes_nothing_from_the_living_and_puts_nothing_in_force(url: str) -> None:
    async with workers(url, "a", "once") as [a, once]:
        want("old", a)
        await agree(a)
        once.seat.wants((), "")
        taking = asyncio.create_task(once.seat.take_alone((UPKEEP, "workspace:n"), "new"))
        before = owners(url)
        await agree(a, once)
        with pytest.raises(AlreadyRunning, match=r"\ba\b"):
            await taking
        assert owners(url) == before
        assert rows_at(url, "SELECT watchlist FROM in_force") == [("old",)]


@pytest.mark.asyncio
async def test_who_ends_before_its_watchlist_was_in_force_puts_none_in_force(url: str) -> None:
    async with workers(url, "a", "b") as [a, b]:
        want("old", a)
        await agree(a)
        want("new", b)
        want("", b, parts=())  # told to stop at once
        await agree(a, b)
        assert rows_at(url, "SELECT watchlist FROM in_force") == [("old",)]
        assert a.seat.parts == set(ONE)


@pytest.mark.asyncio
async def test_a_look_that_was_begun_before_a_part_was_given_does_not_bring_it_back(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a look that comes late, as over a slow line, it would be worked at though it is another's."""
    async with workers(url, "a", "b") as [a, b]:
        want("w", a)
        await agree(a)
        want("w", b)
        await pass_time(REST, a, b)
        [part, *_] = sorted(a.seat.leaving)
        seen, goes_on = asyncio.Event(), asyncio.Event()
        look = a.looking.run

        async def late(work: Any) -> Any:
            roll = await look(work)
            seen.set()
            await goes_on.wait()
            return roll

        monkeypatch.setattr(a.looking, "run", late)
        looking = asyncio.create_task(a.look())
        await seen.wait()
        await a.seat.give([part], a.writing)
        monkeypatch.setattr(a.seat, "_look", lambda *_: asyncio.sleep(0, False))  # no other look comes after it
        goes_on.set()
        await looking
        assert part not in a.seat.leaving | a.seat.parts


@pytest.mark.asyncio
async def test_each_claims_what_is_planned_for_it_and_gives_what_is_planned_for_one_that_comes(url: str) -> None:
    async with workers(url, "a", "b") as [a, b]:
        want("w", a)
        await agree(a)
        assert a.seat.parts == set(ONE)
        want("w", b)
        await b.look()
        await a.look()
        assert not b.seat.parts  # what it is to have is still another's
        assert len(a.seat.parts) == len(a.seat.leaving) == 3
        given = a.seat.leaving
        await give_all_that_leaves(a)
        await b.look()
        assert not b.seat.parts  # it rests first
        await pass_time(REST, a, b)
        assert b.seat.parts == given
        assert a.seat.parts == set(ONE) - given
        assert (a.seat.elsewhere, b.seat.elsewhere) == (b.seat.parts, a.seat.parts)


@pytest.mark.asyncio
async def test_who_goes_by_another_watchlist_gives_all_and_what_is_no_more_goes_once_all_agree(url: str) -> None:
    async with workers(url, "a", "b") as [a, b]:
        want("old", a, b)
        await agree(a, b)
        fewer = ONE[:-1]
        want("new", b, parts=fewer)
        await agree(a, b)
        assert not a.seat.parts
        assert b.seat.parts == set(fewer)
        assert [each.seat.is_unanimous for each in (a, b)] == [False, False]
        assert owners(url)[ONE[-1]] is None
        want("new", a, parts=fewer)
        await agree(a, b)
        assert [each.seat.is_unanimous for each in (a, b)] == [True, True]
        assert owners(url).keys() == set(fewer)
        assert a.seat.parts | b.seat.parts == set(fewer)


@pytest.mark.asyncio
async def test_of_two_watchlists_that_are_loaded_at_once_one_is_in_force_and_its_worker_has_all(url: str) -> None:
    async with workers(url, "a", "b") as [a, b]:
        want("one", a)
        want("two", b)
        await asyncio.gather(a.look(), b.look())
        await agree(a, b)
        first, second = (a, b) if rows_at(url, "SELECT watchlist FROM in_force") == [("one",)] else (b, a)
        assert first.seat.parts == set(ONE)
        assert not second.seat.parts


@pytest.mark.asyncio
async def test_who_is_expelled_while_it_gives_gives_nothing_of_another_s(url: str) -> None:
    async with workers(url, "a", "b") as [a, b]:
        want("w", a, b)
        await agree(a, b)
        mine = a.seat.parts
        change_at(url, "DELETE FROM replicas WHERE name = 'a'")
        await b.look()
        with pytest.raises(SeatLost):
            await a.seat.give(mine, a.writing)
        assert set(owners(url).values()) == {"b"}
        assert a.seat.is_lost


@pytest.mark.asyncio
async def test_parts_of_one_that_is_dead_are_the_others_after_a_lease(url: str) -> None:
    async with workers(url, "a", "b", "c") as [a, b, c]:
        want("w", a, b, c)
        await agree(a, b, c)
        await pass_time(LEASE + 1, a, b)
        await agree(a, b)
        assert (len(a.seat.parts), len(b.seat.parts)) == (3, 3)


@pytest.mark.asyncio
async def test_a_look_while_a_part_is_given_does_not_bring_it_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers(url, "a", "b") as [a, b]:
        want("w", a)
        await agree(a)
        want("w", b)
        await pass_time(REST, a, b)
        leaving, write = a.seat.leaving, a.writing.run

        async def late(work: Any) -> None:
            monkeypatch.setattr(a.writing, "run", write)
            await a.look()
            await write(work)

        monkeypatch.setattr(a.writing, "run", late)
        await a.seat.give(leaving, a.writing)
        assert not a.seat.leaving


@pytest.mark.asyncio
async def test_a_watchlist_in_force_that_somebody_took_out_of_the_table_is_there_again(url: str) -> None:
    async with workers(url, "a") as [a]:
        want("w", a)
        await agree(a)
        change_at(url, "DELETE FROM in_force")
        await agree(a)
        assert rows_at(url, "SELECT watchlist FROM in_force") == [("w",)]
        assert a.seat.parts == set(ONE)


@pytest.mark.asyncio
async def test_what_a_new_watchlist_lacks_is_worked_at_no_more_at_once_and_all_agree_once_it_is_given(url: str) -> None:
    async with workers(url, "a", "b") as [a, b]:
        want("old", a, b)
        await agree(a, b)
        fewer = [part for part in ONE if part not in a.seat.parts]
        want("new", a, b, parts=tuple(fewer))
        assert not a.seat.parts
        for _ in range(2):
            await a.look()
            await b.look()
        assert a.seat.leaving
        assert [each.seat.is_unanimous for each in (a, b)] == [False, False]
        await agree(a, b)
        assert [each.seat.is_unanimous for each in (a, b)] == [True, True]
