"""A newer version takes over: what comes between two of its steps, and who comes then."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from notifier.model.errors import AlreadyRunning, AnothersVersion, DatabaseUnusable, SeatLost, StoreUnavailable
from notifier.store.attendance import LEASE
from notifier.store.migrate import migrate
from notifier.store.orders import retry_deliveries
from notifier.store.postgres import migration, takeover
from notifier.store.postgres import statements as sql
from notifier.store.postgres.replica import REST
from notifier.store.views.deliveries import DeliveryFilter
from notifier.watchlist.database import ServerUrl
from tests.integration.store.builders import NOW
from tests.integration.store.postgres.kit import (
    WORK,
    Clock,
    Worker,
    change_at,
    holding,
    kept,
    pass_time,
    rows_at,
    until,
)
from tests.integration.store.postgres.test_takeover import (
    OLD,
    Old,
    an_old_one_and_a_new_one,
    migrating,
    revision_at,
    stands_still,
)
from tests.postgres.newer import REVISION


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_an_older_one_that_gives_its_parts_away_just_before_a_migration_has_no_place_after_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = migration._upgrade
    async with an_old_one_and_a_new_one(url) as (old, new):

        def late(*given: Any, **named: Any) -> bool:
            change_at(url, "UPDATE parts SET owner = NULL")
            return done(*given, **named)

        monkeypatch.setattr(migration, "_upgrade", late)
        migration.migrate_beside(ServerUrl(url), "new")
        monkeypatch.setattr(migration, "_upgrade", done)
        await new.look()
        assert revision_at(url) == REVISION
        with pytest.raises(SeatLost):
            await old.write("old")
        assert kept(url) is None


@pytest.mark.asyncio
async def test_a_command_that_waited_for_a_migration_orders_nothing(url: str) -> None:
    with psycopg.connect(url) as newer, ThreadPoolExecutor(1) as threads:
        newer.execute("LOCK TABLE deliveries IN EXCLUSIVE MODE")
        ordering = threads.submit(retry_deliveries, ServerUrl(url), DeliveryFilter(), NOW, {"hook"})
        await until(lambda: ordering.done() or rows_at(url, "SELECT FROM pg_locks WHERE NOT granted"))
        newer.execute("UPDATE alembic_version SET version_num = '9001'")
        newer.commit()
        with pytest.raises(AnothersVersion, match="from a newer version"):
            ordering.result(60)
    assert rows_at(url, "SELECT value FROM counters WHERE name = 'commanded'") in ([], [(0,)])


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_the_time_in_which_it_could_not_look_is_no_time_that_an_older_one_kept_its_parts(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        new.clock.now += takeover.LONGEST_WAIT + 1
        await old.look()
        await new.look()
        await old.give()
        await new.look()
        assert revision_at(url) == REVISION


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_who_wants_to_be_alone_migrates_beside_nobody_who_lives(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        taking = asyncio.create_task(new.seat.take_alone([WORK], "the watchlist"))
        await asyncio.sleep(0)
        await new.look()
        await old.look()
        await old.give()
        await new.look()
        with pytest.raises(AlreadyRunning, match="old"):
            await taking
        assert revision_at(url) == OLD


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_who_finds_another_migrating_looks_on_and_ends_none_but_that_of_the_dead(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        another = Worker(ServerUrl(url), "another", old.clock)
        try:
            await old.seat.leave(old.writing)
            await another.writing.run(another.seat._join)
            change_at(url, "INSERT INTO replicas VALUES ('dead', 'dead', 1, '', %s, '', 0, 0)", REVISION)
            with migrating(monkeypatch) as begun:
                looking = asyncio.create_task(new.look())
                await until(begun.is_set)
                for _ in range(15):
                    another.clock.now += 1
                    await new.seat._show_life(new.writing)
                    looked = asyncio.create_task(another.look())
                    await asyncio.wait([looked, looking], timeout=5, return_when=asyncio.FIRST_COMPLETED)
                    if not looked.done():
                        break
            await looking
            await looked
            assert rows_at(url, "SELECT count(*) FROM of_the_newer") == [(1,)]
        finally:
            await another.close()


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_who_finds_another_migrating_does_not_wait_for_it(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, _):
        await old.seat.leave(old.writing)
        with psycopg.connect(url) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s)", (migration.LOCK,))
            assert migration.migrate_beside(ServerUrl(url), "me") is False
        assert revision_at(url) == OLD
        assert migration.migrate_beside(ServerUrl(url), "me") is True


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_an_older_one_that_is_amid_a_write_is_not_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        await old.give()
        with holding(url, "UPDATE replicas SET beats = beats + 1 WHERE name = 'old'"):
            await new.look()
            assert revision_at(url) == OLD
        await new.look()
        assert revision_at(url) == REVISION
        with pytest.raises(SeatLost):
            await old.write("old")


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_migrate_ends_where_a_still_newer_version_took_its_place(url: str) -> None:
    async with an_old_one_and_a_new_one(url):
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(migrate, ServerUrl(url))
            await until(lambda: rows_at(url, "SELECT FROM replicas WHERE name = 'notifier migrate'"))
            change_at(url, "UPDATE alembic_version SET version_num = '9002'")
            change_at(url, "DELETE FROM replicas WHERE name = 'notifier migrate'")
            await until(waiting.done)
        with pytest.raises(DatabaseUnusable, match="newer version"):
            waiting.result()


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_who_waits_for_a_migration_is_alive_as_long_as_the_database_answers(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        await old.give()
        with migrating(monkeypatch) as begun:
            looking = asyncio.create_task(new.look())
            await until(begun.is_set)
            await old.look()
            old.seat._fence.lose()  # as it is once that is committed
            old.seat.anew()
            hurried = text(sql.WAIT_FOR_MIGRATION.text.replace("10s", "50ms"))
            monkeypatch.setattr(sql, "WAIT_FOR_MIGRATION", hurried)
            old.clock.now += takeover.ANSWER_LASTS
            assert not old.seat.is_alive
            with pytest.raises(StoreUnavailable, match="holds a lock"):
                await old.look()
            assert old.seat.is_alive
            old.clock.now += takeover.ANSWER_LASTS
            assert not old.seat.is_alive
        await looking


@pytest.mark.asyncio
async def test_who_wants_to_be_alone_takes_another_place_where_its_own_was_taken(url: str) -> None:
    clock = Clock()
    one = Worker(ServerUrl(url), "one", clock)
    try:
        taking = asyncio.create_task(one.seat.take_alone([WORK], "the watchlist"))
        await one.look()
        change_at(url, "DELETE FROM replicas")
        await one.look()
        await until(lambda: not one.seat.is_lost)
        await one.look()
        await until(lambda: one.seat.members == 1 and one.seat._wanted)
        await pass_time(REST + 1, one)
        await asyncio.wait_for(taking, 60)
    finally:
        await one.close()


@pytest.mark.asyncio
async def test_all_go_by_one_watchlist_only_as_long_as_that_is_seen(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (one, _):
        assert one.seat.is_unanimous
        one.clock.now += 5
        await one.seat._show_life(one.writing)
        assert one.seat.trusted
        assert not one.seat.is_unanimous


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_an_older_one_whose_place_a_migration_takes_is_not_taken_for_one_that_holds_all_up(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can give no sign of life as long as that takes. Who ends the transaction that holds a dead one's row would end
    the migration, and so each that takes longer than a lease."""
    async with an_old_one_and_a_new_one(url) as (old, new):
        another = Worker(ServerUrl(url), "another", old.clock)
        try:
            await new.look()
            await another.look()
            await old.look()
            await old.give()
            with migrating(monkeypatch) as begun:
                looking = asyncio.create_task(new.look())
                await until(begun.is_set)
                for _ in range(15):
                    old.clock.now += 1
                    await new.seat._show_life(new.writing)
                    async with asyncio.timeout(5):
                        await another.look()
                assert not looking.done()
            await looking
            assert revision_at(url) == REVISION
            assert rows_at(url, "SELECT count(*) FROM of_the_newer") == [(1,)]
        finally:
            await another.close()


# --- an older one that died when it had no part any more ---


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_who_wants_to_be_alone_does_not_wait_for_it(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await old.seat.give([WORK], old.writing)
        new.seat.wants((), "")
        taking = asyncio.create_task(new.seat.take_alone([WORK], "the watchlist"))
        async with asyncio.timeout(30):
            while not taking.done():
                await pass_time(0.5, new)
                await asyncio.sleep(0.02)
        await taking
        assert revision_at(url) == REVISION
        assert new.seat.parts == {WORK}


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_nothing_is_planned_for_it_while_the_others_have_their_turn(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        dead = Old(ServerUrl(url), "dead", old.clock)
        waiting = Worker(ServerUrl(url), "waiting", old.clock)
        waiting.seat._version.upgrade = stands_still  # type: ignore[method-assign]
        old.seat.wants([WORK, "upkeep"], "the watchlist")
        try:
            await dead.look()
            for worker in (new, old):
                await worker.look()
            await old.give()
            await new.seat.leave(new.writing)
            await pass_time(LEASE + REST + 2, waiting, old)
            assert old.seat.parts == {WORK, "upkeep"}
        finally:
            await dead.close()
            await waiting.close()
