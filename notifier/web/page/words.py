"""What the status page says of events, incidents and of the notifier itself. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from notifier.model.body import EventBody
from notifier.model.event import EventType
from notifier.model.foreign import error_line
from notifier.model.identity import Id, run_page, sync_page
from notifier.model.incident import CHECK_WORDS, Incident
from notifier.model.times import counted
from notifier.store.views.events import EventView
from notifier.store.views.overview import ReceiverView, WorkspaceView
from notifier.store.views.page import SyncKey
from notifier.watchlist.models import Workspace


class Mood(StrEnum):
    """How much something should draw the eye."""

    WELL = "well"
    WAITING = "waiting"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Headline:
    """Whether the notifier is well, in a line, and why not."""

    mood: Mood
    title: str
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event in a line."""

    id: str
    at: datetime
    type: str
    sync: str | None
    key: SyncKey | None
    workspace: str
    run_id: Id | None
    run_url: str | None
    old: str | None
    new: str | None
    note: str | None
    """What there is to say beside old and new."""


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """An incident in a line."""

    incident: Incident
    words: str
    key: SyncKey | None
    url: str | None
    """Leads to its last run in Census, or to its sync."""


class Links:
    """Where things are in Census: only in workspaces of the watchlist, which says to which host."""

    def __init__(self, workspaces: Mapping[str, Workspace]) -> None:
        self._hosts = {name: workspace.app_url for name, workspace in workspaces.items()}

    def sync(self, workspace: str, sync_id: Id | None) -> str | None:
        host = self._hosts.get(workspace)
        return sync_page(host, sync_id) if host is not None and sync_id is not None else None

    def run(self, workspace: str, sync_id: Id | None, run_id: Id | None) -> str | None:
        host = self._hosts.get(workspace)
        if host is None or sync_id is None or run_id is None:
            return self.sync(workspace, sync_id)
        return run_page(host, sync_id, run_id)


def health_headline(
    ailment: str | None,
    not_ready: str | None,
    not_in_force: str | None,
    workspaces: Sequence[WorkspaceView],
    receivers: Sequence[ReceiverView],
    unread: Collection[SyncKey] = (),
) -> Headline:
    """How well the notifier is. The worst comes first: what a restart may mend, then what only people can mend, then
    that it has just started. `unread`: syncs that can't be read; where their workspace can't be read either, only the
    workspace is named."""
    down = [f"{each.name} can't be read" for each in workspaces if not each.ok]
    answering = {each.name for each in workspaces if each.ok}
    if silent := sum(workspace in answering for workspace, _ in unread):
        down.append(f"{counted(silent, 'sync')} can't be read")
    broken = [f"{each.name} takes no messages" for each in receivers if not each.works]
    wrong = _outdated(not_in_force)
    if ailment is not None:
        return Headline(Mood.BAD, "The notifier is not healthy", [ailment, *down, *broken, *wrong])
    if down or broken:
        return Headline(Mood.BAD, "The notifier works, but not everywhere", [*down, *broken, *wrong])
    if wrong:
        return Headline(Mood.BAD, "The notifier works by the watchlist before", wrong)
    if not_ready is not None:
        return Headline(Mood.WAITING, "The notifier is starting", [not_ready])
    return Headline(Mood.WELL, "The notifier is well", [])


def _outdated(not_in_force: str | None) -> list[str]:
    """The first mistake of a watchlist that is not in force."""
    if not_in_force is None:
        return []
    first, *others = not_in_force.splitlines()
    more = f" (and {len(others)} more)" if others else ""
    return [f"the changed watchlist is wrong, the one before is in force: {first}{more}"]


def event_line(event: EventView, links: Links) -> EventLine:
    """An event, as its own body tells it."""
    said = EventBody.of(event.body)
    change = said.change_of("status") or next(iter(said.changes), None)
    alert = said.alert
    note = _summary(event.type, said) or (alert and (alert.message or alert.details))
    return EventLine(
        id=event.id,
        at=event.seen_at,
        type=event.type,
        sync=_name(said.sync and said.sync.label, event.sync_id),
        key=(event.workspace, event.sync_id) if event.sync_id is not None else None,
        workspace=event.workspace,
        run_id=event.run_id,
        run_url=links.run(event.workspace, event.sync_id, event.run_id),
        old=_value(change.old) if change else None,
        new=_value(change.new) if change else None,
        note=str(note) if note else _error_of(said.run),
    )


def incident_line(incident: Incident, links: Links) -> IncidentLine:
    """An incident, its check in words."""
    return IncidentLine(
        incident,
        CHECK_WORDS[incident.check],
        (incident.workspace, incident.sync_id) if incident.sync_id is not None else None,
        links.run(incident.workspace, incident.sync_id, incident.last_run_id),
    )


def _name(label: object, sync_id: Id | None) -> str | None:
    return None if sync_id is None else str(label or f"sync {sync_id}")


def _value(value: object) -> str:
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _summary(kind: str, said: EventBody) -> str | None:
    """What an incident's event says; at its end, that it is no longer so."""
    return f"it was: {said.summary}" if said.summary and kind == EventType.INCIDENT_RESOLVED else said.summary


def _error_of(run: Mapping[str, Any]) -> str | None:
    return error_line(run.get("error_code"), run.get("error_message"), run.get("error_detail")) or None
