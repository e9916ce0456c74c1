"""GET /: the status page, and the page of one sync. And its one button, POST /retry.

What a page needs of the worker's memory is copied on the event loop; the database is read, and the page made, in a
thread, a few at a time.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self, TypeAlias

from aiohttp import web

from notifier.model.identity import Id
from notifier.store.orders import retry_deliveries
from notifier.store.views.deliveries import DeliveryFilter
from notifier.store.views.overview import ReceiverView, WorkspaceView
from notifier.store.views.page import RUNS_SHOWN, PageReader, SyncKey, looked_at
from notifier.watchlist.database import ServerUrl
from notifier.watchlist.values import LARGEST_ID
from notifier.web.browser import Browsers, see
from notifier.web.page.chart import chart_of
from notifier.web.page.syncs import NAMED, Labelling, State, Wanted, board_of, state_of, watched_elsewhere
from notifier.web.page.values import FrontPage, SyncPage, Visit
from notifier.web.page.words import Headline, Links, event_line, health_headline, incident_line
from notifier.web.query import Parameters, WrongParameter, sync_of
from notifier.web.render import query
from notifier.web.session import local_path
from notifier.web.threads import Threads
from notifier.web.worker import InForce, WatchedNow, WorkerFacts, not_polled

BARS: Final = RUNS_SHOWN
ORDERS: Final = ("", NAMED)
LONGEST_FILTER: Final = 200  # characters
Troubles: TypeAlias = tuple[str | None, str | None, str | None]
"""What `ailment`, `not_ready` and `not_in_force` say."""


@dataclass(frozen=True, slots=True)
class Here:
    """What a page needs of the worker's memory, copied on the event loop."""

    facts: WorkerFacts
    watched: Sequence[WatchedNow]
    """What it watches itself."""
    elsewhere: frozenset[str]
    labelling: Labelling

    @classmethod
    def of(cls, facts: WorkerFacts, labelling: Labelling) -> Self:
        """Of this moment. Of a workspace that it does not say to watch itself, the database knows more."""
        watched, elsewhere = facts.watched(), facts.elsewhere()
        if elsewhere:
            watched = [each for each in watched if each.workspace not in elsewhere]
        return cls(facts, watched, elsewhere, labelling)

    def others(self, look: PageReader, sync_id: Id | None = None) -> Sequence[WatchedNow]:
        """The watched syncs of the workspaces that other workers watch, all or only those with an ID; in a thread."""
        if not self.elsewhere:
            return ()
        labelling = self.labelling if sync_id is None else Labelling()
        return watched_elsewhere(look.watched(self.elsewhere, sync_id), self.facts.watches, labelling)

    def headline(
        self,
        troubles: Troubles,
        workspaces: Sequence[WorkspaceView],
        receivers: Sequence[ReceiverView],
        unread: Collection[SyncKey],
    ) -> Headline:
        """A workspace that another worker watches is starting until it was polled, or found unreachable."""
        ailment, not_ready, not_in_force = troubles
        starting = (each.name for each in workspaces if each.ok and each.last_polled_at is None)
        not_ready = not_ready or not_polled(name for name in starting if name in self.elsewhere)
        return health_headline(ailment, not_ready, not_in_force, workspaces, receivers, unread)


class Pages:
    """The handlers. Each raises WrongParameter, and StoreError where the database can't be read or written now."""

    def __init__(self, in_force: InForce, browsers: Browsers) -> None:
        self._in_force = in_force
        self._browsers = browsers
        self._threads = Threads()
        self._labelling = Labelling()

    async def front(self, request: web.Request) -> web.Response:
        """GET /, and GET /?sync=52&workspace=production."""
        given = {name: value for name, value in request.query.items() if value}
        seen = self._in_force.worker
        here = Here.of(seen, self._labelling)
        visit = Visit(
            form=self._browsers.form_token(request),
            in_session=self._browsers.in_session(request),
            here=request.path_qs,
            retried=_retried(given),
        )
        if "sync" in given:
            key = await self._key(given, here)
            return await self._page(lambda: self._sync_page(here, key, visit))
        wanted = _wanted(given)
        troubles = seen.ailment(), seen.not_ready(), seen.not_in_force()
        return await self._page(lambda: self._front_page(here, wanted, troubles, visit))

    async def retry(self, request: web.Request) -> web.Response:
        """POST /retry: tries one delivery again, and goes back to where the button was."""
        form = await self._browsers.form(request)
        number, after = form.get("id", ""), local_path(form.get("next"))
        delivery = int(number) if number.isascii() and number.isdigit() and len(number) < 20 else 0
        if not 0 < delivery <= LARGEST_ID:
            raise WrongParameter("id must be the number of a delivery")
        wanted, seen = DeliveryFilter(ids=[delivery]), self._in_force.worker
        found = await self._threads.run(
            lambda: retry_deliveries(seen.database, wanted, datetime.now(UTC), seen.receivers)
        )
        return see(
            _with(after, f"retried={delivery if found.ids else 'gone' if found.left else 'none'}") + "#deliveries"
        )

    async def _page(self, make: Callable[[], bytes]) -> web.Response:
        return self._browsers.answer(200, await self._threads.run(make))

    def _front_page(self, here: Here, wanted: Wanted, troubles: Troubles, visit: Visit) -> bytes:
        now, links = datetime.now(UTC), Links(here.facts.workspaces)
        with looked_at(here.facts.database) as look:
            watched = [*here.watched, *here.others(look)]
            health = look.health(here.facts.receivers)
            replicas = look.replicas() if isinstance(here.facts.database, ServerUrl) else ()
            incidents = [incident_line(each, links) for each in look.open_incidents()]
            last_runs = look.last_runs()
            with_incident = {each.key for each in incidents if each.key is not None}
            unread = look.unread()
            board = board_of(watched, last_runs, with_incident, wanted, unread.keys())
            runs = look.runs([sync.key for sync, _ in board.shown])
            waiting, dead, events = look.waiting(), look.dead(), look.newest_events()
        workspaces = [health.workspaces.get(name, WorkspaceView(name)) for name in here.facts.workspaces]
        receivers = list(health.receivers.values())
        return self._browsers.page(
            FrontPage(
                visit=visit,
                now=now,
                worker=health.worker,
                headline=here.headline(troubles, workspaces, receivers, unread),
                replicas=replicas,
                workspaces=workspaces,
                receivers=receivers,
                many_workspaces=len(workspaces) > 1,
                incidents=incidents,
                board=board,
                rows=[(sync, state, chart_of(runs[sync.key], BARS, now)) for sync, state in board.shown],
                unread=unread,
                wanted=wanted,
                link=lambda **changes: query({**wanted.query(), **changes}),
                waiting=waiting,
                dead=dead,
                events=[event_line(each, links) for each in events],
            )
        )

    async def _key(self, given: Parameters, here: Here) -> SyncKey:
        """Which sync is meant. The database is asked only where another worker's workspace may be."""
        sync_id, watched = sync_of(given) or 0, here.watched
        if here.elsewhere and "workspace" not in given:
            watched = [*watched, *await self._threads.run(lambda: _others_with(here, sync_id))]
        return _key_of(given.get("workspace"), sync_id, here.facts, watched)

    def _sync_page(self, here: Here, key: SyncKey, visit: Visit) -> bytes:
        now, links = datetime.now(UTC), Links(here.facts.workspaces)
        sync = next((each for each in here.watched if each.key == key), None)
        with looked_at(here.facts.database) as look:
            if key[0] in here.elsewhere:
                sync = next((each for each in here.others(look, key[1]) if each.key == key), None)
            label = sync.label if sync is not None else look.sync_label(key)
            runs = look.runs([key])[key]
            last = look.last_runs_of(key)
            happenings = look.happenings(key)
            unread = look.unread().get(key)
        is_open = any(incident.is_open for incident in happenings.incidents)
        return self._browsers.page(
            SyncPage(
                visit=visit,
                now=now,
                key=key,
                label=label,
                sync=sync,
                state=state_of(sync, last, is_open, is_unread=unread is not None) if sync is not None else None,
                unread=unread,
                url=links.sync(*key),
                run_url=lambda run: links.run(*key, run.id),
                chart=chart_of(runs, BARS, now),
                incidents=[incident_line(each, links) for each in happenings.incidents],
                waiting=happenings.waiting,
                dead=happenings.dead,
                events=[event_line(each, links) for each in happenings.events],
            )
        )


def _wanted(given: Parameters) -> Wanted:
    """The filters of a page. Parameters that are no filter are none of our business; wrong values are."""
    state, page, order = given.get("state"), given.get("page", "1"), given.get("order", "")
    if state is not None and state not in tuple(State):
        raise WrongParameter(f"state must be one of {', '.join(State)}")
    if order not in ORDERS:
        raise WrongParameter(f"order must be {NAMED}, or not be given")
    if not (page.isascii() and page.isdigit() and len(page) < 10 and int(page) > 0):
        raise WrongParameter("page must be a whole number from 1")
    name, label, workspace = (given.get(each, "")[:LONGEST_FILTER].strip() for each in ("name", "label", "in"))
    return Wanted(name, label, State(state) if state is not None else None, workspace, order, int(page))


def _others_with(here: Here, sync_id: Id) -> Sequence[WatchedNow]:
    with looked_at(here.facts.database) as look:
        return here.others(look, sync_id)


def _key_of(name: str | None, sync_id: Id, seen: WorkerFacts, watched: Sequence[WatchedNow]) -> SyncKey:
    """Which sync is meant; the workspace may be left out where only one has it."""
    if name is not None and name not in seen.workspaces:
        raise WrongParameter("no workspace has this name")
    having = [each.workspace for each in watched if each.id == sync_id] or list(seen.workspaces)
    if name is None and len(having) > 1:
        raise WrongParameter("several workspaces may have this sync; say which: workspace=NAME")
    return name or having[0], sync_id


def _retried(given: Parameters) -> str | None:
    """What to say of a retry that a form has just asked for."""
    number = given.get("retried", "")
    if number == "none":
        return "That delivery is no longer waiting or dead: there is nothing to try again."
    if number == "gone":
        return "The receiver of that delivery is no longer in the watchlist: it can't be tried again."
    if number.isascii() and number.isdigit() and len(number) < 20:
        return f"Delivery {number} is tried again within 5 seconds."
    return None


def _with(path: str, parameter: str) -> str:
    """The path with a parameter more; an earlier retry's is dropped."""
    base, _, rest = path.partition("#")[0].partition("?")
    kept = [each for each in rest.split("&") if each and not each.startswith("retried=")]
    return f"{base}?{'&'.join([*kept, parameter])}"
