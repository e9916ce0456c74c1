"""A watched sync, its place in the workspace and what is remembered of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from notifier.model.api_version import ApiVersion
from notifier.model.hints import Hints
from notifier.model.identity import Id

Labels: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sync:
    """One sync of a workspace's list."""

    id: Id
    label: str | None
    status: str | None
    paused: bool
    created_at: datetime | None
    scheduled: bool = True
    """Unless its schedule is `never`."""

    def is_otherwise(self, other: "Sync") -> bool:
        """Whether it is called, paused or scheduled otherwise than another reading shows it."""
        mine, its = (self.label, self.paused, self.scheduled), (other.label, other.paused, other.scheduled)
        return mine != its


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a watched sync beside its runs; None is unknown."""

    paused: bool | None = None
    scheduled: bool | None = None
    stale_from: datetime | None = None
    """Before that, in the API's time, no completed run was due: watching or its schedule began then."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a sync's list of runs has been read."""

    run_id: Id | None
    """None where the list was empty."""
    created_at: datetime | None
    floor: datetime | None
    """Nothing created at or before it is ever news: it is the baseline, moved up past what retention removed."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Runs that came while nobody looked and were too many to report."""

    noticed_at: datetime
    oldest_reported_run_id: Id
    """All below it were not reported."""


@dataclass(frozen=True, slots=True)
class ListedSync:
    """What a listing says of a watched sync."""

    sync_id: Id
    label: str | None
    missing_listings: int = 0
    """How many listings in a row have lacked it."""


@dataclass(frozen=True, slots=True)
class WatchedSync:
    """A sync that is, was or could be watched, as the database knows it."""

    sync_id: Id
    label: str | None
    watched: bool
    mark: Mark | None
    """None where it was forgotten, or was never read."""
    missing_listings: int
    """How many listings in a row have lacked it."""
    standing: Standing = Standing()
    deleted: bool = False
    """Two listings lacked it, and none has shown it since."""
    unread_since: datetime | None = None
    """From when on its runs could not be read."""


@dataclass(frozen=True, slots=True)
class RunWatch:
    """A watch of a single run, as the database knows it."""

    sync_id: Id | None = None
    ended: bool = False
    misses: int = 0
    """How often in a row it was not found."""
    missing_since: datetime | None = None
    """From when on it was not found."""


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """A workspace as the database knows it."""

    name: str
    ok: bool = True
    last_error: str | None = None
    last_polled_at: datetime | None = None
    first_listed_at: datetime | None = None
    """When it was first listed, in the API's own time."""
    stretch: float = 1.0
    """The factor by which its intervals are longer than asked for."""
    needed_rate: float | None = None
    """The requests a second that its intervals ask for."""
    silent_since: datetime | None = None
    """When it first gave no usable answer, and has given none since."""
    listed_at: datetime | None = None
    """When it was last listed completely, in the API's own time."""
    unlisted_since: datetime | None = None
    """When its listing first gave no usable answer, and has given none since."""
    doubted_since: datetime | None = None
    """From when on listings lacked more than is believed."""
    refusals: int = 0
    """Answers in a row that refused the key."""
    app_url: str | None = None
    """Where Census' own pages of it are; None where no watchlist has said so yet."""
    api: ApiVersion | None = None
    """The version of the API that it is read by; None where no watchlist has said so yet."""
    source: str | None = None
    """Where the last listing came from that showed it: an address, and a group or the seal of a key. None where that
    is not known."""
    hints: Hints | None = None
    """How far its list of syncs is trusted to announce changes; None where that is not known yet."""
    announced: int = 0
    """Changes in a row that it announced, as far as they are counted."""
    requests_per_minute: int | None = None
    """How many requests there were in the last minute, when that was counted last."""
