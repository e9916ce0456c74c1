"""A notification of a retried event tells how the incident ended by what its last event says, not by an earlier run."""

import json
from datetime import UTC, datetime

from notifier.model.delivery import Message, Story
from notifier.receivers.slack.story import Chapter

NOW = datetime(2026, 11, 23, 10, 5, tzinfo=UTC)
SYNC = {"id": 7, "label": "Orders", "url": "https://app.getcensus.com/syncs/7/history"}


def body(kind: str, state: str, **data: object) -> bytes:
    incident = {
        "id": "inc_1",
        "check": "unreadable",
        "state": state,
        "reason": "recovered" if state == "resolved" else None,
        "opened_at": "2026-11-20T10:00:00.000Z",
        "resolved_at": "2026-11-23T10:00:00.000Z" if state == "resolved" else None,
        "runs": 0,
        "last_good_run": None,
    }
    told = {"workspace": "prod", "labels": {}, "sync": SYNC, "incident": incident, **data}
    return json.dumps({"type": kind, "timestamp": "2026-11-23T10:00:00.000Z", "data": told}).encode()


def test_the_run_of_an_earlier_event_does_not_date_the_end_of_the_incident() -> None:
    """Wrong: `reply` hands `lines` the state that `Chapter.of` filled up with an earlier run (1bdd39d: the state as it
    was stored), so that the end is told by that run, and as days late."""
    run = {"id": 5, "completed_at": "2026-11-19T10:00:00.000Z", "url": "https://x/5"}
    opened = body("incident.opened", "open")
    story = Story(
        "incident:1",
        body("incident.resolved", "resolved"),
        "evt_end",
        run=body("incident.changed", "open", sync_run=run),
    )
    message = Message("evt_opened", "incident.opened", opened, story=story)

    reply = Chapter.of(message, story).reply(NOW, in_channel=False)

    assert reply.text.splitlines()[0] == "Orders's runs can be read again after 3 d"
