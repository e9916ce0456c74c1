"""Reads while the server is away fail, and work again when it is back: no question waits for ever."""

import asyncio

import pytest
from sqlalchemy import text

from notifier.model.errors import StoreUnavailable
from notifier.store.database import database_at
from notifier.store.reader import open_reader
from notifier.watchlist.database import ServerUrl
from tests.postgres.server import OwnPostgres

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


async def test_a_read_fails_while_the_server_is_away_and_works_again_when_it_is_back(own_postgres: OwnPostgres) -> None:
    question = text("SELECT 1")
    with own_postgres.database() as url:
        async with open_reader(database_at(ServerUrl(url))) as reader, asyncio.timeout(60):
            own_postgres.stop("immediate")
            together = await asyncio.gather(*(reader.read(question) for _ in range(3)), return_exceptions=True)
            assert all(isinstance(answer, StoreUnavailable) for answer in together)
            for _ in range(3):  # the first finds a connection that has ended, the others can't make one
                with pytest.raises(StoreUnavailable):
                    await reader.read(question)
            together = await asyncio.gather(*(reader.read(question) for _ in range(3)), return_exceptions=True)
            assert all(isinstance(answer, StoreUnavailable) for answer in together)
            own_postgres.start()
            assert (await reader.read(question))[0][0] == 1
