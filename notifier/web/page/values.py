"""What the templates of the status page show: a value for each, whose fields are the names that the template uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from notifier.model.api_version import REMEDY
from notifier.store.views.overview import ReceiverView, WorkerView, WorkspaceView
from notifier.store.views.page import MOST_INCIDENTS, SyncKey, Unfinished, UnreadSync
from notifier.store.views.runs import RunSummary
from notifier.store.views.status import ReplicaView
from notifier.web.page.chart import Chart
from notifier.web.page.syncs import Board, State, Wanted
from notifier.web.page.words import EventLine, Headline, IncidentLine
from notifier.web.render import HtmlPage
from notifier.web.worker import WatchedNow


class LinkWith(Protocol):
    """A link to the page that is shown, with some of its parameters changed; "" leaves one out."""

    def __call__(self, **changes: object) -> str: ...


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page shows of the request that it answers."""

    form: str
    """The token that the page's forms bring along."""
    in_session: bool
    here: str
    """The path with its query: where a form leads back to."""
    retried: str | None
    """What became of a retry that was just asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePage(HtmlPage):
    """What both pages show; a browser keeps them up to date."""

    visit: Visit
    waiting: Sequence[Unfinished]
    dead: Sequence[Unfinished]
    events: Sequence[EventLine]
    incidents: Sequence[IncidentLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPage(LivePage):
    """The status page."""

    template: ClassVar[str] = "front.html"

    worker: WorkerView | None
    headline: Headline
    replicas: Sequence[ReplicaView]
    """None of them where there can be no other worker."""
    workspaces: Sequence[WorkspaceView]
    receivers: Sequence[ReceiverView]
    remedy: str = REMEDY
    """What to do about a version of the API that ends."""
    many_workspaces: bool
    most_incidents: int = MOST_INCIDENTS
    board: Board
    rows: Sequence[tuple[WatchedNow, State, Chart]]
    """The syncs of the board."""
    states: Sequence[State] = tuple(State)
    unread: Mapping[SyncKey, UnreadSync]
    wanted: Wanted
    link: LinkWith


class RunUrl(Protocol):
    """Where a run is in Census, if that is known."""

    def __call__(self, run: RunSummary, /) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPage(LivePage):
    """The page of one sync."""

    template: ClassVar[str] = "sync.html"

    key: SyncKey
    label: str | None
    sync: WatchedNow | None
    """None where it is not watched; then it has no `state`."""
    state: State | None
    unread: UnreadSync | None
    url: str | None
    """Where it is in Census."""
    run_url: RunUrl
    chart: Chart
