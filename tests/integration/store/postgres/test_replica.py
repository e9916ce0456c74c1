"""A worker's place at a server: what it does while the line or the server fails, and how it ends."""

import asyncio
import threading
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from faults.line import Line
from notifier.model.errors import DatabaseUnusable, SeatLost, StoreUnavailable
from notifier.store.postgres.database import PostgresDatabase
from notifier.store.postgres.engine import PostgresThread, engine_for_thread
from notifier.store.postgres.fence import Fence
from notifier.store.postgres.replica import BEAT, REST, Replica
from notifier.store.seat import Counters, Introduction
from notifier.store.sql.replicas import ADD_HINT
from notifier.store.store import open_store
from notifier.watchlist.database import ServerUrl
from tests.integration.store.postgres.kit import a_sign_of_life, change_at, kept, rows_at, settled, until, workers
from tests.postgres.server import Postgres, name_of

FAULT = "the other workers can't be seen by a fault of the notifier; please report it"


# --- the end ---


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_store_whose_commit_was_not_answered_closes_though_the_server_is_gone(
    url: str, postgres_server: Postgres
) -> None:
    async with AsyncExitStack() as opened:
        with Line(postgres_server.port) as line:
            place = ServerUrl(postgres_server.url(name_of(url), line.port))
            store = await opened.enter_async_context(open_store(place))
            await store.seat.until(trusted=True)
            line.swallow_commit(silently=True)
            write = asyncio.create_task(store._writer.write(a_sign_of_life("mine")))
            await until(lambda: line.swallowed)
        async with asyncio.timeout(30):
            await opened.aclose()
        with pytest.raises(SeatLost, match="what became of the last commit is not known"):
            await write


@pytest.mark.asyncio
async def test_who_ends_asks_once_what_became_of_a_commit(far_url: str, line: Line, url: str) -> None:
    async with workers(far_url, "a") as [worker]:
        await worker.look()
        worker.seat.hurry()
        line.swallow_commit()
        await worker.write("kept")
        assert kept(url) == "kept"


@pytest.mark.asyncio
async def test_work_that_somebody_took_out_of_the_table_is_there_again_at_the_next_look(url: str) -> None:
    async with workers(url, "first") as [worker]:
        await worker.look()
        change_at(url, "DELETE FROM parts")
        await worker.look()
        assert rows_at(url, "SELECT parts.name, replicas.name FROM parts JOIN replicas ON owner = replicas.id") == [
            ("everything", "first")
        ]


@pytest.mark.asyncio
async def test_leaving_gives_the_work_away_and_the_others_take_it_at_their_next_look(url: str) -> None:
    async with workers(url, "first", "second") as [first, second]:
        await first.look()
        await second.look()
        assert rows_at(url, "SELECT owner FROM parts") == [(first.id,)]
        await first.seat.leave(first.writing)
        await second.look()
        assert rows_at(url, "SELECT owner FROM parts") == [(second.id,)]
        assert rows_at(url, "SELECT name FROM replicas") == [("second",)]


@pytest.mark.asyncio
async def test_who_can_not_leave_says_so_and_ends(url: str, postgres_server: Postgres) -> None:
    with ExitStack() as way:
        line = way.enter_context(Line(postgres_server.port))
        async with workers(postgres_server.url(name_of(url), line.port), "a") as [worker]:
            await worker.look()
            way.close()
            with capture_logs() as logs:
                await worker.seat.leave(worker.writing)
    assert [entry["event"] for entry in logs] == [
        "the others could not be told that this worker ends; they will notice"
    ]
    assert "canary" not in str(logs)


# --- the server is away, or not what it was ---


@pytest.mark.asyncio
async def test_a_server_that_is_away_when_the_worker_begins_to_look_is_waited_for(
    url: str, postgres_server: Postgres
) -> None:
    with ExitStack() as way:
        line = way.enter_context(Line(postgres_server.port))
        place = ServerUrl(postgres_server.url(name_of(url), line.port))
        way.close()
        seat = Replica(place, Introduction("a", 1, "0"))
        writing = PostgresThread(engine_for_thread(place, "READ COMMITTED"))
        with capture_logs() as logs:
            attending = asyncio.create_task(seat.run(writing))
            await until(lambda: logs or attending.done())
        assert not attending.done()
        assert [entry["event"] for entry in logs] == ["the other workers can't be seen now"]
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)
        await writing.close()


@pytest.mark.asyncio
async def test_a_table_that_is_gone_ends_the_worker_with_one_sentence(url: str) -> None:
    async with open_store(ServerUrl(url)) as store:
        await store.seat.until(trusted=True)
        change_at(url, "DROP TABLE parts")
        await until(store.attending.done)
        error = store.attending.exception()
        assert isinstance(error, DatabaseUnusable)
        assert "a table is missing" in str(error)


@pytest.mark.asyncio
async def test_a_part_that_somebody_deleted_is_made_anew(url: str) -> None:
    async with workers(url, "a") as [worker]:
        await worker.look()
        change_at(url, "DELETE FROM parts")
        async with asyncio.timeout(30):
            await worker.look()
        assert rows_at(url, "SELECT name, owner FROM parts") == [("everything", worker.id)]


@pytest.mark.asyncio
async def test_where_somebody_deleted_which_watchlist_is_in_force_the_workers_go_on_by_theirs(url: str) -> None:
    async with workers(url, "a") as [worker]:
        await worker.look()
        change_at(url, "DELETE FROM in_force")
        await worker.look()
        assert rows_at(url, "SELECT watchlist FROM in_force") == [("the watchlist",)]
        assert worker.seat._planned == {"everything"}


@pytest.mark.asyncio
async def test_after_a_backup_of_before_a_change_of_the_watchlist_the_workers_go_on_by_the_changed_one(
    url: str,
) -> None:
    async with workers(url, "a", "b") as [changed, old]:
        await old.look()
        ((since,),) = rows_at(url, "SELECT since FROM in_force")
        changed.seat.wants(["everything"], "the changed watchlist")
        await changed.look()
        old.seat.wants(["everything"], "the changed watchlist")
        await old.look()
        change_at(url, "UPDATE in_force SET watchlist = 'the watchlist', since = %s", since)
        change_at(url, "DELETE FROM replicas")
        for worker in (old, changed, old, changed):
            worker.seat.anew()
            await worker.look()
        assert rows_at(url, "SELECT watchlist FROM in_force") == [("the changed watchlist",)]


@pytest.mark.asyncio
async def test_counters_that_somebody_deleted_begin_anew_and_are_heard_of(url: str) -> None:
    async with workers(url, "a") as [worker]:
        await worker.look()
        change_at(url, "DELETE FROM counters")
        assert await worker.writing.run(worker.seat.changes) == Counters(0, 0, 0)
        with PostgresDatabase(ServerUrl(url)).open("command"):
            pass
        await worker.writing.run(
            partial(
                worker.seat.transact,
                [(ADD_HINT, [{"workspace": "w", "sync_id": "1", "kind": "poll", "alert": None}])],
                worker.seat.life,
            )
        )
        assert await worker.writing.run(worker.seat.changes) == Counters(1, 0, 1)


@pytest.mark.asyncio
async def test_a_connection_that_can_not_be_made_anew_for_a_beat_is_the_server_s_fault(
    url: str, postgres_server: Postgres
) -> None:
    with ExitStack() as way:
        line = way.enter_context(Line(postgres_server.port))
        async with workers(postgres_server.url(name_of(url), line.port), "a") as [worker]:
            await worker.look()
            way.close()
            for _ in range(2):  # the connection that there was, and one that would be new
                with pytest.raises(StoreUnavailable):
                    await worker.seat._do(worker.writing, worker.seat._fence.beat)


@pytest.mark.asyncio
async def test_who_has_no_connection_to_look_by_looks_by_the_one_that_writes(
    url: str, postgres_server: Postgres
) -> None:
    """As where the server lets in no more: nobody may seem to live and not take what is planned for it."""
    async with workers(url, "a") as [worker]:
        with ExitStack() as way:
            line = way.enter_context(Line(postgres_server.port))
            nowhere = ServerUrl(postgres_server.url(name_of(url), line.port))
            able, worker.looking = worker.looking, PostgresThread(engine_for_thread(nowhere, "AUTOCOMMIT"))
            way.close()
            with capture_logs() as told:
                await worker.look()
                worker.clock.now += REST
                await worker.look()
            assert worker.seat.parts == {"everything"}
            assert [each["log_level"] for each in told if "no connection to look by" in each["event"]] == ["warning"]
            worker.clock.now += BEAT  # for so long it has not written either
            with pytest.raises(StoreUnavailable):
                await worker.seat._look(worker.writing, worker.looking)
            await worker.looking.close()
            worker.looking = able


@pytest.mark.asyncio
async def test_who_saw_what_the_database_has_lost_begins_anew_though_it_lost_nothing_of_its_own(url: str) -> None:
    """What it has read of others, as deliveries that it is to send, may not be there any more, and others may get
    their numbers."""
    async with workers(url, "a", "b") as [a, b]:
        await a.look()
        await b.look()
        await a.write("one")
        await b.look()
        change_at(url, "UPDATE replicas SET written = written - 1 WHERE name = 'a'")
        with capture_logs() as logs:
            await b.look()
        assert b.seat.is_lost
        assert "went back in time" in logs[0]["reason"]
        b.seat.anew()
        await b.look()
        assert b.seat.life
        assert not b.seat.is_lost


@pytest.mark.asyncio
async def test_who_saw_deliveries_that_the_database_has_lost_begins_anew(url: str) -> None:
    async with workers(url, "a") as [worker]:
        await worker.look()
        change_at(url, "UPDATE counters SET value = value + 2 WHERE name = 'appended'")
        await worker.writing.run(worker.seat.changes)
        change_at(url, "UPDATE counters SET value = value - 1 WHERE name = 'appended'")
        await worker.writing.run(worker.seat.changes)
        assert worker.seat.is_lost


@pytest.mark.asyncio
async def test_a_life_is_not_lost_for_what_the_one_before_it_has_seen(url: str) -> None:
    """The thread that writes may be late: it sees what is missing when the place has been given up already."""
    async with workers(url, "a") as [worker]:
        await worker.look()
        await worker.write("one")
        await worker.look()
        change_at(url, "UPDATE counters SET value = value + 2 WHERE name = 'appended'")
        await worker.writing.run(worker.seat.changes)
        change_at(url, "UPDATE counters SET value = value - 1 WHERE name = 'appended'")
        change_at(url, "UPDATE replicas SET written = written - 1")
        with pytest.raises(SeatLost):
            await worker.write("two")
        worker.seat.anew()
        await worker.writing.run(worker.seat.changes)
        assert not worker.seat.is_lost
        await worker.look()
        await worker.writing.run(worker.seat.changes)
        assert worker.seat.life
        assert not worker.seat.is_lost


# --- two lives ---


@pytest.mark.asyncio
async def test_what_was_asked_for_in_a_life_is_not_written_in_the_next(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its caller was cancelled, with all of the life that had ended."""
    inside, go_on = threading.Event(), threading.Event()
    written, joined = Fence.write, Replica._join

    def slow(fence: Fence, *given: Any) -> None:
        if not inside.is_set():
            inside.set()
            go_on.wait(60)
        written(fence, *given)

    async with open_store(ServerUrl(url)) as store:
        seat = store.seat
        await settled(store)
        monkeypatch.setattr(Fence, "write", slow)
        first = asyncio.create_task(store._writer.write(a_sign_of_life("first")))
        await until(inside.is_set)
        second = asyncio.create_task(store._writer.write(a_sign_of_life("second")))
        await asyncio.sleep(0)
        change_at(url, "DELETE FROM replicas")
        await until(lambda: seat.is_lost)
        second.cancel()
        asked = store._writer.thread.run(lambda connection: joined(seat, connection))  # type: ignore[arg-type]
        joining = asyncio.create_task(asked)  # it waits in the thread, after the first and before the second
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(SeatLost):
            await first
        await joining
        seat.anew()
        await store._writer.changes_from_outside()  # after the second, in the same thread
        assert kept(url) is None
        await store._writer.write(a_sign_of_life("new"))
        assert kept(url) == "new"


@pytest.mark.asyncio
async def test_a_new_life_does_not_own_what_the_old_one_did(url: str) -> None:
    async with workers(url, "a", "b") as [first, second]:
        await first.look()
        await second.look()
        first.clock.now += 2.0
        await first.look()
        assert first.seat.parts
        change_at(url, "DELETE FROM replicas WHERE id = %s", first.id)
        with pytest.raises(SeatLost):
            await first.write("old")
        first.seat._owned = {
            "everything": first.clock.now
        }  # as a look leaves it that ends when a write finds its place taken
        await second.look()
        first.seat.anew()
        await first.writing.run(partial(first.seat._join))
        first.clock.now += 2.0
        await first.seat._do(first.writing, first.seat._fence.beat)
        assert first.seat._fence.holds
        assert not first.seat.parts
        assert kept(url) is None


# --- the line breaks ---


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.asyncio
async def test_what_is_told_of_a_commit_whose_answer_was_lost_is_what_became_of_it(
    far_url: str, line: Line, url: str, *, is_done: bool
) -> None:
    async with open_store(ServerUrl(far_url)) as store:
        await store.seat.until(trusted=True)
        life = rows_at(url, "SELECT id FROM replicas")
        (line.swallow_commit if is_done else line.lose_commit)()
        write = store._writer.write(a_sign_of_life("mine"))
        if is_done:
            await write
        else:
            with pytest.raises(StoreUnavailable):
                await write
        assert kept(url) == ("mine" if is_done else None)
        assert line.swallowed + line.lost == 1
        await store._writer.write(a_sign_of_life("next"))
        assert kept(url) == "next"
        assert rows_at(url, "SELECT id FROM replicas") == life


@pytest.mark.asyncio
async def test_a_worker_that_was_expelled_while_its_commit_was_unanswered_writes_nothing_more(
    far_url: str, line: Line, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was committed can't be told any more; what was written before the expulsion may be there."""
    async with workers(far_url, "a") as [worker]:
        await worker.look()
        line.lose_commit()
        asking = worker.seat._fence.was_committed

        def expelled(*given: Any) -> bool:
            change_at(url, "DELETE FROM replicas")
            return asking(*given)

        monkeypatch.setattr(worker.seat._fence, "was_committed", expelled)
        with pytest.raises(SeatLost):
            await worker.write("mine")
        assert worker.seat.is_lost
        assert kept(url) is None
