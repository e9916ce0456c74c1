"""What the commands ask of Census and of the receivers themselves, within the limits that the watchlist sets.

Someone sits in front of this: a 429 of Census is not waited out, and one of Slack's for a minute at most.
"""

import asyncio
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from notifier.census.client import CensusClient, client_of, new_census_session
from notifier.census.listing import Listing, read_listing
from notifier.http.client import proxy_for
from notifier.judging.body import body_of_test
from notifier.model.delivery import Message, Outcome, Verdict
from notifier.model.errors import CensusError, NotFound
from notifier.model.event import TEST_TYPE
from notifier.model.identity import Id, in_order
from notifier.receivers.senders import open_senders
from notifier.receivers.webhook_answer import echo
from notifier.watchlist.covers import named_runs, watches_of
from notifier.watchlist.models import Watchlist
from notifier.watchlist.receivers import WebhookReceiver


@dataclass(frozen=True, slots=True)
class Findings:
    """What Census and the receivers say of a watchlist."""

    listings: dict[str, Listing | CensusError]
    """Each workspace's syncs, or why there are none."""
    missing_runs: dict[str, tuple[Id, ...]]
    """Watched runs that Census does not know, by workspace."""
    verdicts: dict[str, Verdict]
    """By receiver."""


@dataclass(frozen=True, slots=True)
class SentTest:
    """What became of a test message, and how long that took."""

    message_id: str
    outcome: Outcome
    took: timedelta
    answer: str | None = None
    """The body of a webhook's answer; None where it can't be read, or where there is none."""


async def read_listings(watchlist: Watchlist) -> dict[str, Listing | CensusError]:
    """The syncs of each workspace, or why there are none, in the watchlist's order; all are asked at the same time.

    Raises ProxyUnusable.
    """
    async with _clients(watchlist) as clients:
        listings = await asyncio.gather(*(_listing(client) for client in clients.values()))
    return dict(zip(clients, listings, strict=True))


async def examine(watchlist: Watchlist) -> Findings:
    """Asks Census and the Slack receivers whether keys and channels work; sends nothing. Raises ProxyUnusable."""
    async with (
        _clients(watchlist) as clients,
        open_senders(watchlist.delivery.timeout, ssl.create_default_context()) as senders,
    ):
        listings, missing, verdicts = await asyncio.gather(
            asyncio.gather(*(_listing(client) for client in clients.values())),
            asyncio.gather(*(_missing_runs(client, name, watchlist) for name, client in clients.items())),
            asyncio.gather(*(senders.check(name, settings) for name, settings in watchlist.receivers.items())),
        )
    return Findings(
        dict(zip(clients, listings, strict=True)),
        dict(zip(clients, missing, strict=True)),
        dict(zip(watchlist.receivers, verdicts, strict=True)),
    )


async def send_test_message(watchlist: Watchlist, receiver: str) -> SentTest:
    """Sends a message marked as a test to a receiver of the watchlist. Raises ProxyUnusable."""
    message = Message(f"test_{uuid.uuid4().hex}", TEST_TYPE, body_of_test(receiver, datetime.now(UTC)))
    settings, heard = watchlist.receivers[receiver], list[bytes]()
    tls = ssl.create_default_context()
    async with open_senders(watchlist.delivery.timeout, tls, heard=heard.append) as senders:
        sender = senders.build(receiver, settings)
        began = time.monotonic()
        outcome = await sender.send(message)
        took = timedelta(seconds=time.monotonic() - began)
        answer = None
        if heard and isinstance(settings, WebhookReceiver):
            proxy = proxy_for(settings.url.get_secret_value())
            answer = echo(heard[-1], settings, proxy=str(proxy) if proxy is not None else None)
        return SentTest(message.event_id, outcome, took, answer)


@asynccontextmanager
async def _clients(watchlist: Watchlist) -> AsyncIterator[dict[str, CensusClient]]:
    tls = ssl.create_default_context()
    async with AsyncExitStack() as stack:
        clients = {}
        for name, settings in watchlist.workspaces.items():
            session = await stack.enter_async_context(new_census_session(settings, tls))
            clients[name] = client_of(settings, session, patient=False)
        yield clients


async def _listing(client: CensusClient) -> Listing | CensusError:
    try:
        return await read_listing(client, datetime.now(UTC))
    except CensusError as error:
        return error


async def _missing_runs(client: CensusClient, workspace: str, watchlist: Watchlist) -> tuple[Id, ...]:
    runs = sorted(named_runs(watches_of(workspace, watchlist.watches)), key=in_order)
    known = await asyncio.gather(*(_is_known(client, run_id) for run_id in runs))
    return tuple(run_id for run_id, is_known in zip(runs, known, strict=True) if not is_known)


async def _is_known(client: CensusClient, run_id: Id) -> bool:
    """Whether Census knows the run; where it can't say, the listing says why."""
    try:
        await client.run(run_id)
    except NotFound:
        return False
    except CensusError:
        return True
    return True
