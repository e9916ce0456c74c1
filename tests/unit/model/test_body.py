"""An event's body, read again: what was written is there, and what somebody else wrote stops nobody."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.judging.body import body_of_test, event_body
from notifier.model.body import AlertToldOf, EventBody, IncidentToldOf, SyncToldOf
from notifier.model.event import CensusAlert, EventType
from notifier.model.incident import Check, Reason
from notifier.model.measure import Running
from notifier.model.run import Change, GoodRun, PreviousRun
from tests.builders import NOW, a_run, an_incident

URL = "https://app.getcensus.com/syncs/52/history"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "workspace",
    "labels",
    "sync",
    "sync_run",
    "previous_run",
    "changes",
    "summary",
    "incident",
    "alert",
    "receiver",
)
INNER = (
    "id",
    "label",
    "url",
    "field",
    "old",
    "check",
    "state",
    "runs",
    "opened_at",
    "last_good_run",
    "measure",
    "type",
)
DATA = st.dictionaries(st.sampled_from(KEYS), JSON | st.dictionaries(st.sampled_from(INNER), JSON), max_size=6)


def body(kind: EventType = EventType.FAILED, **given: Any) -> EventBody:
    """What is read of a body of ours."""
    of_sync = {
        "sync_id": 52,
        "sync_label": "Leads",
        "labels": {"team": "growth"},
        "app_url": URL.partition("/syncs")[0],
    }
    return EventBody.of(event_body(**{"type": kind, "seen_at": NOW, "workspace": "production", **of_sync, **given}))


def test_a_runs_event_says_whose_run_it_is_and_what_changed() -> None:
    changes = (Change("status", "working", "failed"), Change("error_code", None, "E1"))
    read = body(run=a_run(93, status="failed"), previous_run=PreviousRun(92, "completed"), changes=changes)
    assert (read.type, read.seen_at, read.workspace, read.labels) == (
        "sync_run.failed",
        NOW,
        "production",
        {"team": "growth"},
    )
    assert read.sync == SyncToldOf(52, "Leads", URL)
    assert read.run == {"id": 93, "sync_id": 52, "status": "failed", "url": f"{URL}?sync_run_id=93"}
    assert (read.previous_run, read.changes) == (PreviousRun(92, "completed"), changes)
    assert read.change_of("error_code") == changes[1]
    assert (read.change_of("canceled"), read.incident, read.alert) == (None, None, None)


def test_an_incidents_event_has_the_incident_and_what_was_found() -> None:
    found, good = Running(timedelta(hours=2)), GoodRun(92, None)
    over: dict[str, Any] = {"resolved_at": NOW, "reason": Reason.DELETED}
    incident = an_incident(Check.SLOW_RUN, measure=found, last_good_run=good, runs=3, **over)
    read = body(EventType.INCIDENT_RESOLVED, incident=incident)
    assert read.summary == "running for more than 2 h"
    assert read.incident == IncidentToldOf("slow_run", False, "deleted", NOW, NOW, 3, good, found)
    assert (read.run, read.changes) == ({}, ())


def test_a_workspaces_event_has_no_sync() -> None:
    assert body(EventType.INCIDENT_OPENED, sync_id=None).sync is None


def test_an_alert_and_a_test_have_what_is_theirs() -> None:
    alert = CensusAlert(7, EventType.CENSUS_ALERT_RAISED, "FailureAlert", "Sync Failed", "all of it", "https://x", 93)
    read = body(EventType.CENSUS_ALERT_RAISED, alert=alert)
    assert read.alert == AlertToldOf("FailureAlert", "Sync Failed", "all of it", "https://x")
    assert read.run["id"] == 93
    assert EventBody.of(body_of_test("growth", NOW)).receiver == "growth"


def test_text_that_is_none_is_shown_as_json() -> None:
    read = EventBody.of(json.dumps({"data": {"sync": {"id": 1, "label": {"é": 1}}, "summary": 5}}).encode())
    assert read.sync == SyncToldOf(1, '{"é": 1}', "")
    assert read.summary == "5"


@given(JSON | st.fixed_dictionaries({"data": DATA}, optional={"type": JSON, "timestamp": JSON}))
def test_whatever_is_json_can_be_read(document: Any) -> None:
    EventBody.of(json.dumps(document).encode())


@pytest.mark.parametrize("broken", [b"", b"{", b"\xff"])
def test_what_is_no_json_can_not(broken: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own, whose words are its own
        EventBody.of(broken)
