"""What is found on the way: events of a run, incidents as they are in the end, unusual numbers of records."""

from dataclasses import replace

from notifier.judging.checks import Judged, Step, SyncState
from notifier.judging.page import EventDraft, Found, Page, draft_of, run_drafts
from notifier.judging.sightings import Sighting
from notifier.model.event import Event, EventType
from notifier.model.incident import Check
from notifier.model.run import Change, PreviousRun
from tests.builders import a_run, an_incident, at


def a_sighting(full_sync: bool, *changes: Change) -> Sighting:
    return Sighting(a_run(93), None, changes, PreviousRun(92, "failed"), full_sync)


def test_a_run_is_told_by_its_changes_and_a_full_sync_beside_them() -> None:
    failed, labels = Change("status", "working", "failed"), {"team": "growth"}
    seen = a_sighting(True, failed)
    of_run = EventDraft(EventType.FAILED, labels, seen.run, (failed,), seen.previous_run)
    assert list(run_drafts(seen, labels)) == [of_run, replace(of_run, type=EventType.FULL_SYNC)]
    assert list(run_drafts(a_sighting(False, failed), labels)) == [replace(of_run, run=a_run(93))]
    assert list(run_drafts(a_sighting(False), labels)) == []
    step = Step(EventType.INCIDENT_OPENED, an_incident(), seen.run)
    told = replace(of_run, type=EventType.INCIDENT_OPENED, incident=step.incident)
    assert draft_of(step, labels, seen) == told


def test_a_page_keeps_an_incident_as_it_is_after_its_last_step_and_who_was_told() -> None:
    page, opened = Page(SyncState()), an_incident(told=frozenset({"a"}))
    page.take(Judged((Step(EventType.INCIDENT_OPENED, opened),)), a_run(1))
    page.take(Judged((Step(EventType.INCIDENT_CHANGED, replace(opened, runs=2)),)), a_run(2))
    events = [Event(f"evt_{n}", EventType.FAILED, "production", 52, 93, at(n), b"{}", ()) for n in (1, 2)]
    page.add(events[:1], {opened.id: frozenset({"b"})})
    page.add(events[1:], {})
    known = replace(opened, runs=2, told=frozenset({"a", "b"}))
    assert page.found() == Found(tuple(events), (known,), state=SyncState(open={Check.FAILING: known}))


def test_a_page_keeps_which_runs_sent_an_unusual_number_and_which_do_so_no_longer() -> None:
    page = Page(SyncState())
    page.take(Judged(outlier=True), None)
    page.take(Judged(), None, recounted=True)
    page.take(Judged(), a_run(1))
    page.take(Judged(), a_run(2), recounted=True)
    page.take(Judged(outlier=True), a_run(3), recounted=True)
    page.take(Judged(outlier=True), a_run(4))
    assert page.found() == Found(outliers=(3, 4), regulars=(2,))
    page.take(Judged(new_level_from=at(3)), a_run(5))
    page.take(Judged(outlier=True), a_run(6))
    assert page.found() == Found(outliers=(6,), regulars=(2,), new_level_from=at(3))
