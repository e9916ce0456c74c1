"""A server that only reads, as a standby does: the worker comes to it where an address leads elsewhere than before."""

import asyncio
from collections.abc import Iterator

import pytest

from faults.line import Line
from notifier.model.errors import StoreUnavailable
from notifier.store.postgres import migration
from notifier.store.store import Store, open_store
from notifier.watchlist.database import ServerUrl
from tests.integration.store.postgres.kit import a_sign_of_life, kept, rows_at
from tests.postgres.server import OwnPostgres, name_of, own_server

pytestmark = pytest.mark.slow


@pytest.fixture
def standby() -> Iterator[OwnPostgres]:
    """A server of the test's own, which is to follow the other one."""
    with own_server() as server:
        yield server


async def written(store: Store, version: str) -> None:
    """Writes, again and again, as whoever has something to keep does."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await store._writer.write(a_sign_of_life(version))
            except StoreUnavailable:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("attributes", ["", "?target_session_attrs=any"], ids=["as it is", "any"])
@pytest.mark.asyncio
async def test_a_worker_whose_address_leads_to_a_standby_waits_and_comes_back_to_the_server_that_takes_writes(
    own_postgres: OwnPostgres, standby: OwnPostgres, attributes: str
) -> None:
    """It has connections there, and nobody ends them when the address leads elsewhere: it does so itself."""
    url = own_postgres.create()
    migration.prepare(ServerUrl(url))
    standby.follow(own_postgres, own_postgres.port)
    with Line(own_postgres.port) as line:
        far = own_postgres.url(name_of(url), line.port) + attributes
        async with open_store(ServerUrl(far)) as store:
            await store.seat.until(trusted=True)
            life = rows_at(url, "SELECT id FROM replicas")
            await store._writer.write(a_sign_of_life("before"))
            line.lead_to(standby.port)
            line.close()
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    await store._writer.write(a_sign_of_life("at the standby"))
            assert not store.attending.done()
            assert not store.works
            line.lead_to(own_postgres.port)
            await written(store, "after")
            assert kept(url) == "after"
            assert rows_at(url, "SELECT id FROM replicas") == life
