"""Who is frozen in a transaction, or loses the line in it, keeps nobody else from the work for long."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
import pytest
from sqlalchemy import Connection, event

from notifier.model.errors import DatabaseUnusable
from notifier.store.attendance import LEASE
from notifier.store.postgres.database import PostgresDatabase
from notifier.watchlist.database import ServerUrl
from tests.integration.store.postgres.kit import Worker, pass_time, rows_at, workers

LONGER_THAN_IT_MAY: Final = "60s"


@contextmanager
def frozen_before_its_commit(worker: Worker, work: Callable[[Connection], None]) -> Iterator[None]:
    """`work` is done, and its COMMIT never sent while the block lasts."""
    reached, go_on = threading.Event(), threading.Event()

    def stop(_: object) -> None:
        reached.set()
        go_on.wait(120)

    engine = worker.writing._engine
    event.listen(engine, "commit", stop)
    doing = worker.writing._threads.submit(worker.writing._with_connection, work)
    try:
        assert reached.wait(60)
        yield
    finally:
        go_on.set()
        event.remove(engine, "commit", stop)
        doing.exception()


def expel_all(url: str) -> int:
    """As another worker would; not for ever."""
    with psycopg.connect(url, autocommit=True, options=f"-c lock_timeout={LONGER_THAN_IT_MAY}") as connection:
        return connection.execute("DELETE FROM replicas").rowcount


@pytest.mark.slow
@pytest.mark.parametrize("work", ["beat", "leave"])
@pytest.mark.asyncio
async def test_a_worker_frozen_in_a_transaction_can_be_expelled(url: str, work: str) -> None:
    async with workers(url, "frozen") as [frozen]:
        await frozen.look()
        fence, life = frozen.seat._fence, frozen.seat.life
        assert life is not None
        frozen_work = {"beat": fence.beat, "leave": lambda connection: fence.leave(life, connection)}[work]
        with frozen_before_its_commit(frozen, frozen_work):
            assert expel_all(url) == 1


@pytest.mark.asyncio
async def test_a_transaction_that_no_time_out_ends_is_ended_with_the_place_of_who_left_it_open(url: str) -> None:
    async with workers(url, "frozen", "other") as [frozen, other]:
        await frozen.look()
        with psycopg.connect(url) as held:
            held.execute("UPDATE replicas SET beats = beats + 1")
            await pass_time(LEASE + 1, other)
            with pytest.raises(psycopg.OperationalError):
                held.execute("SELECT 1")
        assert rows_at(url, "SELECT name FROM replicas") == [("other",)]


@pytest.mark.slow
def test_a_command_frozen_in_its_transaction_lets_the_worker_write(url: str) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def retry() -> None:
        with suppress(DatabaseUnusable), PostgresDatabase(ServerUrl(url)).open("command"):
            reached.set()
            go_on.wait(120)

    command = threading.Thread(target=retry, daemon=True)
    command.start()
    try:
        assert reached.wait(60)
        with psycopg.connect(url, autocommit=True, options=f"-c lock_timeout={LONGER_THAN_IT_MAY}") as connection:
            connection.execute("UPDATE deliveries SET attempts = 1")
    finally:
        go_on.set()
        command.join()
