"""/api/…: what the commands show with --json, from the same functions, and `deliveries retry` for one delivery."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter

from aiohttp import web

from notifier.store.orders import retry_deliveries
from notifier.store.seat import replica_name
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from notifier.store.views.events import EventFilter, read_events
from notifier.store.views.incidents import read_incidents
from notifier.store.views.status import read_status
from notifier.watchlist.values import LARGEST_ID
from notifier.web.answers import answer, answer_encoded, refusal, to_json
from notifier.web.documents import (
    Document,
    delivery_document,
    event_document,
    incident_document,
    status_document,
    sync_document,
)
from notifier.web.query import (
    Parameters,
    WrongParameter,
    delivery_state_of,
    flag_of,
    limit_of,
    parameters,
    sync_of,
    types_of,
)
from notifier.web.threads import Threads
from notifier.web.worker import InForce, WorkerFacts


class Api:
    """The handlers. Each raises WrongParameter, and DatabaseUnusable where it can't be read or written now."""

    def __init__(self, in_force: InForce) -> None:
        self._in_force = in_force
        self._threads = Threads()

    async def status(self, request: web.Request) -> web.Response:
        _given(request)
        seen = self._in_force.worker
        name = replica_name(os.environ)
        return await self._document(
            lambda: status_document(read_status(seen.database, seen.receivers, name), running=True)
        )

    async def syncs(self, request: web.Request) -> web.Response:
        """As Census last listed them: it is not asked each time."""
        name, seen = _given(request, "workspace").get("workspace"), self._in_force.worker
        if name is not None and name not in seen.workspaces:
            raise WrongParameter("no workspace has this name")
        elsewhere = seen.elsewhere()
        listed = ((of, sync, watched) for of, sync, watched in seen.listed() if of not in elsewhere)
        own = [sync_document(of, sync, watched) for of, sync, watched in listed if name in (None, of)]
        others = [of for of in elsewhere if name in (None, of)]
        if not others:
            return answer(200, own)
        return await self._array(lambda: _with_others(own, seen, others))

    async def events(self, request: web.Request) -> web.Response:
        given = _given(request, "limit", "sync", "type")
        wanted, limit = EventFilter(sync_id=sync_of(given), types=types_of(given)), limit_of(given)
        return await self._array(
            lambda: map(event_document, read_events(self._in_force.worker.database, wanted, limit))
        )

    async def incidents(self, request: web.Request) -> web.Response:
        given = _given(request, "limit", "all")
        seen, limit, everything = self._in_force.worker, limit_of(given), flag_of(given, "all")
        return await self._array(
            lambda: (
                incident_document(incident, seen.workspaces)
                for incident in read_incidents(seen.database, limit, resolved=everything)
            )
        )

    async def deliveries(self, request: web.Request) -> web.Response:
        given = _given(request, "limit", "state", "receiver")
        wanted, limit = DeliveryFilter(state=delivery_state_of(given), receiver=given.get("receiver")), limit_of(given)
        return await self._array(
            lambda: map(delivery_document, read_deliveries(self._in_force.worker.database, wanted, limit))
        )

    async def retry(self, request: web.Request) -> web.Response:
        """Tries one delivery again; the worker takes it up within 5 seconds."""
        _given(request)
        digits = request.match_info["id"]
        number = int(digits) if len(digits) < 20 else 0
        wanted, seen = DeliveryFilter(ids=[number] if 0 < number <= LARGEST_ID else []), self._in_force.worker
        found = await self._threads.run(
            lambda: retry_deliveries(seen.database, wanted, datetime.now(UTC), seen.receivers)
        )
        if found.left:
            return refusal(404, "the receiver of this delivery is no longer in the watchlist")
        if not found.ids:
            return refusal(404, "no delivery with this ID is dead or pending")
        return answer(202, {"id": number})

    async def _array(self, read: Callable[[], Iterable[object]]) -> web.Response:
        return await self._document(lambda: list(read()))

    async def _document(self, read: Callable[[], object]) -> web.Response:
        return answer_encoded(200, await self._threads.run(lambda: to_json(read())))


def _with_others(own: Sequence[Document], seen: WorkerFacts, others: Sequence[str]) -> Iterator[Document]:
    """Together with the syncs of workspaces that other workers watch, as those wrote them down; in the watchlist's
    order."""
    from notifier.store.views.listings import read_listings  # here: a worker that is alone has no use for it

    theirs = read_listings(seen.database, others)
    ours = {of: list(syncs) for of, syncs in groupby(own, itemgetter("workspace"))}
    for of in seen.workspaces:
        yield from ours.get(of, ())
        yield from (sync_document(of, sync, sync.watched) for sync in theirs.get(of, ()))


def _given(request: web.Request, *known: str) -> Parameters:
    return parameters(list(request.query.items()), known)
