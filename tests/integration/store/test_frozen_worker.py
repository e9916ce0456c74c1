"""A worker that is frozen in a transaction holds its own row at the server, whatever time-outs it asked for."""

import asyncio
import time
from collections.abc import Callable

import psycopg
import pytest

from notifier.store.database import database_at
from notifier.store.postgres.replica import Replica
from notifier.store.seat import Introduction
from notifier.watchlist.database import ServerUrl
from tests.databases import postgres_template
from tests.postgres.server import Postgres

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


async def test_a_worker_that_is_frozen_in_a_transaction_is_replaced(
    postgres_server: Postgres, database_from: Callable[[str], str]
) -> None:
    url = database_from(postgres_template(postgres_server))
    with psycopg.connect(url, autocommit=True) as frozen:
        frozen.execute(
            "INSERT INTO replicas (id, name, pid, version, revision, watchlist, joined_at, seen_at) "
            "VALUES ('a life', 'frozen', 1, '1', '0011', '', 0, 0)"
        )
        frozen.execute("INSERT INTO parts (name, owner, since) VALUES ('everything', 'a life', 0)")
        frozen.execute("BEGIN")
        frozen.execute("UPDATE replicas SET written = written + 1 WHERE id = 'a life'")
        place = ServerUrl(url)
        # Its clock is three times as fast: it waits for a lease, and looks no less often than it must.
        living = Replica(place, Introduction("living", 2, "1"), clock=lambda: 3 * time.monotonic())
        living.wants(["everything"], "the watchlist")
        async with database_at(place).writing() as writing, asyncio.timeout(30):
            running = asyncio.create_task(living.run(writing))
            await living.changed(frozenset(), frozenset())
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("COMMIT")
