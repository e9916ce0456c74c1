"""What the commands ask of Census and of the receivers themselves, within the limits that the watchlist sets.

Someone sits in front of this: a 429 of Census is not waited out, and one of Slack's for a minute at most.
"""

import asyncio
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from notifier.census.client import CensusClient, client_of, new_census_session
from notifier.census.listing import Listing
from notifier.census.versions import versions_of
from notifier.cli.both_keys import OtherKey, listing_of, look_at_others
from notifier.http.client import proxy_for
from notifier.judging.body import body_of_test
from notifier.model.delivery import Message, Outcome, Verdict
from notifier.model.errors import CensusError, NotFound
from notifier.model.event import TEST_TYPE
from notifier.model.identity import Id, in_order
from notifier.receivers.senders import open_senders
from notifier.receivers.webhook_answer import echo
from notifier.watchlist.covers import covered_syncs, named_runs, watches_of
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
    others: dict[str, tuple[OtherKey, ...]]
    """What the keys show that are not in use, by workspace; most have none."""


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
        listings = await asyncio.gather(*(listing_of(in_use) for in_use, *_ in clients.values()))
    return dict(zip(clients, listings, strict=True))


async def examine(watchlist: Watchlist) -> Findings:
    """Asks Census and the Slack receivers whether keys and channels work; sends nothing. Raises ProxyUnusable."""
    async with (
        _clients(watchlist) as clients,
        open_senders(watchlist.delivery.timeout, ssl.create_default_context()) as senders,
    ):
        seen, verdicts = await asyncio.gather(
            asyncio.gather(*(_look_at(clients[name], name, watchlist) for name in clients)),
            asyncio.gather(*(senders.check(name, settings) for name, settings in watchlist.receivers.items())),
        )
    listings, missing, others = zip(*seen, strict=True)
    return Findings(
        dict(zip(clients, listings, strict=True)),
        dict(zip(clients, missing, strict=True)),
        dict(zip(watchlist.receivers, verdicts, strict=True)),
        dict(zip(clients, others, strict=True)),
    )


async def _look_at(
    clients: Sequence[CensusClient], name: str, watchlist: Watchlist
) -> tuple[Listing | CensusError, tuple[Id, ...], tuple[OtherKey, ...]]:
    """The key in use first, alone: what the other one is answered, such as a 429, must not stop it."""
    listing, missing = await asyncio.gather(listing_of(clients[0]), _missing_runs(clients[0], name, watchlist))
    watched = watched_in(listing, name, watchlist) if isinstance(listing, Listing) else frozenset()
    return listing, missing, await look_at_others(clients, listing, watched)


def watched_in(listing: Listing, name: str, watchlist: Watchlist) -> frozenset[Id]:
    """The syncs of a workspace's list that the watchlist covers."""
    labels = {sync.id: sync.label for sync in listing.syncs.values()}
    return frozenset(covered_syncs(watches_of(name, watchlist.watches), labels))


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
async def _clients(watchlist: Watchlist) -> AsyncIterator[dict[str, list[CensusClient]]]:
    """A client for each key of each workspace, the one in use first; those of a workspace share its limits."""
    tls = ssl.create_default_context()
    async with AsyncExitStack() as stack:
        clients = {}
        for name, settings in watchlist.workspaces.items():
            session = await stack.enter_async_context(new_census_session(settings, tls))
            in_use, *others = versions_of(settings)
            first = client_of(settings, session, patient=False, version=in_use)
            clients[name] = [
                first,
                *(client_of(settings, session, patient=False, version=other, gate=first.gate) for other in others),
            ]
        yield clients


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
