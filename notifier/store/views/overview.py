"""How the worker, its workspaces and its receivers are: what `notifier status` and the page both begin with.

In plain SQL: a look at the status, a container's health check among them, takes half of the time without SQLAlchemy.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from notifier.model.api_version import ApiVersion
from notifier.model.check import Check
from notifier.model.delivery_state import DeliveryState
from notifier.model.hints import Hints
from notifier.store.sql.stored import Look, Row, maybe_time, time_of


@dataclass(frozen=True, slots=True)
class WorkerView:
    """The worker's last sign of life."""

    version: str
    started_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """How a workspace's API fares."""

    name: str
    ok: bool = True
    last_error: str | None = None
    last_polled_at: datetime | None = None
    stretch: float = 1.0
    """Above 1 where the intervals are longer than asked for."""
    needed_rate: float | None = None
    """How many requests a second would avoid that."""
    down_since: datetime | None = None
    """When it first gave no usable answer, and has given none since."""
    api: ApiVersion | None = None
    """The version of the API by which it is read; None until a worker that knows versions has started."""
    hints: Hints | None = None
    """How far its list of syncs is trusted; None until a worker that knows hints has started."""
    requests_per_minute: int | None = None
    """How many there were in a minute, not long ago."""


@dataclass(frozen=True, slots=True)
class ReceiverView:
    """Whether a receiver takes messages, and how many deliveries it has that are not delivered."""

    name: str
    broken_since: datetime | None = None
    failing_since: datetime | None = None
    last_error: str | None = None
    last_accepted_at: datetime | None = None
    pending: int = 0
    dead: int = 0

    @property
    def works(self) -> bool:
        """Whether it takes messages as far as is known."""
        return self.broken_since is None and self.failing_since is None


@dataclass(frozen=True, slots=True)
class Overview:
    """Workspaces and receivers by their names, in order."""

    worker: WorkerView | None
    workspaces: Mapping[str, WorkspaceView]
    receivers: Mapping[str, ReceiverView]


def overview_of(look: Look, configured: Collection[str], *, with_removed: bool) -> Overview:
    """`configured`: the receivers of the watchlist, which are there even before their first event.

    Of others, those that the database still keeps are there; `with_removed`: those that have unfinished deliveries.
    """
    return Overview(worker_of(look), _workspaces(look), _receivers(look, configured, with_removed))


def worker_of(look: Look) -> WorkerView | None:
    """Of several workers the one that has been there longest, and the newest sign of life of any. None where no worker
    has run yet."""
    rows = list(look.rows(look.replicas)) or list(look.rows("SELECT * FROM worker"))
    if not rows:
        return None
    oldest = min(rows, key=lambda row: row["started_at"])
    last_seen_at = max(row["last_seen_at"] for row in rows)
    return WorkerView(oldest["version"], time_of(oldest["started_at"]), time_of(last_seen_at))


def _workspaces(look: Look) -> Mapping[str, WorkspaceView]:
    return {
        row["name"]: WorkspaceView(
            name=row["name"],
            ok=bool(row["ok"]),
            last_error=row["last_error"],
            last_polled_at=maybe_time(row["last_polled_at"]),
            stretch=row["stretch"],
            needed_rate=row["needed_rate"],
            down_since=maybe_time(row["silent_since"]),
            api=ApiVersion(row["api"]) if row["api"] is not None else None,
            hints=Hints(row["hints"]) if row["hints"] is not None else None,
            requests_per_minute=row["requests_per_minute"],
        )
        for row in look.rows("SELECT * FROM workspaces ORDER BY name")
    }


def _receivers(look: Look, configured: Collection[str], with_removed: bool) -> Mapping[str, ReceiverView]:
    known = {row["name"]: row for row in look.rows("SELECT * FROM receivers")}
    pending, dead = _counts(look, DeliveryState.PENDING), _counts(look, DeliveryState.DEAD)
    others = pending.keys() | dead.keys() if with_removed else known.keys()
    return {
        name: _receiver(name, known.get(name), pending.get(name, 0), dead.get(name, 0))
        for name in sorted({*configured, *others})
    }


def _counts(look: Look, state: DeliveryState) -> Mapping[str, int]:
    # A literal, not a parameter, so that the database sees that a partial index has the answer.
    count = f"SELECT receiver, count(*) AS number FROM deliveries WHERE state = '{state.value}' GROUP BY receiver"  # noqa: S608
    return {row["receiver"]: row["number"] for row in look.rows(count)}


def _receiver(name: str, row: Row | None, pending: int, dead: int) -> ReceiverView:
    if row is None:
        return ReceiverView(name, pending=pending, dead=dead)
    return ReceiverView(
        name=name,
        broken_since=maybe_time(row["broken_since"]),
        failing_since=maybe_time(row["failed_since"]) if row["failing"] else None,
        last_error=row["last_error"],
        last_accepted_at=maybe_time(row["last_accepted_at"]),
        pending=pending,
        dead=dead,
    )


def open_incidents(look: Look) -> Mapping[Check, int]:
    """How many incidents of each check are open; those of none are left out."""
    of_each = f'SELECT "check", count(*) AS number FROM incidents WHERE "open" = {look.yes} GROUP BY "check"'  # noqa: S608
    found = {row["check"]: row["number"] for row in look.rows(of_each)}
    return {check: found[check] for check in Check if check in found}
