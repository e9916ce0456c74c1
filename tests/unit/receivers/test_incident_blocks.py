"""Incidents as Slack messages: what a reader is told, and that nothing that Census says can do more than be read."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.cli.demo.slack_terminal import emoji
from notifier.model.body import EventBody
from notifier.model.event import EventType
from notifier.model.incident import Check, Reason
from notifier.model.times import timestamp
from notifier.receivers.slack.blocks.run import EMOJI, render
from notifier.receivers.slack.blocks.text import LARGEST_TEXT, Rendered, escaped, in_bytes
from notifier.receivers.words.phrases import GOOD, OVER, WORDS
from notifier.simulator.slack.block_kit import problems_of, text_length
from tests.builders import NOW, at

URL = "https://app.getcensus.com/syncs/52/history"
NAME = "New Signups to Leads"
UTC_TIME = r"\d{1,4}-\d\d-\d\d \d\d:\d\d"
BEFORE = "(since |noticed |from |to |[(]|)"
DATE = re.compile(rf"<!date\^\d+\^{BEFORE}\{{date_short_pretty\}} at \{{time\}}(\)?)\|\1({UTC_TIME}) UTC\2>")
REJECTED = "12 of 14 records were rejected or invalid (86 %)"
UNUSUAL = "1,240 records sent, the mean of the runs before is 18,340"
SLOW = "running for more than 2 h"
STALE = "no run has completed for more than 1 d 2 h"
UNAUTHORIZED = "HTTP 401 Unauthorized: the API key is wrong or lacks access"
UNREAD = "no readable answer for more than 30 min: HTTP 500 Internal Server Error"
ONE_UNREAD = "run 94 can't be read for more than 30 min: HTTP 500"
NO_ANSWER = "no usable answer for more than 5 min: the list of syncs: HTTP 404 Not Found"
SUMMARIES = {
    Check.FAILING: None,
    Check.REJECTED_RECORDS: REJECTED,
    Check.RECORD_COUNT: UNUSUAL,
    Check.SLOW_RUN: SLOW,
    Check.STALE: STALE,
    Check.UNREACHABLE: UNAUTHORIZED,
    Check.UNREADABLE: UNREAD,
}
INCIDENT_EVENTS = [kind for kind in EventType if kind.startswith("incident.")]
ALL_MENTIONS = ("@here", "@channel", "@everyone", "<@U0123>", "<@W0123>", "<!subteam^S0123>")


def a_run(number: int = 93, status: str = "failed", **fields: Any) -> dict[str, Any]:
    run = {
        "id": number,
        "status": status,
        "url": f"{URL}?sync_run_id={number}",
        "created_at": timestamp(at(-185)),
        "updated_at": timestamp(at(-0.5)),
        "completed_at": timestamp(at(-0.5)) if status != "working" else None,
    }
    if status == "failed":
        run |= {
            "error_code": "JSON_ARRAY_ERROR",
            "error_message": "The array field being used does not appear to be valid JSON",
            "error_detail": "Make sure that it is formatted as a JSON array",
        }
    return run | fields


def change(field: str, old: Any, new: Any) -> dict[str, Any]:
    return {"field": field, "old": old, "new": new}


def an_incident(
    kind: str = "opened", check: Check = Check.FAILING, run: dict[str, Any] | None = None, **given: Any
) -> bytes:
    """The body of an incident's event. What is given is the incident's or, by its name, the data's."""
    whole: dict[str, Any] = {
        "workspace": "production",
        "labels": {"team": "growth"},
        "sync": {"id": 52, "label": NAME, "url": URL} if check is not Check.UNREACHABLE else None,
    }
    if run is not None:
        whole |= {"sync_run": run, "previous_run": None, "changes": [change("status", "working", run.get("status"))]}
    incident = {
        "id": "inc_1",
        "check": check.value,
        "state": "resolved" if kind == "resolved" else "open",
        "reason": "recovered" if kind == "resolved" else None,
        "opened_at": timestamp(at(-0.1 if kind == "opened" else -192)),
        "resolved_at": timestamp(NOW) if kind == "resolved" else None,
        "runs": 1,
        "last_good_run": {"id": 92, "completed_at": timestamp(at(-1_500))},
    }
    whole["incident"] = incident | {key: value for key, value in given.items() if key in incident}
    if kind != "resolved" and SUMMARIES[check] is not None:
        whole["summary"] = SUMMARIES[check]
    whole |= {key: value for key, value in given.items() if key not in incident}
    return json.dumps({"type": f"incident.{kind}", "timestamp": timestamp(NOW), "data": whole}).encode()


def of_run(kind: str, run: dict[str, Any], *changes: dict[str, Any]) -> bytes:
    """The body of a run's own event."""
    data = {
        "workspace": "production",
        "labels": {},
        "sync": {"id": 52, "label": NAME, "url": URL},
        "sync_run": run,
        "previous_run": None,
        "changes": list(changes) or [change("status", "queued", run.get("status"))],
    }
    return json.dumps({"type": f"sync_run.{kind}", "timestamp": timestamp(NOW), "data": data}).encode()


def taken(rendered: Rendered) -> Rendered:
    """The message, which Slack takes when it is posted and when it is edited."""
    assert problems_of(list(rendered.blocks)) == []
    assert text_length(list(rendered.blocks)) <= 9_000
    assert 0 < in_bytes(rendered.text) < 3_900
    assert 0 < in_bytes(rendered.plain) < 3_900
    return rendered


def told(body: bytes, now: datetime = NOW, **options: Any) -> Rendered:
    latest = options.pop("latest", None)
    newest = EventBody.of(latest) if latest is not None else None
    return taken(render(EventBody.of(body), now, latest=newest, **options))


def seen(element: Any) -> str:
    """What a reader sees of an element: emoji and mentions by their names, times and their words in brackets."""
    match element["type"]:
        case "emoji":
            return f":{element['name']}:"
        case "broadcast" | "user" | "usergroup":
            return "@" + str(element.get("range") or element.get("user_id") or element.get("usergroup_id"))
        case "mrkdwn":
            return f"[{DATE.sub(lambda found: found[1] + found[3] + found[2], element['text'])}]"
        case "rich_text_section" | "rich_text_preformatted":
            return "".join(map(seen, element["elements"]))
        case _:
            return str(element["text"])


def shown(rendered: Rendered) -> list[str]:
    """The lines of a message."""
    return [
        line
        for block in rendered.blocks
        for line in (
            map(seen, block["elements"])
            if block["type"] == "rich_text"
            else [" ".join(seen(element) for element in block["elements"])]
        )
    ]


def links(rendered: Rendered) -> list[str]:
    return re.findall(r'"url": "([^"]*)"', json.dumps(rendered.blocks))


# --- what is told while it is open ---


def test_a_sync_that_begins_to_fail_says_why_since_when_and_which_run_was_the_last_good_one() -> None:
    rendered = told(an_incident(run=a_run()))
    assert shown(rendered) == [
        ":red_circle: New Signups to Leads is failing",
        "JSON_ARRAY_ERROR The array field being used does not appear to be valid JSON",
        "Make sure that it is formatted as a JSON array",
        "last good run 92 [(2026-11-22 09:15)]",
        "production · team: growth · run 93 · [since 2026-11-23 10:15]",
    ]
    assert links(rendered) == [f"{URL}?sync_run_id=93"]
    assert rendered.text == "New Signups to Leads is failing: run 93, JSON_ARRAY_ERROR"


def test_the_plain_text_says_all_of_it() -> None:
    assert told(an_incident("changed", run=a_run(95), runs=3), living=True).plain.splitlines() == [
        "New Signups to Leads is failing · 3 runs",
        "JSON_ARRAY_ERROR: The array field being used does not appear to be valid JSON",
        "Make sure that it is formatted as a JSON array",
        "last good run 92 (2026-11-22 09:15 UTC)",
        "production · team: growth · run 95 · since 2026-11-23 07:03 UTC",
        f"{URL}?sync_run_id=95",
    ]


@pytest.mark.parametrize(
    ("check", "run", "headline", "below", "text"),
    [
        (
            Check.REJECTED_RECORDS,
            a_run(status="completed"),
            ":large_yellow_circle: New Signups to Leads rejects records",
            [REJECTED, "last good run 92 [(2026-11-22 09:15)]"],
            f"New Signups to Leads rejects records: {REJECTED}",
        ),
        (
            Check.RECORD_COUNT,
            a_run(status="completed"),
            ":large_yellow_circle: New Signups to Leads sent an unusual number of records",
            ["1,240 records, usually about 18,340"],
            "New Signups to Leads sent an unusual number of records: 1,240 records, usually about 18,340",
        ),
        (
            Check.SLOW_RUN,
            a_run(status="working"),
            ":turtle: New Signups to Leads has been running for more than 2 h",
            [],
            "New Signups to Leads has been running for more than 2 h: run 93",
        ),
        (
            Check.STALE,
            None,
            ":zzz: New Signups to Leads has not completed a run for more than 1 d 2 h",
            ["last good run 92 [(2026-11-22 09:15)]"],
            "New Signups to Leads has not completed a run for more than 1 d 2 h",
        ),
        (
            Check.UNREACHABLE,
            None,
            ":electric_plug: Census can't be read: production",
            [UNAUTHORIZED],
            f"Census can't be read: production, {UNAUTHORIZED}",
        ),
        (
            Check.UNREADABLE,
            None,
            ":satellite_antenna: New Signups to Leads's runs can't be read",
            [UNREAD, "last good run 92 [(2026-11-22 09:15)]"],
            f"New Signups to Leads's runs can't be read: {UNREAD}",
        ),
    ],
)
def test_every_check_says_what_is_wrong(
    check: Check, run: dict[str, Any] | None, headline: str, below: list[str], text: str
) -> None:
    given: dict[str, Any] = {"labels": {}, "last_good_run": None} if check is Check.UNREACHABLE else {}
    rendered = told(an_incident("opened", check, run, **given))
    first, *rest, _footer = shown(rendered)
    assert (first, rest, rendered.text) == (headline, below, text)


@pytest.mark.parametrize(
    ("check", "footer"),
    [
        (Check.FAILING, "production · team: growth · run 93 · [since 2026-11-23 07:03]"),
        (Check.SLOW_RUN, "production · team: growth · run 93 · [since 2026-11-23 07:10]"),  # when the run began
        (Check.STALE, "production · team: growth · run 93"),  # the last good run says since when
        (Check.UNREACHABLE, "production · team: growth · [since 2026-11-23 07:03]"),
    ],
)
def test_the_last_line_says_where_and_since_when(check: Check, footer: str) -> None:
    run = a_run() if check is not Check.UNREACHABLE else None
    assert shown(told(an_incident("changed", check, run)))[-1] == footer


@pytest.mark.parametrize("check", [Check.SLOW_RUN, Check.STALE])
def test_where_it_is_unknown_since_when_it_says_when_it_was_noticed(check: Check) -> None:
    body = an_incident("reminder", check, last_good_run={"id": 92, "completed_at": None})
    assert shown(told(body))[-1] == "production · team: growth · [noticed 2026-11-23 07:03]"


def test_the_workspace_has_no_page_to_lead_to() -> None:
    assert links(told(an_incident("opened", Check.UNREACHABLE))) == []


def test_without_a_run_the_headline_leads_to_the_sync() -> None:
    assert links(told(an_incident("opened", Check.STALE))) == [URL]


@pytest.mark.parametrize(
    ("check", "runs", "headline"),
    [
        (Check.FAILING, 1, ":red_circle: New Signups to Leads is failing"),
        (Check.FAILING, 1_200, ":red_circle: New Signups to Leads is failing · 1,200 runs"),
        (Check.REJECTED_RECORDS, 2, ":large_yellow_circle: New Signups to Leads rejects records · 2 runs"),
        (
            Check.RECORD_COUNT,
            3,
            ":large_yellow_circle: New Signups to Leads sent an unusual number of records · 3 runs",
        ),
        (Check.SLOW_RUN, 2, ":turtle: New Signups to Leads has been running for more than 2 h"),
    ],
)
def test_the_headline_counts_more_than_one_bad_run_and_nothing_else_does(
    check: Check, runs: int, headline: str
) -> None:
    rendered = told(an_incident("changed", check, a_run(status="completed"), runs=runs), living=True)
    first, *rest = shown(rendered)
    assert first == headline
    assert rendered.text.startswith(headline.split(": ", 1)[1])
    assert not any("runs" in line for line in rest)


@pytest.mark.parametrize(
    ("check", "headline"),
    [
        (Check.FAILING, ":red_circle: New Signups to Leads is still failing · 12 runs"),
        (Check.REJECTED_RECORDS, ":large_yellow_circle: New Signups to Leads still rejects records · 12 runs"),
        (
            Check.RECORD_COUNT,
            ":large_yellow_circle: New Signups to Leads still sends an unusual number of records · 12 runs",
        ),
        (Check.SLOW_RUN, ":turtle: New Signups to Leads is still running after more than 5 h 12 min"),
        (Check.STALE, ":zzz: New Signups to Leads still has not completed a run for more than 1 d 2 h"),
        (Check.UNREACHABLE, ":electric_plug: Census still can't be read: production"),
        (Check.UNREADABLE, ":satellite_antenna: New Signups to Leads's runs still can't be read"),
    ],
)
def test_a_reminder_says_that_it_is_still_so(check: Check, headline: str) -> None:
    assert shown(told(an_incident("reminder", check, runs=12)))[0] == headline


def test_a_reminder_that_knows_the_last_run_goes_on_saying_why() -> None:
    rendered = told(an_incident("reminder", run=a_run(95), runs=12, changes=[]))
    assert shown(rendered)[1].startswith("JSON_ARRAY_ERROR The array")
    assert rendered.text == "New Signups to Leads is still failing · 12 runs: run 95, JSON_ARRAY_ERROR"
    assert told(an_incident("reminder", runs=12)).text == "New Signups to Leads is still failing · 12 runs"


# --- a message of one event, and one that is edited ---


@pytest.mark.parametrize(
    ("check", "run", "given", "headline"),
    [
        (Check.FAILING, a_run(95), {"runs": 3}, "failed again · 3 runs"),
        (Check.FAILING, a_run(95), {"runs": 3, "summary": "another error"}, "failed again with another error · 3 runs"),
        (
            Check.FAILING,
            a_run(95),
            {"summary": "another error", "changes": [change("error_code", "A", "B")]},
            "has another error",
        ),
        (Check.REJECTED_RECORDS, a_run(95, "completed"), {"runs": 2}, "rejected records again · 2 runs"),
        (
            Check.RECORD_COUNT,
            a_run(95, "completed"),
            {"runs": 2},
            "sent an unusual number of records again · 2 runs",
        ),
        (Check.SLOW_RUN, a_run(95, "working"), {}, "has been running for more than 2 h"),
    ],
)
def test_a_message_of_another_bad_run_says_that_it_happened_again(
    check: Check, run: dict[str, Any], given: dict[str, Any], headline: str
) -> None:
    rendered = told(an_incident("changed", check, run, **given))
    assert shown(rendered)[0] == f":{WORDS[check].emoji}: New Signups to Leads {headline}"
    assert rendered.text.startswith(f"New Signups to Leads {headline}: ")
    assert rendered.plain.startswith(f"New Signups to Leads {headline}\n")


def test_a_living_message_says_how_things_are_whatever_event_it_is_made_of() -> None:
    body = an_incident("changed", run=a_run(95), runs=3, summary="another error")
    rendered = told(body, living=True)
    assert shown(rendered)[0] == ":red_circle: New Signups to Leads is failing · 3 runs"
    assert shown(rendered)[1:] == shown(told(body))[1:]
    assert rendered.text == "New Signups to Leads is failing · 3 runs: run 95, JSON_ARRAY_ERROR"


@pytest.mark.parametrize("kind", ["opened", "reminder", "resolved"])
@pytest.mark.parametrize("check", Check)
def test_all_other_events_read_the_same_in_a_living_message(kind: str, check: Check) -> None:
    body = an_incident(kind, check, a_run(98, "completed"), runs=3)
    assert told(body, living=True) == told(body)


# --- what the newest run does ---


@pytest.mark.parametrize(
    ("kind", "run", "said"),
    [
        ("queued", {"status": "queued"}, "now: run 96 is queued"),
        ("working", {"status": "working"}, "now: run 96 is running"),
        ("skipped", {"status": "skipped"}, "then: run 96 was skipped"),
        ("canceled", {"status": "canceled"}, "then: run 96 was canceled"),
        ("completed", {"status": "completed"}, "then: run 96 completed"),
        ("completed", {"status": "completed", "records_failed": 3}, "then: run 96 completed, 3 rejected"),
        ("failed", {"status": "failed"}, "then: run 96 failed"),
        ("status_changed", {"status": "preparing"}, "then: run 96 is now “preparing”"),
        ("full_sync", {"status": "working"}, "then: run 96 is running a full sync"),
    ],
)
def test_what_the_newest_run_does_is_said_in_a_few_words(kind: str, run: dict[str, Any], said: str) -> None:
    latest = of_run(kind, {"id": 96, **run})
    rendered = told(an_incident("changed", run=a_run(95), runs=3), latest=latest, living=True)
    assert shown(rendered)[3] == f"{said} · last good run 92 [(2026-11-22 09:15)]"
    assert rendered.text == f"New Signups to Leads is failing · 3 runs: run 95, JSON_ARRAY_ERROR ({said})"


def test_an_error_that_reads_differently_now_takes_the_place_of_the_old_one() -> None:
    latest = of_run("error_changed", a_run(95, error_message="Another place"), change("error_message", "a", "b"))
    lines = shown(told(an_incident("changed", run=a_run(95), runs=3), latest=latest))
    assert lines[1] == "JSON_ARRAY_ERROR Another place"
    assert lines[3] == "last good run 92 [(2026-11-22 09:15)]"
    other = of_run("error_changed", a_run(94), change("error_message", "a", "b"))
    assert "then: run 94 has a new error" in shown(told(an_incident(run=a_run(95)), latest=other))[3]


def test_what_is_over_says_nothing_of_later_runs() -> None:
    body = an_incident("resolved", run=a_run(98, "completed"))
    assert told(body, latest=of_run("working", a_run(99, "working"))) == told(body)


# --- how it ended ---


def test_a_sync_that_recovered_says_how_long_it_lasted_how_many_failed_and_which_succeeded() -> None:
    rendered = told(an_incident("resolved", run=a_run(98, "completed"), runs=5))
    assert shown(rendered) == [
        ":white_check_mark: New Signups to Leads recovered after 3 h 12 min",
        "5 runs failed · run 98 succeeded",
        "production · team: growth · run 98 · [from 2026-11-23 07:03] [to 2026-11-23 10:15]",
    ]
    assert rendered.text == "New Signups to Leads recovered after 3 h 12 min, 5 runs had failed"
    assert rendered.plain.splitlines()[2] == (
        "production · team: growth · run 98 · from 2026-11-23 07:03 UTC to 2026-11-23 10:15 UTC"
    )
    assert links(rendered) == [f"{URL}?sync_run_id=98"]


@pytest.mark.parametrize(
    ("check", "run", "lines"),
    [
        (Check.FAILING, {}, ["recovered after 3 h 12 min", "1 run failed · run 98 succeeded"]),
        (
            Check.REJECTED_RECORDS,
            {"records_processed": 18_340, "records_failed": 3, "records_invalid": 2},
            ["recovered after 3 h 12 min of rejected records", "1 run rejected records · run 98 rejected 5 of 18,342"],
        ),
        (
            Check.REJECTED_RECORDS,
            {},
            ["recovered after 3 h 12 min of rejected records", "1 run rejected records · run 98 rejected none"],
        ),
        (
            Check.RECORD_COUNT,
            {"records_processed": 18_340},
            [
                "recovered after 3 h 12 min of unusual numbers of records",
                "1 run sent unusual numbers · run 98 sent 18,340",
            ],
        ),
        (
            Check.RECORD_COUNT,
            {},
            ["recovered after 3 h 12 min of unusual numbers of records", "1 run sent unusual numbers"],
        ),
        (
            Check.FAILING,
            {"records_failed": 5},
            ["recovered after 3 h 12 min", "1 run failed · run 98 succeeded, 5 rejected"],
        ),
        (Check.SLOW_RUN, {}, ["completed after 3 h 4 min"]),
        (Check.STALE, {}, ["completed a run again after 1 d"]),
        (Check.STALE, {"records_failed": 5}, ["completed a run again after 1 d", "run 98 completed, 5 rejected"]),
    ],
)
def test_every_check_says_how_it_recovered(check: Check, run: dict[str, Any], lines: list[str]) -> None:
    first, *rest, _footer = shown(told(an_incident("resolved", check, a_run(98, "completed", **run))))
    assert [first, *rest] == [f":white_check_mark: New Signups to Leads {lines[0]}", *lines[1:]]


@pytest.mark.parametrize(
    ("minutes_ago", "footer"),
    [
        (60, "production · team: growth · run 98 · [from 2026-11-23 09:15] [to 2026-11-23 10:15]"),
        (59.9, "production · team: growth · run 98 · [2026-11-23 10:15]"),
        (-5, "production · team: growth · run 98 · [2026-11-23 10:15]"),
    ],
)
def test_only_what_lasted_an_hour_says_from_when_to_when(minutes_ago: float, footer: str) -> None:
    for reason in ("recovered", "unwatched"):
        body = an_incident("resolved", run=a_run(98, "completed"), reason=reason, opened_at=timestamp(at(-minutes_ago)))
        assert shown(told(body))[-1] == footer


def test_the_words_around_a_time_are_within_slacks_format() -> None:
    """Where they are not, Slack begins a date that is near with a capital: "since  Today at 09:01"."""
    began, ended = (int(at(minute).timestamp()) for minute in (-192, 0))
    form = "{date_short_pretty} at {time}"
    *_, footer = told(an_incident("resolved", run=a_run(98, "completed"))).blocks
    assert footer["elements"] == [
        {"type": "plain_text", "text": "production · team: growth · run 98 ·", "emoji": False},
        {"type": "mrkdwn", "text": f"<!date^{began}^from {form}|from 2026-11-23 07:03 UTC>", "verbatim": True},
        {"type": "mrkdwn", "text": f"<!date^{ended}^to {form}|to 2026-11-23 10:15 UTC>", "verbatim": True},
    ]
    _, facts, _ = told(an_incident(run=a_run())).blocks
    good = int(at(-1_500).timestamp())
    assert facts["elements"] == [
        {"type": "plain_text", "text": "last good run 92", "emoji": False},
        {"type": "mrkdwn", "text": f"<!date^{good}^({form})|(2026-11-22 09:15 UTC)>", "verbatim": True},
    ]


def test_a_workspace_can_be_read_again() -> None:
    rendered = told(an_incident("resolved", Check.UNREACHABLE, runs=0, last_good_run=None, labels={}))
    assert shown(rendered) == [
        ":white_check_mark: Census can be read again after 3 h 12 min: production",
        "production · [from 2026-11-23 07:03] [to 2026-11-23 10:15]",
    ]
    assert rendered.text == "Census can be read again after 3 h 12 min: production"


@pytest.mark.parametrize(
    ("run", "headline"),
    [
        ({"status": "failed"}, ":red_circle: New Signups to Leads failed after 3 h 4 min"),
        ({"status": "canceled"}, ":no_entry_sign: New Signups to Leads was canceled after 3 h 4 min"),
        (
            {"status": "completed", "canceled": True, "completed_at": None},
            ":no_entry_sign: New Signups to Leads was canceled",
        ),
        ({"status": "preparing"}, ":white_circle: New Signups to Leads ended after 3 h 4 min"),
        (
            {"status": "completed", "records_failed": 1_212},
            ":large_yellow_circle: New Signups to Leads completed after 3 h 4 min, 1,212 rejected",
        ),
    ],
)
def test_a_slow_run_that_did_not_end_well_is_no_success(run: dict[str, Any], headline: str) -> None:
    assert shown(told(an_incident("resolved", Check.SLOW_RUN, a_run(93, **run))))[0] == headline


def test_only_a_run_that_completed_succeeded() -> None:
    canceled = told(an_incident("resolved", run=a_run(98, "completed", canceled=True), runs=5))
    assert shown(canceled)[1] == "5 runs failed"


@pytest.mark.parametrize(
    ("check", "reason", "headline", "facts"),
    [
        (Check.FAILING, "check_off", "New Signups to Leads: check turned off", "was failing · 5 runs"),
        (Check.FAILING, "unwatched", "New Signups to Leads: no longer watched", "was failing · 5 runs"),
        (Check.FAILING, "deleted", "New Signups to Leads: deleted in Census", "was failing · 5 runs"),
        (
            Check.REJECTED_RECORDS,
            "unwatched",
            "New Signups to Leads: no longer watched",
            "rejected records · 5 runs",
        ),
        (
            Check.RECORD_COUNT,
            "check_off",
            "New Signups to Leads: check turned off",
            "sent an unusual number of records · 5 runs",
        ),
        (
            Check.SLOW_RUN,
            "check_off",
            "New Signups to Leads: paused or no longer checked",
            "was running for too long",
        ),
        (
            Check.SLOW_RUN,
            "unwatched",
            "New Signups to Leads: slow run no longer watched",
            "was running for too long",
        ),
        (
            Check.SLOW_RUN,
            "deleted",
            "New Signups to Leads: slow run no longer in Census",
            "was running for too long",
        ),
        (
            Check.STALE,
            "check_off",
            "New Signups to Leads: paused or no longer checked",
            "had not completed a run for too long",
        ),
        (Check.UNREACHABLE, "check_off", "production: check turned off", "Census could not be read"),
        (Check.UNREADABLE, "deleted", "New Signups to Leads: deleted in Census", "runs could not be read"),
    ],
)
def test_what_just_ended_is_no_success(check: Check, reason: str, headline: str, facts: str) -> None:
    rendered = told(an_incident("resolved", check, reason=reason, runs=5))
    lines = shown(rendered)
    assert lines[:2] == [f":{OVER}: {headline}", facts]
    since = "2026-11-22 09:15" if check is Check.STALE else "2026-11-23 07:03"
    assert lines[2] == f"production · team: growth · [from {since}] [to 2026-11-23 10:15]"
    assert rendered.text == f"{headline}, {facts.split(' · ')[0]}"


def test_what_was_deleted_has_no_page_to_lead_to() -> None:
    rendered = told(an_incident("resolved", run=a_run(), reason="deleted"))
    assert links(rendered) == []
    assert "https" not in rendered.plain


# --- what was wrong, once it is over ---


@pytest.mark.parametrize(
    ("check", "wrong", "lines"),
    [
        (
            Check.FAILING,
            "E1: the disk is full",
            ["recovered after 3 h 12 min", "what was wrong: E1: the disk is full", "1 run failed · run 98 succeeded"],
        ),
        (
            Check.REJECTED_RECORDS,
            REJECTED,
            [
                "recovered after 3 h 12 min of rejected records",
                f"what was wrong: {REJECTED}",
                "1 run rejected records · run 98 rejected none",
            ],
        ),
        (
            Check.RECORD_COUNT,
            "1 record sent, the mean of the runs before is 100",
            [
                "recovered after 3 h 12 min of unusual numbers of records",
                "what was wrong: 1 record, usually about 100",
                "1 run sent unusual numbers",
            ],
        ),
        (Check.SLOW_RUN, SLOW, ["completed after 3 h 4 min"]),  # which says it
        (Check.STALE, STALE, ["completed a run again after 1 d"]),
    ],
)
@pytest.mark.parametrize("living", [True, False])
def test_a_resolved_incident_keeps_a_line_of_what_was_wrong(
    check: Check, wrong: str, lines: list[str], living: bool
) -> None:
    rendered = told(an_incident("resolved", check, a_run(98, "completed"), summary=wrong), living=living)
    first, *rest = lines
    assert shown(rendered)[:-1] == [f":{GOOD}: {NAME} {first}", *rest]
    assert all(line in rendered.plain.splitlines() for line in rest)


def test_an_end_without_recovery_keeps_it_too() -> None:
    rendered = told(an_incident("resolved", reason="check_off", summary="E1: the disk is full"))
    assert shown(rendered)[:3] == [
        f":{OVER}: {NAME}: check turned off",
        "what was wrong: E1: the disk is full",
        "was failing",
    ]
    slow = told(an_incident("resolved", Check.SLOW_RUN, reason="check_off", summary=SLOW))
    assert shown(slow)[1] == "was running for more than 2 h"


@pytest.mark.parametrize(
    ("check", "summary", "headline", "below"),
    [
        (
            Check.UNREACHABLE,
            NO_ANSWER,
            f":{GOOD}: Census can be read again after 3 h 17 min: production",
            f"what was wrong: {NO_ANSWER}",
        ),
        (
            Check.UNREADABLE,
            UNREAD,
            f":{GOOD}: {NAME}'s runs can be read again after 3 h 42 min",
            f"what was wrong: {UNREAD}",
        ),
        (
            Check.UNREADABLE,
            ONE_UNREAD,
            f":{GOOD}: {NAME}'s run 94 can be read again after 3 h 42 min",
            "what was wrong: no readable answer for more than 30 min: HTTP 500",
        ),
    ],
)
def test_what_nobody_answered_is_counted_from_when_it_began(
    check: Check, summary: str, headline: str, below: str
) -> None:
    """Not from when it was opened, which is later by what is too long."""
    rendered = told(an_incident("resolved", check, runs=0, summary=summary))
    assert shown(rendered)[:2] == [headline, below]
    since = "06:58" if check is Check.UNREACHABLE else "06:33"
    assert shown(rendered)[-1].endswith(f"[from 2026-11-23 {since}] [to 2026-11-23 10:15]")
    assert shown(told(an_incident("reminder", check, summary=summary)))[-1].endswith(f"[since 2026-11-23 {since}]")


def test_a_single_run_that_can_not_be_read_is_named() -> None:
    rendered = told(an_incident("opened", Check.UNREADABLE, summary=ONE_UNREAD))
    assert shown(rendered)[:2] == [
        f":satellite_antenna: {NAME}'s run 94 can't be read",
        "no readable answer for more than 30 min: HTTP 500",
    ]
    assert rendered.text == f"{NAME}'s run 94 can't be read: no readable answer for more than 30 min: HTTP 500"
    assert links(rendered) == [URL]


@pytest.mark.parametrize(
    ("check", "run", "given", "words"),
    [
        (Check.SLOW_RUN, a_run(status="working", created_at=timestamp(at(-300))), {}, "is still running after"),
        (Check.STALE, None, {"last_good_run": {"id": 92, "completed_at": timestamp(at(-3_000))}}, ""),
    ],
)
def test_a_reminder_says_how_long_it_has_been_so_by_now(
    check: Check, run: dict[str, Any] | None, given: dict[str, Any], words: str
) -> None:
    long = "more than 5 h" if check is Check.SLOW_RUN else "more than 2 d 2 h"
    first = shown(told(an_incident("reminder", check, run, **given), living=True))[0]
    assert first.endswith(f"{words or 'still has not completed a run for'} {long}")


def test_one_record_is_one_record() -> None:
    said = "1 record sent, the mean of the runs before is 100"
    rendered = told(an_incident("opened", Check.RECORD_COUNT, a_run(status="completed"), summary=said))
    assert shown(rendered)[1] == "1 record, usually about 100"
    earlier = told(
        an_incident("opened", Check.RECORD_COUNT, summary="1 records sent, the mean of the runs before is 1")
    )
    assert shown(earlier)[1] == "1 record, usually about 1"  # as an older version put it


# --- how late it is ---


@pytest.mark.parametrize("kind", ["opened", "resolved"])
def test_more_than_ten_minutes_after_it_happened_it_says_how_late_it_is(kind: str) -> None:
    body = an_incident(kind, run=a_run(98, "completed"))
    assert not shown(told(body, at(9.4)))[0].endswith("late")
    rendered = told(body, at(59.5))
    assert shown(rendered)[0].endswith(" · 1 h late")
    assert rendered.text.endswith(" (1 h late)")
    assert rendered.plain.splitlines()[0].endswith(" (1 h late)")


def test_what_was_seen_late_is_late_by_when_its_run_ended() -> None:
    body = an_incident(run=a_run(completed_at=timestamp(at(-120))))
    assert shown(told(body))[0] == ":red_circle: New Signups to Leads is failing · 2 h late"


@pytest.mark.parametrize(
    "body",
    [
        an_incident("opened", Check.SLOW_RUN, a_run(status="working", updated_at=timestamp(at(-120)))),
        an_incident("reminder", run=a_run(completed_at=timestamp(at(-3_000)))),
        an_incident("resolved", run=a_run(completed_at=timestamp(at(-3_000))), reason="unwatched"),
    ],
)
def test_what_time_brought_about_happened_when_it_was_seen(body: bytes) -> None:
    assert not shown(told(body))[0].endswith("late")


def test_an_edit_is_not_late() -> None:
    changed = an_incident("changed", run=a_run())
    assert not shown(told(changed, at(600), living=True))[0].endswith("late")
    assert shown(told(changed, at(59.5)))[0].endswith("failed again · 1 h late")
    latest = of_run("working", a_run(96, "working"))
    assert not shown(told(an_incident(run=a_run()), at(600), latest=latest, living=True))[0].endswith("late")


# --- whom it mentions ---


def test_mentions_stand_behind_the_headline_and_not_in_the_notification() -> None:
    rendered = told(an_incident(run=a_run()), mentions=ALL_MENTIONS)
    assert shown(rendered)[0] == (
        ":red_circle: New Signups to Leads is failing @here @channel @everyone @U0123 @W0123 @S0123"
    )
    assert rendered.text == "New Signups to Leads is failing: run 93, JSON_ARRAY_ERROR"
    assert rendered.plain.splitlines()[0] == (
        "New Signups to Leads is failing <!here> <!channel> <!everyone> <@U0123> <@W0123> <!subteam^S0123>"
    )


def test_events_of_runs_mention_too() -> None:
    rendered = told(of_run("failed", a_run()), mentions=("@here",))
    assert shown(rendered)[0] == ":red_circle: New Signups to Leads failed @here"
    assert rendered.plain.splitlines()[0] == "New Signups to Leads: run 93 failed <!here>"


def test_nobody_is_mentioned_twice_nor_by_what_is_no_mention() -> None:
    rendered = told(an_incident(run=a_run()), mentions=("@here", "@here", "@nobody", "here", "<@u0>", "", "<!here|x>"))
    assert shown(rendered)[0] == ":red_circle: New Signups to Leads is failing @here"
    many = told(an_incident(run=a_run()), mentions=[f"<@U{number:0>39}>" for number in range(500)])
    assert shown(many)[0].count("@U") == 20


# --- events without an incident ---


@pytest.mark.parametrize(
    ("kind", "headline", "link"),
    [
        ("paused", ":double_vertical_bar: New Signups to Leads was paused", [URL]),
        ("resumed", ":arrow_forward: New Signups to Leads was resumed", [URL]),
        ("deleted", ":wastebasket: New Signups to Leads was deleted in Census", []),
    ],
)
def test_what_became_of_a_sync_is_told_in_a_line(kind: str, headline: str, link: list[str]) -> None:
    data = {"workspace": "production", "labels": {"team": "growth"}, "sync": {"id": 52, "label": NAME, "url": URL}}
    body = json.dumps({"type": f"sync.{kind}", "timestamp": timestamp(NOW), "data": data}).encode()
    rendered = told(body)
    assert shown(rendered) == [headline, "production · team: growth · [2026-11-23 10:15]"]
    assert links(rendered) == link
    assert rendered.text == headline.split(": ", 1)[1]
    late = told(body, at(60), mentions=["@here"])
    assert shown(late)[0] == f"{headline} · 1 h late @here"
    assert late.text == f"{rendered.text} (1 h late)"


@pytest.mark.parametrize(
    ("run", "headline"),
    [
        ({"status": "working"}, ":repeat: New Signups to Leads is running a full sync"),
        ({"status": "completed"}, ":repeat: New Signups to Leads completed a full sync"),
        (
            {"status": "completed", "records_failed": 2},
            ":large_yellow_circle: New Signups to Leads completed a full sync, 2 rejected",
        ),
        ({"status": "failed"}, ":red_circle: New Signups to Leads failed, it was a full sync"),
        ({"status": "skipped"}, ":repeat: New Signups to Leads was skipped, it was a full sync"),
        ({"status": "completed", "canceled": True}, ":repeat: New Signups to Leads was canceled, it was a full sync"),
        ({"status": "preparing"}, ":repeat: New Signups to Leads is a full sync"),
        ({}, ":repeat: New Signups to Leads is a full sync"),
    ],
)
def test_a_full_sync_says_how_far_it_is(run: dict[str, Any], headline: str) -> None:
    assert shown(told(of_run("full_sync", {"id": 94, "url": URL, **run})))[0] == headline


def test_a_full_sync_after_a_failed_run_says_so_once_it_completed() -> None:
    def facts(status: str) -> str:
        event = json.loads(of_run("full_sync", {"id": 94, "url": URL, "status": status}))
        event["data"]["previous_run"] = {"id": 93, "status": "failed"}
        return shown(told(json.dumps(event).encode()))[1]

    assert facts("completed") == "run 93 had failed · queued → completed"
    assert facts("working") == "queued → working"


# --- what is missing ---


@pytest.mark.parametrize("check", Check)
@pytest.mark.parametrize("kind", INCIDENT_EVENTS)
@pytest.mark.parametrize("reason", Reason)
def test_an_incident_of_which_little_is_known_reads_well(check: Check, kind: EventType, reason: Reason) -> None:
    """Whole words, no holes: nothing is said of what is not known."""
    bare = an_incident(
        kind.removeprefix("incident."),
        check,
        opened_at="soon",
        resolved_at=None,
        last_good_run=None,
        runs=0,
        labels={},
        summary=None,
        reason=reason.value if kind is EventType.INCIDENT_RESOLVED else None,
        sync=None if check is Check.UNREACHABLE else {"id": 52, "label": None, "url": URL},
    )
    known = an_incident(kind.removeprefix("incident."), check, {"id": 98, "url": URL}, runs=0)
    for rendered in (told(body, living=living) for body in (bare, known) for living in (False, True)):
        for line in [*shown(rendered), rendered.text, *rendered.plain.splitlines()]:
            assert line == line.strip()
            assert not re.search(r"None|null|  | ,|: :|· ·|[(:·,]$|\{|\b0 runs", line), line
    assert shown(told(bare))[-1] == "production"
    assert ("production" if check is Check.UNREACHABLE else "sync 52") in told(bare).text


def test_an_incident_that_lasted_no_time_does_not_say_how_long() -> None:
    body = an_incident("resolved", run=a_run(98, "completed"), opened_at=timestamp(NOW))
    assert shown(told(body))[0] == ":white_check_mark: New Signups to Leads recovered"
    backwards = an_incident("resolved", run=a_run(98, "completed"), opened_at=timestamp(at(10)))
    assert shown(told(backwards))[0] == ":white_check_mark: New Signups to Leads recovered"


def test_a_last_good_run_without_a_time_is_named() -> None:
    assert shown(told(an_incident(run=a_run(), last_good_run={"id": 92, "completed_at": None})))[3] == (
        "last good run 92"
    )


def test_a_failure_without_an_error_says_that_it_failed() -> None:
    rendered = told(an_incident(run={"id": 93, "status": "failed", "url": URL}, last_good_run=None))
    assert len(shown(rendered)) == 2
    assert rendered.text == "New Signups to Leads is failing: run 93"


# --- what it can't do ---

HOSTILE = [
    "<!channel> <!here> <@U012AB3CD> <#C012AB3CD> <!subteam^S1> <https://evil.example|click>",
    "@channel @here #general",
    "https://evil.example/x www.evil.example evil.example",
    "*bold* _italic_ ~strike~ `code` ```block``` > quote",
    "&lt;!channel&gt; &amp;lt; & < >",
    "\x00\x07\x1b[31m\x7f\x9b2J",
    "\u202egnp.exe\u2066x\u2069",
    "😀" * 12_000,
    "a" * 50_000,
    "&" * 50_000,
    "\n" * 100 + "x",
    "line\r\nline\rline\u2028line\u2029line",
    ":fire: :red_circle:",
    "ﷺ" * 5_000,
    "\ud800x\udfff",
    "{for_} {0} \\1 %s run 93",
    " ",
]
UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def of_census(kind: EventType, check: Check, text: str) -> bytes:
    """An event in which every text that Census or an error may choose is this one."""
    fields = dict.fromkeys(("error_code", "error_message", "created_at", "updated_at", "completed_at"), text)
    run = {**a_run(), **fields, "status": "failed", "error_detail": f"detail {text}"}
    sync = None if check is Check.UNREACHABLE else {"id": 52, "label": text, "url": URL}
    return an_incident(
        kind.removeprefix("incident."),
        check,
        run,
        sync=sync,
        summary=text,
        workspace=text or "w",
        labels={"team": text, text: "x"},
        opened_at=text,
        last_good_run={"id": 92, "completed_at": text},
        changes=[change("status", text, text), change("error_code", text, text)],
    )


def marked_up(blocks: Any) -> list[str]:
    """Every text in which Slack would read markup."""
    if isinstance(blocks, dict):
        own = [blocks["text"]] if blocks.get("type") == "mrkdwn" else []
        return own + [text for item in blocks.values() for text in marked_up(item)]
    return [text for item in blocks for text in marked_up(item)] if isinstance(blocks, list | tuple) else []


def assert_harmless(rendered: Rendered) -> None:
    """Nothing in it is markup but our own dates, and nothing mentions or leads away."""
    assert all(DATE.fullmatch(found) for found in marked_up(rendered.blocks))
    assert json.dumps(rendered.blocks).count('"verbatim": true') == len(marked_up(rendered.blocks))
    for text in (rendered.text, rendered.plain):
        assert not re.search("[<>]|&(?!(amp|lt|gt);)", text)
        assert not UNFIT.search(text)
    assert not UNFIT.search(json.dumps(rendered.blocks, ensure_ascii=False))
    kinds = set(re.findall(r'"type": "(\w+)"', json.dumps(rendered.blocks)))
    allowed = {"rich_text", "rich_text_section", "rich_text_preformatted", "text", "link", "emoji", "context"}
    assert kinds <= allowed | {"plain_text", "mrkdwn"}
    assert '"emoji": true' not in json.dumps(rendered.blocks)
    assert all(link.startswith(URL) for link in links(rendered))


@pytest.mark.parametrize("check", Check)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_no_text_is_read_as_markup_or_breaks_a_limit(text: str, check: Check) -> None:
    latest = of_run("status_changed", a_run(96, text), change("status", text, text))
    for kind in INCIDENT_EVENTS:
        for living in (False, True):
            assert_harmless(told(of_census(kind, check, text), latest=latest, living=living))


def test_a_link_that_is_too_long_for_slack_is_left_out() -> None:
    rendered = told(an_incident(run=a_run(url="https://census.example/" + "x" * 3_000)))
    assert shown(rendered)[0] == ":red_circle: New Signups to Leads is failing"
    assert links(rendered) == []


TEXT = st.text(st.characters(exclude_categories=()), max_size=400)
TIME = st.datetimes().map(lambda time: time.isoformat() + "Z") | st.none() | TEXT
RUN = st.fixed_dictionaries(
    {"id": st.integers(1, 10**9), "url": st.just(URL)},
    optional={
        "status": st.sampled_from(["completed", "failed", "canceled", "working", "skipped"]) | st.none() | TEXT,
        "canceled": st.none() | st.booleans(),
        **dict.fromkeys(("error_code", "error_message", "error_detail"), st.none() | TEXT | st.integers()),
        **dict.fromkeys(("created_at", "updated_at", "completed_at"), TIME),
        **dict.fromkeys(("records_processed", "records_failed", "records_invalid"), st.none() | st.integers()),
    },
)
CHANGES = st.lists(
    st.builds(change, st.sampled_from(["status", "error_code", "error_message"]), st.none() | TEXT, st.none() | TEXT),
    max_size=3,
)
GOOD_RUN = st.none() | st.fixed_dictionaries({"id": st.integers(1, 10**9), "completed_at": TIME})


@st.composite
def incident_bodies(draw: st.DrawFn) -> bytes:
    """Any body of an incident's event."""
    kind, check = draw(st.sampled_from(INCIDENT_EVENTS)), draw(st.sampled_from(Check))
    is_over = kind is EventType.INCIDENT_RESOLVED
    given: dict[str, Any] = {
        "labels": draw(st.dictionaries(st.text(max_size=50), st.text(max_size=100), max_size=20)),
        "summary": draw(st.none() | TEXT | st.sampled_from([REJECTED, UNUSUAL, SLOW, STALE, "another error"])),
        "opened_at": draw(TIME),
        "runs": draw(st.integers(0, 10**20)),
        "last_good_run": draw(GOOD_RUN),
        "reason": draw(st.sampled_from(Reason)).value if is_over else None,
        "resolved_at": draw(TIME) if is_over else None,
    }
    if check is not Check.UNREACHABLE:
        given["sync"] = {"id": 52, "label": draw(st.none() | TEXT), "url": URL}
    run = draw(st.none() | RUN)
    if run is not None:
        given["changes"] = draw(CHANGES)
    return an_incident(kind.removeprefix("incident."), check, run, **given)


RUN_EVENTS = [kind.removeprefix("sync_run.") for kind in EventType if kind.startswith("sync_run.")]
RUN_BODIES = st.builds(of_run, st.sampled_from(RUN_EVENTS), RUN, st.just(change("status", "working", "x")))
MENTIONS = st.lists(st.sampled_from(ALL_MENTIONS), max_size=8)


@given(
    body=incident_bodies(),
    latest=st.none() | RUN_BODIES,
    mentions=MENTIONS,
    age=st.integers(min_value=-10_000, max_value=10**9),
    living=st.booleans(),
)
def test_any_incident_makes_a_message_that_slack_takes(
    body: bytes, latest: bytes | None, mentions: list[str], age: int, living: bool
) -> None:
    rendered = told(body, NOW + timedelta(seconds=age), latest=latest, mentions=mentions, living=living)
    assert all(
        DATE.fullmatch(text) or re.fullmatch(rf"{BEFORE}{UTC_TIME} UTC\)?", text) for text in marked_up(rendered.blocks)
    )


# --- the rest ---


def test_text_is_cut_by_its_bytes() -> None:
    assert escaped("é" * 10, 20, in_bytes) == "é" * 10
    assert escaped("é" * 11, 20, in_bytes) == "é" * 8 + "…"
    assert escaped("<" * 10, 20, in_bytes) == "&lt;" * 4 + "…"
    body = an_incident(run=a_run(error_message="é" * 600, error_detail="😀" * 1_500))
    assert LARGEST_TEXT - 10 < in_bytes(told(body, mentions=["@here"]).plain) <= LARGEST_TEXT


@pytest.mark.parametrize("name", [*EMOJI.values(), *(words.emoji for words in WORDS.values()), GOOD, OVER])
def test_every_emoji_that_we_send_is_known(name: str) -> None:
    assert not emoji(name).startswith(":")


def test_every_event_and_check_has_its_words() -> None:
    assert set(WORDS) == set(Check)
    assert set(EMOJI) == set(EventType) - set(INCIDENT_EVENTS)
