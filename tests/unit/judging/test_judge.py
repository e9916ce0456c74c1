"""Whole stories, judged without a store and without a clock: what is told, to whom, and what is remembered."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.judging.checks import SyncState
from notifier.judging.judge import THE_WORKSPACE, Judge, KnownSync, Times
from notifier.judging.page import Found
from notifier.judging.results import known_result
from notifier.judging.route import Reader
from notifier.judging.sightings import ShownRuns, glances, snapshots
from notifier.model.event import CensusAlert, Event, EventType
from notifier.model.identity import Id
from notifier.model.incident import Check, Reason
from notifier.model.measure import Said
from notifier.model.run import Records, Snapshot, SyncRun
from notifier.model.sync import Standing, Sync
from notifier.watchlist.checks import ChecksInForce, Failing, RecordCount, SlowRun
from notifier.watchlist.models import Route
from tests.builders import a_mark, a_route, a_run, an_incident, at

CHANNEL = Reader("channel", selective=True)
HOOK = Reader("hook")
FAILING = ChecksInForce(failing=Failing())
SEEN_AT = at(1_000)  # our clock is nowhere near the API's


def a_judge(*routes: Route, readers: Sequence[Reader] = (HOOK,)) -> Judge:
    """A judge whose IDs count up."""
    numbers = itertools.count(1)
    return Judge("production", "https://census.example", routes or None, readers, lambda: str(next(numbers)))


def a_sync(checks: ChecksInForce = FAILING, **known: Any) -> KnownSync:
    """A sync that has been read before."""
    return KnownSync(52, "Leads", {"team": "growth"}, **{"mark": a_mark(None), "checks": checks, **known})


def times(minute: float) -> Times:
    return Times(seen_at=SEEN_AT, api_now=at(minute))


class Replay:
    """A sync's runs, poll by poll, folded through the judge: what a poll keeps in the database is kept here."""

    def __init__(self, judge: Judge, sync: KnownSync) -> None:
        self.judge = judge
        self.sync = sync
        self.known: dict[Id, Snapshot] = {}
        self.events: list[Event] = []

    def sees(self, *runs: SyncRun, minute: float) -> Found:
        """An answer that shows these runs, newest first."""
        shown = ShownRuns(runs, self.known, [run.id for run in runs if run.id not in self.known])
        looks = glances(shown, has_baseline=self.sync.has_baseline)
        sightings = [seen for look in looks if (seen := look.seen(None, None)) is not None]
        results = [known_result(s) for s in reversed(self.known.values()) if s.watched.is_counted]
        found = self.judge.runs(self.sync, sightings, results, [run.id for run in runs], times(minute))
        self.known |= {kept.run_id: kept for kept in snapshots(shown, sightings, at(minute))}
        self.sync = replace(self.sync, state=found.state, mark=a_mark(runs[0].id))
        self.events += found.events
        return found

    @property
    def told(self) -> list[str]:
        """Each event by its type and its run."""
        return [f"{event.type} {event.run_id}" for event in self.events]


STATUSES = {"Q": "queued", "W": "working", "C": "completed", "F": "failed", "S": "skipped", "X": "canceled"}


def a_run_of(sign: str, number: int) -> SyncRun:
    """A run as a story writes it; the number is also the minute in which it was created."""
    run = a_run(number, status=STATUSES[sign], created_at=at(number), updated_at=at(number))
    return replace(run, records=Records(100, 0, 0))


def played(judge: Judge, story: str, sync: KnownSync | None = None) -> Replay:
    """Each word is a poll that sees runs 1, 2, 3… as its letters say: `W WC` is one run, and then another."""
    replay = Replay(judge, sync or a_sync())
    for minute, shown in enumerate(story.split(), start=1):
        replay.sees(*reversed([a_run_of(sign, place) for place, sign in enumerate(shown, start=1)]), minute=minute)
    return replay


# --- runs ---


@pytest.mark.parametrize(
    ("story", "told"),
    [
        ("C", ["sync_run.completed 1"]),
        ("Q W C C", ["sync_run.queued 1", "sync_run.working 1", "sync_run.completed 1"]),
        ("F", ["sync_run.failed 1", "incident.opened 1"]),
        ("F FF", ["sync_run.failed 1", "incident.opened 1", "sync_run.failed 2", "incident.changed 2"]),
        (
            "FXSF",
            [
                *("sync_run.failed 1", "incident.opened 1", "sync_run.canceled 2", "sync_run.skipped 3"),
                *("sync_run.failed 4", "incident.changed 4"),
            ],
        ),
        ("F FC", ["sync_run.failed 1", "incident.opened 1", "sync_run.completed 2", "incident.resolved 2"]),
        ("FC", ["sync_run.failed 1", "incident.opened 1", "sync_run.completed 2", "incident.resolved 2"]),
        ("F C", ["sync_run.failed 1", "incident.opened 1", "sync_run.completed 1", "incident.resolved 1"]),
    ],
)
def test_a_story_is_told_the_same_however_many_of_it_a_poll_sees(story: str, told: list[str]) -> None:
    assert played(a_judge(), story).told == told


def test_results_that_the_answer_no_longer_shows_count() -> None:
    checks = ChecksInForce(failing=Failing(runs=3))
    replay = played(a_judge(), "FF", a_sync(checks))
    assert Check.FAILING not in replay.sync.state.open
    replay.sees(a_run_of("F", 3), minute=3)
    assert replay.sync.state.open[Check.FAILING].last_run_id == 3


def test_without_a_baseline_no_check_speaks() -> None:
    replay = played(a_judge(), "F FF", a_sync(mark=None))
    assert replay.told == ["sync_run.failed 1", "sync_run.failed 2", "incident.opened 2"]
    assert replay.sync.state.open[Check.FAILING].last_run_id == 2


def test_the_same_values_are_judged_the_same_and_are_left_as_they_were() -> None:
    sync, story = a_sync(ChecksInForce(failing=Failing(), record_count=RecordCount())), "CCF CCFC CCFCF"
    one, other = played(a_judge(), story, sync), played(a_judge(), story, sync)
    assert (one.events, one.sync, one.known) == (other.events, other.sync, other.known)
    assert sync.state == SyncState()


def test_events_have_our_time_and_incidents_that_of_the_api() -> None:
    found = Replay(a_judge(), a_sync()).sees(a_run_of("F", 3), minute=5)
    assert {event.seen_at for event in found.events} == {SEEN_AT}
    assert [incident.opened_at for incident in found.incidents] == [at(5)]


def test_a_run_that_is_watched_by_its_id_has_the_labels_of_that_watch_and_its_incident_those_of_the_sync() -> None:
    replay = Replay(a_judge(), a_sync(watched_runs={1: {"team": "ops"}}))
    bodies = [json.loads(event.body)["data"] for event in replay.sees(a_run_of("F", 1), minute=1).events]
    assert [body["labels"] for body in bodies] == [{"team": "ops"}, {"team": "growth"}]


def test_who_was_told_of_an_incident_is_told_of_its_end_wherever_the_routes_lead() -> None:
    judge = a_judge(a_route("channel", events=["incident.opened", "incident.resolved"]), readers=(CHANNEL, HOOK))
    replay = played(judge, "F")
    assert [event.receivers for event in replay.events] == [(), ("channel",)]
    assert replay.sync.state.open[Check.FAILING].told == {"channel"}
    replay.judge = replace(judge, routes=[a_route("hook")])
    replay.sees(a_run_of("C", 2), a_run_of("F", 1), minute=2)
    assert [event.receivers for event in replay.events[2:]] == [("hook",), ("channel", "hook")]


# --- what no run brought about ---


def test_a_sync_that_is_paused_is_told_once_and_a_run_of_it_takes_too_long_no_longer() -> None:
    checks = ChecksInForce(slow_run=SlowRun(after=timedelta(hours=1)))
    slow = an_incident(Check.SLOW_RUN, told=frozenset({"hook"}))
    sync = a_sync(checks, state=SyncState({Check.SLOW_RUN: slow}, standing=Standing(False, True)))
    paused = Sync(52, "Leads", None, paused=True, created_at=None)
    found = a_judge().listed(sync, paused, times(9))
    assert [event.type for event in found.events] == [EventType.SYNC_PAUSED, EventType.INCIDENT_RESOLVED]
    assert [(incident.reason, incident.resolved_at) for incident in found.incidents] == [(Reason.CHECK_OFF, at(9))]
    assert found.state == SyncState(standing=Standing(True, True))
    again = a_judge().listed(replace(sync, state=found.state), paused, times(10))
    assert again == Found(state=found.state)


@pytest.mark.parametrize(
    ("reason", "told"),
    [(Reason.DELETED, ["sync.deleted", "incident.resolved"]), (Reason.UNWATCHED, ["incident.resolved"])],
)
def test_of_a_sync_that_is_forgotten_its_open_incidents_end(reason: Reason, told: list[str]) -> None:
    sync = replace(a_sync(), labels={}, state=SyncState({Check.FAILING: an_incident()}))
    found = a_judge().last_words(sync, reason, None, times(9))
    assert [event.type for event in found.events] == told
    assert [(incident.reason, incident.resolved_at) for incident in found.incidents] == [(reason, at(9))]
    labels = [json.loads(event.body)["data"]["labels"] for event in found.events]
    assert labels[-1] == {"team": "growth"}, "no watch covers the sync any more: those of its opening are left"


def test_an_alert_names_its_run_and_opens_nothing() -> None:
    found = a_judge().alert(a_sync(), CensusAlert(7, EventType.CENSUS_ALERT_RAISED, run_id=93), SEEN_AT)
    (event,) = found.events
    assert (event.type, event.run_id, event.incident_id) == (EventType.CENSUS_ALERT_RAISED, 93, None)
    assert found == Found(events=(event,))


def test_what_is_wrong_with_a_workspace_is_told_of_no_sync() -> None:
    judge = a_judge()
    step = judge.scene(THE_WORKSPACE, at(9)).opened(Check.UNREACHABLE, measure=Said("HTTP 500"))
    found = judge.told(THE_WORKSPACE, [step], SEEN_AT)
    (event,), (incident,) = found.events, found.incidents
    assert (event.sync_id, event.run_id, event.incident_id) == (None, None, incident.id)
    assert json.loads(event.body)["data"]["sync"] is None
    assert incident == replace(step.incident, told=frozenset({"hook"}))


def test_incidents_and_events_never_share_an_id() -> None:
    replay = played(a_judge(), "FCF")
    opened = [event.incident_id for event in replay.events if event.type is EventType.INCIDENT_OPENED]
    ids = [event.id for event in replay.events] + opened
    assert len(opened) == 2
    assert len(set(ids)) == len(ids)
