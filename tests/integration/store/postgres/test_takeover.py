"""A newer version takes over from older ones: they give their parts away, it migrates, and they stand by."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from notifier.model.errors import AlreadyRunning, DatabaseUnusable, SeatLost, StoreUnavailable
from notifier.store.attendance import LEASE
from notifier.store.migrate import migrate
from notifier.store.postgres import migration, takeover
from notifier.store.postgres import statements as sql
from notifier.store.postgres.database import PostgresLook
from notifier.store.postgres.migration import LOCK, MIGRATES
from notifier.store.postgres.replica import REST
from notifier.store.sql import revision as of_revisions
from notifier.store.sql import upgrade
from notifier.store.views.status import read_status, require_recent_worker
from notifier.watchlist.database import ServerUrl
from tests.integration.store.builders import NOW
from tests.integration.store.postgres.kit import WORK, Clock, Worker, change_at, kept, pass_time, rows_at, until
from tests.postgres.newer import REVISION

OLD = of_revisions.revisions()[-1]
MIGRATED = "SELECT count(*) FROM pg_tables WHERE tablename = 'of_the_newer'"


def revision_at(url: str) -> str:
    ((revision,),) = rows_at(url, "SELECT version_num FROM alembic_version")
    return str(revision)


def older_at(url: str) -> dict[str, bool]:
    """Of whom people are told that it stands by for its version."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return {row["name"]: row["is_older"] for row in connection.execute(PostgresLook.replicas.encode())}


def owner_at(url: str) -> str | None:
    return next((owner for (owner,) in rows_at(url, "SELECT owner FROM parts")), None)


class Old(Worker):
    """Of the older version, whatever the newest is."""

    def __init__(self, place: ServerUrl, name: str, clock: Clock) -> None:
        super().__init__(place, name, clock)
        self.seat._revision = OLD
        self.seat._version = takeover.Versions(OLD, clock)

    async def give(self) -> None:
        if self.seat.leaving:
            await self.seat.give(self.seat.leaving, self.writing)


@asynccontextmanager
async def an_old_one_and_a_new_one(url: str) -> AsyncIterator[tuple[Old, Worker]]:
    """The old one has the work, and the new one has not joined."""
    clock, place = Clock(), ServerUrl(url)
    old, new = Old(place, "old", clock), Worker(place, "new", clock)
    try:
        await old.look()
        clock.now += REST
        await old.look()
        assert old.seat.parts == {WORK}
        yield old, new
    finally:
        await old.close()
        await new.close()


@contextmanager
def migrating(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Whoever migrates waits for the end of this, behind all its locks; the event says that somebody does."""
    begun, go_on, done = threading.Event(), threading.Event(), upgrade.upgrade

    def slow(*given: Any) -> None:
        begun.set()
        go_on.wait(60)
        done(*given)

    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "upgrade", slow)
        try:
            yield begun
        finally:
            go_on.set()


# --- as it should go ---


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_a_newer_version_waits_until_the_older_ones_have_given_their_parts_away_and_then_migrates(
    url: str,
) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        assert revision_at(url) == OLD, "while the old one works nothing is migrated"
        assert not new.seat.trusted
        await old.look()
        assert old.seat.trusted
        assert not old.seat.parts
        assert old.seat.leaving == {WORK}
        await new.look()
        assert revision_at(url) == OLD, "what it gives away it works at until it has"
        await old.give()
        assert not old.seat.trusted, "who has given all away works at nothing until there is no newer one"
        await new.look()
        assert revision_at(url) == REVISION
        assert new.seat.trusted
        assert owner_at(url) == new.id
        await pass_time(REST, new)
        assert new.seat.parts == {WORK}


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_the_older_ones_stand_by_and_say_why(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        await old.give()
        await new.look()
        await old.look()
        assert old.seat.is_lost, "its place was taken by whoever migrated"
        assert "another worker may do the work now" not in capsys.readouterr().out
        old.seat.anew()
        await old.look()
        await pass_time(2 * LEASE, old, new)
        assert not old.seat.trusted
        assert old.seat.is_overtaken
        assert not old.seat.is_lost
        assert old.seat.ailment is None
        assert owner_at(url) == new.id
        status = {each.name: each.standing_by for each in read_status(ServerUrl(url), ()).replicas}
        assert status == {"new": None, "old": "older version"}


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_what_the_older_one_had_begun_to_write_is_not_written_any_more(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        await old.give()
        await new.look()
        with pytest.raises(SeatLost):
            await old.write("old")
        assert kept(url) is None


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_if_the_newer_one_ends_before_it_has_migrated_the_older_ones_go_on(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        await old.give()
        await new.seat.leave(new.writing)
        await pass_time(REST + 1, old)
        assert old.seat.trusted
        assert old.seat.parts == {WORK}
        await old.write("old")
        assert kept(url) == "old"


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_if_the_newer_one_dies_before_it_has_migrated_the_older_ones_go_on(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        await old.give()
        await pass_time(LEASE - 1, old)
        assert not old.seat.trusted
        await pass_time(1 + REST + 1, old)
        assert old.seat.parts == {WORK}


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
@pytest.mark.parametrize("says_so", [True, False], ids=["ends", "dies"])
async def test_newer_ones_that_fail_again_and_again_do_not_keep_the_older_ones_from_working(
    url: str, capsys: pytest.CaptureFixture[str], says_so: bool
) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        await old.give()
        if says_so:
            await new.seat.leave(new.writing)
        second = Worker(ServerUrl(url), "second", old.clock)  # started again at once, and just before its migration
        second.seat._version.upgrade = stands_still  # type: ignore[method-assign]
        try:
            await second.look()
            await pass_time(LEASE + REST + 1, second, old)
            assert "a worker of a newer version ended before it had migrated" in capsys.readouterr().out
            assert old.seat.parts == {WORK}
            assert older_at(url) == {"old": False, "second": False}  # `status` says that it works
            third = Worker(ServerUrl(url), "third", old.clock)  # what fails while it waits adds nothing to that
            await third.look()
            await old.look()
            await third.seat.leave(third.writing)
            await third.close()
            await pass_time(takeover.TURN - LEASE, second, old)
            await old.write("old")
            assert kept(url) == "old"
            await pass_time(LEASE, second, old)
            assert old.seat.leaving == {WORK}
            await old.give()
            assert older_at(url) == {"old": True, "second": False}
            del second.seat._version.upgrade
            await second.look()
            assert revision_at(url) == REVISION
        finally:
            await second.close()


async def stands_still(place: ServerUrl, living: object, worker: str) -> bool:
    return False


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_a_newer_one_that_wants_to_be_alone_does_not_migrate_where_older_ones_live(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        round_by_itself = asyncio.create_task(new.seat.take_alone([WORK], "the watchlist"))
        await asyncio.sleep(0)
        for _ in range(3):
            await new.look()
            await old.look()
            await old.give()
        await old.write("old")  # a sign of life
        await new.look()
        with pytest.raises(AlreadyRunning, match="old"):
            await round_by_itself
        assert revision_at(url) == OLD
        await new.seat.leave(new.writing)
        await pass_time(REST + 1, old)
        assert old.seat.parts == {WORK}


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_a_newer_one_that_wants_to_be_alone_migrates_once_it_is(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (_, new):
        round_by_itself = asyncio.create_task(new.seat.take_alone([WORK], "the watchlist"))
        await asyncio.sleep(0)
        await pass_time(LEASE + 1, new)  # the old one has died
        assert revision_at(url) == REVISION
        while not round_by_itself.done():
            await pass_time(REST, new)
            await asyncio.sleep(0)
        await round_by_itself
        assert new.seat.parts == {WORK}


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_an_older_one_that_died_with_its_parts_is_not_waited_for(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await pass_time(LEASE - 1, new)
        assert revision_at(url) == OLD
        await pass_time(2, new)
        assert revision_at(url) == REVISION
        assert owner_at(url) == new.id
        await old.look()
        assert old.seat.is_lost


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_the_newest_of_three_versions_migrates_and_no_other(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        between = Old(ServerUrl(url), "between", old.clock)
        between.seat._revision = "9000"
        between.seat._version = takeover.Versions("9000", old.clock)
        try:
            await between.look()
            await new.look()
            await old.look()
            await old.give()
            await between.look()
            assert revision_at(url) == OLD
            await new.look()
            assert revision_at(url) == REVISION
            await between.look()
            between.seat.anew()
            await between.look()
            assert between.seat.is_overtaken
            assert not between.seat.trusted
        finally:
            await between.close()


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_of_two_newer_ones_one_migrates_and_both_work(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        another = Worker(ServerUrl(url), "another", old.clock)
        another.seat.wants([WORK, "upkeep"], "the watchlist")
        new.seat.wants([WORK, "upkeep"], "the watchlist")
        try:
            await old.seat.leave(old.writing)
            await asyncio.gather(new.look(), another.look())
            for worker in (new, another):  # one may have had all before the other had a place
                await pass_time(0.5, new, another)
                await worker.seat.give(worker.seat.leaving, worker.writing)
            await pass_time(REST + 1, new, another)
            assert rows_at(url, "SELECT count(*) FROM of_the_newer") == [(1,)]
            assert new.seat.parts | another.seat.parts == {WORK, "upkeep"}
            assert len(new.seat.parts) == 1
        finally:
            await another.close()


# --- amid the migration ---


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_signs_of_life_go_on_while_it_migrates(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await old.seat.leave(old.writing)
        with migrating(monkeypatch) as begun:
            looking = asyncio.create_task(new.look())
            await until(begun.is_set)
            new.clock.now += LEASE / 2
            await new.seat._show_life(new.writing)
            assert new.seat.idle == timedelta(0)
            assert not looking.done()
        await looking
        assert new.seat.trusted


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_who_joins_amid_a_migration_has_a_place_when_it_is_over(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await old.seat.leave(old.writing)
        late = Old(ServerUrl(url), "late", old.clock)
        try:
            with migrating(monkeypatch) as begun:
                looking = asyncio.create_task(new.look())
                await until(begun.is_set)
                joining = asyncio.create_task(late.look())
                await until(lambda: rows_at(url, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
                assert rows_at(url, "SELECT name FROM replicas") == [("new",)]
            await looking
            await joining
            assert late.seat.is_overtaken
            assert not late.seat.trusted
        finally:
            await late.close()


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_an_older_one_that_claims_amid_a_migration_has_nothing_after_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that has looked before the newer one was there, and is slow."""
    async with an_old_one_and_a_new_one(url) as (old, _):
        await old.seat.give([WORK], old.writing)
        with ThreadPoolExecutor(1) as threads, migrating(monkeypatch) as begun:
            upgrading = threads.submit(partial(migration._upgrade, ServerUrl(url)))
            await until(begun.is_set)
            mine = {"id": old.id, "part": WORK}

            def claim(connection: Connection) -> None:
                connection.execute(sql.CLAIM, mine)

            claiming = asyncio.create_task(old.writing.run(partial(old.seat._fence.write, claim, old.seat.life)))
            await until(lambda: rows_at(url, "SELECT FROM pg_locks WHERE locktype = 'relation' AND NOT granted"))
        assert upgrading.result(60)
        await claiming
        assert owner_at(url) is None


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_an_older_one_that_claims_before_a_migration_keeps_what_it_has(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, _):
        assert migration.migrate_beside(ServerUrl(url), "new") is False
        assert revision_at(url) == OLD
        await old.write("old")
        assert kept(url) == "old"


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_what_a_frozen_one_left_open_of_a_migration_ends_with_its_place(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        await old.give()
        with psycopg.connect(url) as frozen:
            frozen.execute("SELECT set_config('application_name', %s, true)", (MIGRATES + new.id,))
            frozen.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            frozen.execute("LOCK TABLE parts IN SHARE ROW EXCLUSIVE MODE")
            await pass_time(LEASE + 1, old)
            with pytest.raises(psycopg.OperationalError):
                frozen.execute("SELECT 1")
        await pass_time(REST + 1, old)
        assert old.seat.parts == {WORK}


@contextmanager
def in_use(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody reads for long, as a backup does; who migrates waits for a moment only."""
    with monkeypatch.context() as patch, psycopg.connect(url) as held:
        patch.setattr(migration, "_limit", lambda connection: connection.execute("SET LOCAL lock_timeout = '50ms'"))
        held.execute("SELECT FROM deliveries")
        yield


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_a_migration_that_can_not_be_now_is_tried_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await old.seat.leave(old.writing)
        with in_use(url, monkeypatch), pytest.raises(StoreUnavailable, match="another transaction holds a lock"):
            await new.look()
        assert revision_at(url) == OLD
        await new.look()
        assert revision_at(url) == REVISION


# --- who can't take over keeps nobody from working ---


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_a_newer_one_that_can_not_migrate_for_half_a_minute_ends_and_says_why(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await old.seat.leave(old.writing)
        with in_use(url, monkeypatch):
            begun = new.clock.now
            while new.clock.now <= begun + takeover.LONGEST_TRY:
                with pytest.raises(StoreUnavailable):
                    await new.look()
                new.clock.now += 10
            with pytest.raises(DatabaseUnusable, match=r"holds a lock.*so it can't be brought to this version's"):
                await new.look()
        assert revision_at(url) == OLD


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_a_newer_one_ends_where_an_older_one_that_lives_keeps_its_parts(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await pass_time(takeover.LONGEST_WAIT, old, new)
        assert not new.seat.trusted
        with pytest.raises(DatabaseUnusable, match="schema: old of an older version still has parts of the work; stop"):
            await pass_time(2, old, new)
        assert revision_at(url) == OLD


@pytest.mark.usefixtures("newer")
@pytest.mark.parametrize(
    "fault", [TypeError("a bug"), ProgrammingError("CREATE", {}, psycopg.errors.SyntaxError("a bug"))]
)
@pytest.mark.asyncio
async def test_a_migration_that_fails_by_our_fault_is_not_tried_for_ever(
    url: str, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fails(*_: object) -> None:
        raise fault

    async with an_old_one_and_a_new_one(url) as (old, new):
        await old.seat.leave(old.writing)
        monkeypatch.setattr(upgrade, "upgrade", fails)
        with pytest.raises(DatabaseUnusable, match="a bug"):
            await new.look()
        assert revision_at(url) == OLD


# --- nobody of the database's version is there ---


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_an_older_one_above_a_newer_database_is_ailing_once_nobody_of_that_version_was_there_for_a_minute(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        await old.look()
        await old.give()
        await new.look()
        await old.look()
        old.seat.anew()
        await pass_time(1, old, new)
        await new.seat.leave(new.writing)
        await pass_time(takeover.PATIENCE - 1, old)
        assert old.seat.ailment is None
        await pass_time(2, old)
        assert old.seat.ailment == takeover.STRANDED
        assert not old.seat.trusted
        told = capsys.readouterr()
        (line,) = [line for line in (told.out + told.err).splitlines() if takeover.STRANDED in line]
        assert "error" in line
        back = Worker(ServerUrl(url), "back", old.clock)
        try:
            await pass_time(1, old, back)
            assert old.seat.ailment is None
        finally:
            await back.close()


@pytest.mark.asyncio
async def test_nothing_is_done_at_a_database_that_says_no_version(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, _):
        change_at(url, "DELETE FROM alembic_version")
        await old.look()
        assert not old.seat.parts
        assert old.seat.ailment == takeover.UNKNOWN, "nobody works"
        change_at(url, "INSERT INTO alembic_version VALUES (%s)", OLD)
        await pass_time(REST + 1, old)
        assert old.seat.parts == {WORK}
        assert old.seat.ailment is None


# --- by hand, and seen from outside ---


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_migrate_takes_over_from_those_that_live_as_a_worker_would(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, _):
        with ThreadPoolExecutor(1) as threads:
            migrating = threads.submit(migrate, ServerUrl(url))
            while not migrating.done():
                if old.seat.is_lost:
                    old.seat.anew()
                await old.look()
                await old.give()
                await asyncio.sleep(0.05)
        assert migrating.result() is True
        assert revision_at(url) == REVISION
        assert not rows_at(url, "SELECT FROM replicas WHERE name <> 'old'")
    assert migrate(ServerUrl(url)) is False


@pytest.mark.usefixtures("newer")
@pytest.mark.asyncio
async def test_a_container_is_well_whichever_version_the_database_is_from(url: str) -> None:
    async with an_old_one_and_a_new_one(url) as (old, new):
        await new.look()
        require_recent_worker(ServerUrl(url), "new", NOW, timedelta(seconds=15))  # which waits for the old one
        await old.look()
        await old.give()
        await new.look()
        await old.look()
        old.seat.anew()
        await old.look()
        require_recent_worker(ServerUrl(url), "old", NOW, timedelta(seconds=15))
        change_at(url, "UPDATE alembic_version SET version_num = '9002'")  # of which nobody is there
        with pytest.raises(DatabaseUnusable, match="from a newer version"):
            require_recent_worker(ServerUrl(url), "old", NOW, timedelta(seconds=15))
        with pytest.raises(DatabaseUnusable, match="from a newer version"):
            read_status(ServerUrl(url), ())
