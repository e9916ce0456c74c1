"""What the commands ask of Census itself: the syncs of each workspace, within the limits that the watchlist sets."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from notifier.census.client import CensusClient, client_of, new_census_session
from notifier.config.models import Watchlist
from notifier.errors import CensusError
from notifier.roster import Listing, read_listing


async def read_listings(watchlist: Watchlist) -> dict[str, Listing | CensusError]:
    """The syncs of each workspace, or why there are none, in the watchlist's order; all are asked at the same time.

    A 429 is not waited out: someone sits in front of this. Raises ProxyUnusable.
    """
    tls = ssl.create_default_context()
    async with AsyncExitStack() as stack:
        clients = []
        for settings in watchlist.workspaces.values():
            session = await stack.enter_async_context(new_census_session(settings, tls))
            clients.append(client_of(settings, session, patient=False))
        listings = await asyncio.gather(*(_listing(client) for client in clients))
    return dict(zip(watchlist.workspaces, listings, strict=True))


async def _listing(client: CensusClient) -> Listing | CensusError:
    try:
        return await read_listing(client, datetime.now(UTC))
    except CensusError as error:
        return error
