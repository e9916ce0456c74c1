"""Several workers at one server share the parts of the work: who claims, gives, drops what, and by whose watchlist."""

import asyncio

import pytest

from notifier.model.errors import AlreadyRunning
from notifier.model.part import UPKEEP
from notifier.store.postgres.replica import REST
from tests.integration.store.postgres.kit import Worker, pass_time, rows_at, workers

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
