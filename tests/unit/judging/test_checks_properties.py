"""Whatever runs do, whatever the settings are: an incident is opened once, one of a check at a time, and ends once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifier.judging.likeness import likeness
from notifier.model.incident import Check, Incident, Reason
from notifier.model.run import Watched
from notifier.model.sync import Standing
from notifier.watchlist.checks import (
    ChecksInForce,
    Failing,
    RecordCount,
    RejectedRecords,
    Reminders,
    SlowRun,
    Stale,
)
from tests.builders import Course, at, minutes

pytestmark = pytest.mark.slow

NUMBERS = st.integers(1, 12)
COUNTS = st.sampled_from([None, 0, 1, 10, 100, 1_000])
SPANS = st.sampled_from([minutes(1), minutes(5), minutes(30), timedelta(days=1)])
SMALL = st.integers(1, 4)

SETTINGS = st.builds(
    ChecksInForce,
    failing=st.none()
    | st.builds(lambda n, more, good: Failing(runs=n, of=n + more, recovered_after=good), *[SMALL] * 3),
    rejected_records=st.none()
    | st.builds(RejectedRecords, percent=st.sampled_from([1.0, 75.0, 100.0]), at_least=SMALL),
    record_count=st.none() | st.builds(RecordCount, deviation_percent=st.just(50.0), of_last=st.integers(3, 5)),
    slow_run=st.none() | st.builds(SlowRun, after=SPANS),
    stale=st.none() | st.builds(Stale, after=SPANS),
    reminders=st.none() | st.builds(Reminders, first=SPANS, longest=st.just(timedelta(days=1))),
)

Action = Callable[[Course], Any]


def _edit(course: Course, checks: ChecksInForce) -> None:
    """An edit of the watchlist: what is open of a check that is off now ends, as at a start."""
    course.checks = checks
    off = [check for check in course.state.open if getattr(checks, check) is None]
    if off:
        course.ends(Reason.CHECK_OFF, *off)


def _is_listed(course: Course, standing: Standing) -> None:
    course.state = replace(course.state, standing=standing)


ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(
        lambda n, code, text: lambda course: course.fails(n, code=code, message=text),
        NUMBERS,
        st.sampled_from(["E1", "E2"]),
        st.sampled_from(["no access", "row 1", "row 2", None]),
    ),
    st.builds(
        lambda n, sent, rejected, invalid: (
            lambda course: course.completes(n, sent=sent, rejected=rejected, invalid=invalid)
        ),
        NUMBERS,
        COUNTS,
        COUNTS,
        COUNTS,
    ),
    st.builds(
        lambda n, code: lambda course: course.error_changes(n, code=code), NUMBERS, st.sampled_from(["E1", "E2"])
    ),
    st.builds(lambda n: lambda course: course.still_runs(n), NUMBERS),
    st.builds(lambda minute: lambda course: course.polled(at(minute)), st.integers(-60, 6_000)),
    st.builds(lambda reason: lambda course: course.ends(reason), st.sampled_from(list(Reason))),
    st.builds(lambda checks: lambda course: _edit(course, checks), SETTINGS),
    st.builds(
        lambda standing: lambda course: _is_listed(course, standing),
        st.builds(
            Standing,
            paused=st.sampled_from([None, True, False]),
            scheduled=st.sampled_from([None, True, False]),
            stale_from=st.none() | st.integers(-60, 6_000).map(at),
        ),
    ),
)


def played(checks: ChecksInForce, actions: list[Action]) -> Course:
    course = Course()
    course.checks = checks
    for action in actions:
        action(course)
    return course


@given(SETTINGS, st.lists(ACTIONS, max_size=40))
def test_at_most_one_incident_of_a_check_is_open_and_none_ends_that_was_not_opened(
    checks: ChecksInForce, actions: list[Action]
) -> None:
    course = played(checks, actions)
    opened: dict[Check, Incident] = {}
    seen: set[str] = set()
    for told, incident in zip(course.told, course.incidents, strict=True):
        before = opened.get(incident.check)
        if " opened" in told:
            assert before is None
            assert incident.id not in seen
            assert incident.is_open
        else:
            assert before is not None
            assert before.id == incident.id
            assert (before.opened_at, before.check) == (incident.opened_at, incident.check)
            assert before.runs <= incident.runs <= before.runs + 1
        seen.add(incident.id)
        assert incident.is_open == (" resolved" not in told)
        if incident.is_open:
            opened[incident.check] = incident
        else:
            del opened[incident.check]
    assert course.state.open == opened


@given(SETTINGS, st.lists(ACTIONS, max_size=40))
def test_an_incident_ends_once_for_a_reason_and_not_before_it_was_opened(
    checks: ChecksInForce, actions: list[Action]
) -> None:
    course = played(checks, actions)
    over = [incident for incident in course.incidents if not incident.is_open]
    assert len({incident.id for incident in over}) == len(over)
    for incident in over:
        assert incident.reason is not None
        assert incident.resolved_at is not None
        assert incident.resolved_at >= incident.opened_at


@given(SETTINGS, st.lists(ACTIONS, max_size=40))
def test_what_is_changed_is_another_run_or_another_error(checks: ChecksInForce, actions: list[Action]) -> None:
    course = played(checks, actions)
    latest: dict[str, Incident] = {}
    for told, incident in zip(course.told, course.incidents, strict=True):
        before = latest.get(incident.id)
        if " changed" in told:
            assert before is not None
            is_another_run = incident.last_run_id != before.last_run_id
            assert is_another_run or incident.likeness != before.likeness
            assert incident.runs == before.runs + is_another_run
        latest[incident.id] = incident


@given(SETTINGS, st.lists(ACTIONS, max_size=40))
def test_two_reminders_of_an_incident_are_never_closer_than_the_shortest_pause(
    checks: ChecksInForce, actions: list[Action]
) -> None:
    course = played(checks, actions)
    latest: dict[str, Incident] = {}
    for told, incident in zip(course.told, course.incidents, strict=True):
        before = latest.get(incident.id)
        if " reminder" in told:
            assert before is not None
            assert incident.reminders == before.reminders + 1
            assert incident.reminded_at is not None
            assert incident.reminded_at - (before.reminded_at or before.opened_at) >= minutes(1)
        latest[incident.id] = incident


@example("No access. ", "E1", 100)
@given(st.text() | st.text(alphabet="a1.,:'\"`‘’“”«» -#\n"), st.text(max_size=5), st.integers(1, 1_000))
def test_the_likeness_of_any_error_begins_with_its_code_and_is_short(message: str, code: str, times: int) -> None:
    error = Watched("failed", error_code=code, error_message=message * times)
    assert likeness(error).startswith(f"{code}: ")
    assert len(likeness(error)) <= 1_000


@given(st.lists(st.sampled_from(["row", "table", "has", "no", "key"]), min_size=1), st.data())
def test_numbers_quoted_values_and_ids_make_no_other_error(words: list[str], data: st.DataObject) -> None:
    values = st.one_of(
        st.integers().map(str),
        st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str),
        st.uuids().map(lambda one: f"{one}-1"),
        st.integers(0, 10**12).map(lambda number: f"{number:,}"),
    )
    quoted = st.text(st.characters(codec="utf-8", exclude_characters="\"'`")).map(lambda text: f'"{text}"')
    kinds = [data.draw(st.sampled_from([values, quoted])) for _ in words]

    def message() -> str:
        return " ".join(f"{word} {data.draw(kind)}" for word, kind in zip(words, kinds, strict=True))

    one, other = message(), message()
    assert likeness(Watched("failed", error_message=one)) == likeness(Watched("failed", error_message=other))
