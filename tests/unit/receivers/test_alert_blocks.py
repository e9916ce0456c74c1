"""One of Census' own alerts in a Slack channel."""

import json
from datetime import UTC, datetime, timedelta

from notifier.judging.body import event_body
from notifier.model.body import EventBody
from notifier.model.event import CensusAlert, EventType
from notifier.receivers.slack.blocks.run import render

SEEN_AT = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
LINK = "https://app.getcensus.com/workspaces/3167/syncs/52/sync-history"


def a_body(alert: CensusAlert) -> bytes:
    return event_body(
        type=alert.type,
        seen_at=SEEN_AT,
        workspace="production",
        app_url="https://app.getcensus.com",
        labels={"team": "growth"},
        sync_id=52,
        sync_label="New Signups to Leads",
        alert=alert,
    )


def test_a_raised_alert_says_what_census_says_and_leads_there() -> None:
    kind = "FailureAlertConfiguration"
    alert = CensusAlert(7, EventType.CENSUS_ALERT_RAISED, kind, "Sync Failed", "a <!channel> & more", LINK, 93)
    message = render(EventBody.of(a_body(alert)), SEEN_AT, mentions=["@here"])
    assert message.text == "New Signups to Leads has an alert in Census: Sync Failed"
    rich, footer = message.blocks
    headline, details = rich["elements"]
    emoji, _, link, verb, *_ = headline["elements"]
    assert (emoji["name"], link["url"], verb["text"]) == ("bell", LINK, " has an alert in Census: Sync Failed")
    assert details["elements"][0]["text"] == "a <!channel> & more"
    assert footer["elements"][0]["text"] == "production · team: growth · FailureAlertConfiguration · run 93 ·"
    assert message.plain.splitlines() == [
        "New Signups to Leads has an alert in Census: Sync Failed <!here>",
        "a &lt;!channel&gt; &amp; more",
        "production · team: growth · FailureAlertConfiguration · run 93 · 2026-11-23 10:15 UTC",
        LINK,
    ]


def test_a_resolved_alert_of_which_little_is_known_reads_well() -> None:
    message = render(
        EventBody.of(a_body(CensusAlert("x", EventType.CENSUS_ALERT_RESOLVED))), SEEN_AT + timedelta(hours=2)
    )
    assert message.text == "New Signups to Leads: an alert in Census is over (2 h late)"
    assert len(message.blocks) == 2
    assert len(message.blocks[0]["elements"]) == 1
    assert message.blocks[0]["elements"][0]["elements"][2]["url"] == "https://app.getcensus.com/syncs/52/history"


def test_the_body_has_what_is_known_and_null_for_the_rest() -> None:
    data = json.loads(a_body(CensusAlert("x", EventType.CENSUS_ALERT_RAISED)))["data"]
    assert data["alert"] == {"id": "x", "type": None, "message": None, "details": None, "url": None}
    assert "sync_run" not in data
    assert "changes" not in data
