"""An event's body, read: what its receivers, the page and the commands show of it. Pure.

It may be an older version's, or a newer one's, and holds what Census gave: what is missing is None or empty, and only a
body that is no JSON is an error. `judging/body.py` writes them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.model.measure import Measure, measure_of
from notifier.model.run import Change, GoodRun, PreviousRun
from notifier.model.times import parsed_time


@dataclass(frozen=True, slots=True)
class SyncToldOf:
    """The sync that an event is about."""

    id: object
    label: str | None
    url: str
    """Its page in Census."""


@dataclass(frozen=True, slots=True)
class IncidentToldOf:
    """An incident as one of its events has it."""

    check: str
    is_open: bool
    reason: str | None
    """Why it is over; None while it is open, too."""
    opened_at: datetime | None
    resolved_at: datetime | None
    runs: int
    """How many bad runs there were."""
    last_good_run: GoodRun | None
    measure: Measure | None
    """What the check found. None where the summary alone says it, as in all bodies of older versions."""


@dataclass(frozen=True, slots=True)
class AlertToldOf:
    """One of Census' own alerts."""

    kind: str | None
    message: str | None
    details: str | None
    url: str


@dataclass(frozen=True, slots=True)
class EventBody:
    """What a body says."""

    type: str
    """An EventType, a test's, or one of a version to come."""
    seen_at: datetime | None
    workspace: str | None = None
    labels: Mapping[str, object] = field(default_factory=dict)
    sync: SyncToldOf | None = None
    """None: it is about the workspace."""
    run: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Every field as the API gave it, and `url`; empty where it tells of no run."""
    previous_run: PreviousRun | None = None
    changes: tuple[Change, ...] = ()
    """What of the run is not what it was."""
    summary: str | None = None
    """What a check found, in a sentence."""
    incident: IncidentToldOf | None = None
    alert: AlertToldOf | None = None
    receiver: str | None = None
    """Of a test: who is to get it."""

    @classmethod
    def of(cls, body: bytes) -> "EventBody":
        """Reads a body. Raises ValueError for what is no JSON."""
        event = _mapping(json.loads(body))  # orjson refuses a number that no float holds, and a run may have one
        data = _mapping(event.get("data"))
        return cls(
            type=str(event.get("type") or ""),
            seen_at=parsed_time(event.get("timestamp")),
            workspace=_text(data.get("workspace")),
            labels=_mapping(data.get("labels")),
            sync=_sync(_mapping(data.get("sync"))),
            run=_mapping(data.get("sync_run")),
            previous_run=_previous_run(_mapping(data.get("previous_run"))),
            changes=_changes(data.get("changes")),
            summary=_text(data.get("summary")),
            incident=_incident(_mapping(data.get("incident"))),
            alert=_alert(_mapping(data.get("alert"))),
            receiver=_text(data.get("receiver")),
        )

    def change_of(self, name: str) -> Change | None:
        """The change of one field, if that is among what changed."""
        return next((change for change in self.changes if change.field == name), None)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sync(sync: Mapping[str, Any]) -> SyncToldOf | None:
    return SyncToldOf(sync.get("id"), _text(sync.get("label")), str(sync.get("url") or "")) if sync else None


def _previous_run(run: Mapping[str, Any]) -> PreviousRun | None:
    return PreviousRun(run["id"], str(run.get("status") or "")) if run.get("id") is not None else None


def _changes(changes: object) -> tuple[Change, ...]:
    given = map(_mapping, changes if isinstance(changes, list) else ())
    return tuple(Change(each["field"], each.get("old"), each.get("new")) for each in given if "field" in each)


def _incident(incident: Mapping[str, Any]) -> IncidentToldOf | None:
    if not incident:
        return None
    runs = incident.get("runs")
    return IncidentToldOf(
        check=str(incident.get("check") or ""),
        is_open=incident.get("state") != "resolved",
        reason=incident.get("reason"),
        opened_at=parsed_time(incident.get("opened_at")),
        resolved_at=parsed_time(incident.get("resolved_at")),
        runs=runs if isinstance(runs, int) else 0,
        last_good_run=_good_run(_mapping(incident.get("last_good_run"))),
        measure=measure_of(incident.get("measure")),
    )


def _good_run(run: Mapping[str, Any]) -> GoodRun | None:
    return GoodRun(run["id"], parsed_time(run.get("completed_at"))) if run.get("id") is not None else None


def _alert(alert: Mapping[str, Any]) -> AlertToldOf | None:
    if not alert:
        return None
    kind, message, details = (_text(alert.get(name)) for name in ("type", "message", "details"))
    return AlertToldOf(kind, message, details, str(alert.get("url") or ""))
