"""From a check to Slack: what the judge found is what a channel reads. A body of an older version reads the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.judging import checks as rules
from notifier.judging.body import event_body
from notifier.model.body import EventBody
from notifier.model.event import EventType
from notifier.model.incident import Check, Incident, Reason
from notifier.model.measure import Measure, NotRead, Said, Silent, measure_json, sentence
from notifier.receivers.slack.blocks.run import render
from notifier.watchlist.checks import Failing, RecordCount, RejectedRecords, Reminders, SlowRun, Stale
from tests.builders import NOW, Course, at
from tests.unit.receivers.test_incident_blocks import shown, taken

REMINDERS = Reminders(first=timedelta(hours=1))
HALF_AN_HOUR = timedelta(minutes=30)


def failing(course: Course) -> None:
    course.fails(1)
    course.fails(2, code="E2")


def rejecting(course: Course) -> None:
    course.completes(1, sent=14, rejected=12)


def unusual(course: Course) -> None:
    course.completes(*range(1, 12), sent=18_340)
    course.completes(12, sent=1_240)


def slow(course: Course) -> None:
    course.now = at(120)
    course.still_runs(0)


def stale(course: Course) -> None:
    course.completes(0)
    course.polled(at(26 * 60))


def silent(course: Course) -> None:
    opens(course, Check.UNREACHABLE, Silent(timedelta(minutes=5), "HTTP 503 Service Unavailable"))


def refused(course: Course) -> None:
    opens(course, Check.UNREACHABLE, Said("HTTP 401 Unauthorized: the API key is wrong"))


def unread(course: Course) -> None:
    opens(course, Check.UNREADABLE, NotRead(HALF_AN_HOUR, "HTTP 500"))


def one_unread(course: Course) -> None:
    opens(course, Check.UNREADABLE, NotRead(HALF_AN_HOUR, "HTTP 500", 94))


def opens(course: Course, check: Check, measure: Measure) -> None:
    course.take(rules.Judged((course.scene.opened(check, measure=measure),)))


ALL = (failing, rejecting, unusual, slow, stale, silent, refused, unread, one_unread)
Wrong = Callable[[Course], None]


def a_course(wrong: Wrong) -> Course:
    course = Course(
        failing=Failing(),
        rejected_records=RejectedRecords(),
        record_count=RecordCount(),
        slow_run=SlowRun(after=timedelta(hours=2)),
        stale=Stale(after=timedelta(hours=26)),
        reminders=REMINDERS,
    )
    wrong(course)
    return course


def body_of(kind: EventType, incident: Incident) -> bytes:
    """What every receiver gets of it."""
    of_sync: dict[str, Any] = {"sync_id": incident.sync_id, "sync_label": incident.sync_label}
    if incident.check is Check.UNREACHABLE:
        of_sync = {"sync_id": None, "sync_label": None}
    return event_body(
        type=kind, seen_at=NOW, workspace="production", app_url="https://x", labels={}, incident=incident, **of_sync
    )


def of_older(body: bytes) -> bytes:
    """The same, as a version wrote it that knew no measures."""
    event = json.loads(body)
    event["data"]["incident"].pop("measure", None)
    return json.dumps(event).encode()


def lines(kind: EventType, incident: Incident) -> list[str]:
    """What a channel shows of it, less its last line."""
    return shown(taken(render(EventBody.of(body_of(kind, incident)), NOW)))[:-1]


@pytest.mark.parametrize(
    ("wrong", "first", "below"),
    [
        (failing, ":red_circle: Leads failed again with another error · 2 runs", []),
        (
            rejecting,
            ":large_yellow_circle: Leads rejects records",
            ["12 of 14 records were rejected or invalid (85 %)"],
        ),
        (
            unusual,
            ":large_yellow_circle: Leads sent an unusual number of records",
            ["1,240 records, usually about 18,340"],
        ),
        (slow, ":turtle: Leads has been running for more than 2 h", []),
        (stale, ":zzz: Leads has not completed a run for more than 1 d 2 h", []),
        (
            silent,
            ":electric_plug: Census can't be read: production",
            ["no usable answer for more than 5 min: HTTP 503 Service Unavailable"],
        ),
        (
            refused,
            ":electric_plug: Census can't be read: production",
            ["HTTP 401 Unauthorized: the API key is wrong"],
        ),
        (
            unread,
            ":satellite_antenna: Leads's runs can't be read",
            ["no readable answer for more than 30 min: HTTP 500"],
        ),
        (
            one_unread,
            ":satellite_antenna: Leads's run 94 can't be read",
            ["no readable answer for more than 30 min: HTTP 500"],
        ),
    ],
)
def test_what_a_check_found_is_what_the_channel_reads(wrong: Wrong, first: str, below: list[str]) -> None:
    incident = a_course(wrong).last
    kind = EventType.INCIDENT_CHANGED if wrong is failing else EventType.INCIDENT_OPENED
    headline, *rest = lines(kind, incident)
    assert headline == first
    assert [line for line in rest if not line.startswith("last good run")] == below


@pytest.mark.parametrize("wrong", ALL)
@pytest.mark.parametrize("kind", [kind for kind in EventType if kind.startswith("incident.")])
@pytest.mark.parametrize("living", [True, False])
def test_a_body_of_an_older_version_reads_the_same(wrong: Wrong, kind: EventType, living: bool) -> None:
    course = a_course(wrong)
    if kind is EventType.INCIDENT_RESOLVED:
        course.ends(Reason.RECOVERED)
    body = body_of(kind, course.last)
    assert render(EventBody.of(of_older(body)), NOW, living=living) == render(EventBody.of(body), NOW, living=living)


@pytest.mark.parametrize("wrong", ALL)
def test_a_body_has_what_was_found_as_data_and_the_sentence_that_this_makes(wrong: Wrong) -> None:
    incident = a_course(wrong).last
    data = json.loads(body_of(EventType.INCIDENT_OPENED, incident))["data"]
    assert incident.measure is not None
    assert data["summary"] == incident.summary == sentence(incident.measure)
    assert data["incident"].get("measure") == measure_json(incident.measure)


@pytest.mark.parametrize("wrong", [slow, stale, unread, one_unread, unusual])
def test_what_an_older_version_opened_is_told_again_as_it_was(wrong: Wrong) -> None:
    """Its incident is kept with a sentence alone."""
    course = a_course(wrong)
    [opened] = course.state.open.values()
    older = opened.summary
    assert older is not None
    told = []
    for measure in (opened.measure, Said(older)):
        course.state = course.state.with_incident(replace(opened, measure=measure))
        [step] = rules.reminders(REMINDERS, course.state.open.values(), opened.opened_at + timedelta(hours=3))
        told.append(lines(step.type, step.incident))
    assert told[0] == told[1]
