"""Writes the body of an event: what every receiver gets, the same to the byte at every attempt. Pure.

`model/body.py` reads it.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from notifier.model.event import TEST_TYPE, CensusAlert, EventType
from notifier.model.foreign import ELLIPSIS
from notifier.model.identity import Id, id_of, run_page, sync_page
from notifier.model.incident import Incident
from notifier.model.measure import measure_json
from notifier.model.run import Change, PreviousRun, SyncRun
from notifier.model.sync import Labels
from notifier.model.times import timestamp

LARGEST: Final = 256 * 1024  # bytes
SHORTEST_CUT: Final = 1_000  # characters: no string is cut below this


def event_body(
    *,
    type: EventType,  # noqa: A002 - the interface's name
    seen_at: datetime,
    workspace: str,
    app_url: str,
    labels: Labels,
    sync_id: Id | None,
    sync_label: str | None,
    run: SyncRun | None = None,
    previous_run: PreviousRun | None = None,
    changes: Sequence[Change] = (),
    incident: Incident | None = None,
    alert: CensusAlert | None = None,
) -> bytes:
    """UTF-8 JSON in the shape of Standard Webhooks: type, timestamp, data. Over 256 KiB the longest strings are cut.

    Without a sync, `sync` is null. Without a run, an incident or an alert, the keys about one are left out. Of the run
    that an alert names, only the ID is known.
    """
    data: dict[str, Any] = {
        "workspace": workspace,
        "labels": dict(labels),
        "sync": _sync_json(sync_id, sync_label, run, app_url) if sync_id is not None else None,
    }
    if run is not None:
        data["sync_run"] = {**run.fields, "url": run_page(app_url, sync_id or run.sync_id, run.id)}
        data["previous_run"] = previous_run and {"id": previous_run.id, "status": previous_run.status}
        data["changes"] = [{"field": c.field, "old": c.old, "new": c.new} for c in changes]
    if incident is not None:
        data["incident"] = incident_json(incident)
        if (measure := measure_json(incident.measure)) is not None:
            data["incident"]["measure"] = measure
        if incident.summary is not None:
            data["summary"] = incident.summary
    if alert is not None:
        data["alert"] = alert_json(alert)
        if alert.run_id is not None and sync_id is not None:
            data["sync_run"] = {"id": alert.run_id, "url": run_page(app_url, sync_id, alert.run_id)}
    return encoded({"type": type.value, "timestamp": timestamp(seen_at), "data": data})


def _sync_json(sync_id: Id, label: str | None, run: SyncRun | None, app_url: str) -> dict[str, Any]:
    """A sync, with its ID as the API gave it: "52" stays text where the run says so, and is sync 52 all the same."""
    given = run.fields.get("sync_id") if run is not None else None
    return {"id": given if id_of(given) == sync_id else sync_id, "label": label, "url": sync_page(app_url, sync_id)}


def incident_json(incident: Incident) -> dict[str, Any]:
    """An incident as receivers get it."""
    good = incident.last_good_run
    return {
        "id": incident.id,
        "check": incident.check.value,
        "state": "open" if incident.is_open else "resolved",
        "reason": incident.reason and incident.reason.value,
        "opened_at": timestamp(incident.opened_at),
        "resolved_at": incident.resolved_at and timestamp(incident.resolved_at),
        "runs": incident.runs,
        "last_good_run": good and {"id": good.id, "completed_at": good.completed_at and timestamp(good.completed_at)},
    }


def alert_json(alert: CensusAlert) -> dict[str, Any]:
    """One of Census' own alerts as receivers get it."""
    return {
        "id": alert.id,
        "type": alert.kind,
        "message": alert.message,
        "details": alert.details,
        "url": alert.url,
    }


def body_of_test(receiver: str, sent_at: datetime) -> bytes:
    """What a receiver gets from `send-test`: no event of any sync."""
    message = "This is a test message. No sync did anything."
    data = {"receiver": receiver, "message": message}
    return encoded({"type": TEST_TYPE, "timestamp": timestamp(sent_at), "data": data})


def encoded(document: dict[str, Any]) -> bytes:
    """The document as bytes, its longest strings cut where it is too large; `data.truncated` then says so."""
    whole = _dump(document)
    if len(whole) <= LARGEST:
        return whole
    document["data"]["truncated"] = True
    longest = max((len(text) for text in _strings(document)), default=SHORTEST_CUT)
    low, high = SHORTEST_CUT, max(longest, SHORTEST_CUT)
    while low < high:  # the greatest length at which it fits; at the least, the shortest cut
        middle = (low + high + 1) // 2
        if len(_dump(_cut(document, middle))) <= LARGEST:
            low = middle
        else:
            high = middle - 1
    return _dump(_cut(document, low))


def _dump(document: object) -> bytes:
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:  # a whole number that 64 bits don't hold, which a run may have
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= most else value[: most - 1] + ELLIPSIS
    if isinstance(value, dict):
        return {key: _cut(item, most) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, most) for item in value]
    return value
