"""Which of the watched syncs the status page shows, in which order, and what is said of each. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from notifier.model.identity import Id, in_order
from notifier.model.run import RUNNING_STATUSES
from notifier.model.sync import Labels
from notifier.store.views.page import LastRuns, SyncKey, SyncRow
from notifier.watchlist.covers import Coverage, watches_of
from notifier.watchlist.models import Watch
from notifier.web.worker import WatchedNow

A_PAGE: Final = 50
NAMED: Final = "name"  # the other order than the failing first
NO_LABELS: Final[Labels] = {}


class State(StrEnum):
    """How a sync is; the first that fits. The order is that of the page."""

    FAILING = "failing"
    RUNNING = "running"
    PAUSED = "paused"
    OK = "ok"
    NO_RUNS = "no-runs"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which syncs to show."""

    name: str = ""
    """Part of a sync's name, or a glob, case aside, or its ID."""
    label: str = ""
    """`key` or `key=value`."""
    state: State | None = None
    workspace: str = ""
    order: str = ""
    page: int = 1

    def query(self) -> Mapping[str, str]:
        """As parameters of a link; only what says something."""
        given = {
            "name": self.name,
            "label": self.label,
            "state": self.state or "",
            "in": self.workspace,
            "order": self.order,
            "page": str(self.page) if self.page > 1 else "",
        }
        return {name: str(value) for name, value in given.items() if value}


@dataclass(frozen=True, slots=True)
class Board:
    """One page of syncs."""

    shown: Sequence[tuple[WatchedNow, State]]
    counts: Mapping[State, int]
    """How many of the syncs that name, label and workspace select are in each state."""
    found: int
    """How many are in the wanted state too: those of all pages."""
    watched: int
    """How many syncs are watched."""
    page: int
    pages: int
    labels: Sequence[str] = ()

    @property
    def all(self) -> int:
        """Of every state."""
        return sum(self.counts.values())


class Labelling:
    """The labels that the watchlist gives syncs. The last answer for each workspace is remembered: a page asks for the
    same again and again, and thousands of syncs are tried against each of the watchlist's globs."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Sequence[Watch], Mapping[Id, str | None], Mapping[Id, Labels]]] = {}

    def of(self, workspace: str, watches: Sequence[Watch], syncs: Mapping[Id, str | None]) -> Mapping[Id, Labels]:
        """`watches`: those of all workspaces, never changed; `syncs`: their own labels."""
        known = self._known.get(workspace)
        if known is None or known[0] is not watches or known[1] != syncs:
            known = watches, syncs, Coverage(watches_of(workspace, watches)).labels_of(syncs)
            self._known[workspace] = known
        return known[2]


def watched_elsewhere(rows: Iterable[SyncRow], watches: Sequence[Watch], labelling: Labelling) -> list[WatchedNow]:
    """The watched syncs of workspaces that another worker watches, with the labels that the watchlist gives them. One
    that it does not cover has none: that worker may go by another watchlist for a while."""
    by_workspace: dict[str, list[SyncRow]] = {}
    for row in rows:
        by_workspace.setdefault(row.workspace, []).append(row)
    found: list[WatchedNow] = []
    for workspace, its in by_workspace.items():
        labels = labelling.of(workspace, watches, {row.id: row.label for row in its})
        found += (WatchedNow(workspace, row.id, row.label, labels.get(row.id, NO_LABELS), row.paused) for row in its)
    return found


def board_of(
    watched: Collection[WatchedNow],
    last_runs: Mapping[SyncKey, LastRuns],
    with_incident: Collection[SyncKey],
    wanted: Wanted,
    unread: Collection[SyncKey] = (),
) -> Board:
    """The page that is asked for, or the last one where there are not so many."""
    named = [each for each in watched if _fits(each, wanted)]
    judged = [
        (each, state_of(each, last_runs.get(each.key), each.key in with_incident, is_unread=each.key in unread))
        for each in named
    ]
    found = [(each, state) for each, state in judged if wanted.state in (None, state)]
    ranks = {state: rank for rank, state in enumerate(State)} if wanted.order != NAMED else dict.fromkeys(State, 0)
    found.sort(key=lambda one: (ranks[one[1]], *_by_name(one[0])))
    pages = max(1, -(-len(found) // A_PAGE))
    page = min(max(wanted.page, 1), pages)
    return Board(
        shown=found[(page - 1) * A_PAGE : page * A_PAGE],
        counts=Counter(state for _, state in judged),
        found=len(found),
        watched=len(watched),
        page=page,
        pages=pages,
        labels=_labels(watched),
    )


def _by_name(sync: WatchedNow) -> tuple[str, str, tuple[bool, int, str]]:
    return (sync.label or "").casefold(), sync.workspace, in_order(sync.id)


def state_of(sync: WatchedNow, last: LastRuns | None, has_incident: bool, *, is_unread: bool = False) -> State:
    """Failing: an incident is open, it can't be read, or the last run that completed or failed did fail."""
    if has_incident or is_unread or (last is not None and last.failed):
        return State.FAILING
    if last is not None and last.newest in RUNNING_STATUSES:
        return State.RUNNING
    if sync.paused:
        return State.PAUSED
    return State.OK if last is not None else State.NO_RUNS


def _fits(sync: WatchedNow, wanted: Wanted) -> bool:
    if wanted.workspace and sync.workspace != wanted.workspace:
        return False
    return _is_labelled(sync.labels, wanted.label) and _is_named(sync, wanted.name.casefold())


def _is_labelled(labels: Labels, wanted: str) -> bool:
    key, has_value, value = wanted.partition("=")
    if not key:
        return True
    return key in labels and (not has_value or labels[key] == value)


def _is_named(sync: WatchedNow, wanted: str) -> bool:
    if not wanted or wanted == str(sync.id):
        return True
    name = (sync.label or "").casefold()
    return fnmatchcase(name, wanted) if any(sign in wanted for sign in "*?[") else wanted in name


def _labels(watched: Iterable[WatchedNow], most: int = 50) -> Sequence[str]:
    """What may be filtered by: some of the labels that there are."""
    shared = {id(each.labels): each.labels for each in watched}  # thousands have those of the same few watches
    return sorted({f"{key}={value}" for labels in shared.values() for key, value in labels.items()})[:most]
