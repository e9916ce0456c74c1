"""When an incident opens, changes, is told again and ends: the rules, one sentence each."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifier.judging import checks as rules
from notifier.judging.checks import SyncState, lost_records
from notifier.judging.likeness import likeness, wrong_with
from notifier.model.incident import Check, CountedTo, Incident, Reason
from notifier.model.run import GoodRun, Records, Watched
from notifier.model.sync import Standing
from notifier.watchlist.checks import (
    Checks,
    ChecksInForce,
    Failing,
    RecordCount,
    RejectedRecords,
    Reminders,
    SlowRun,
    Stale,
    WatchChecks,
)
from tests.builders import NOW, Course, a_run, at, minutes

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


# --- failing ---


def test_a_run_that_fails_opens_an_incident_and_one_that_completes_resolves_it() -> None:
    course = Course(failing=Failing())
    course.completes(1)
    course.fails(2)
    assert course.told == ["failing opened by 2"]
    course.completes(3)
    assert course.told == ["failing opened by 2", "failing resolved by 3"]
    assert (course.last.reason, course.last.resolved_at) == (Reason.RECOVERED, at(3))


def test_runs_that_complete_open_nothing_and_resolve_nothing() -> None:
    course = Course(failing=Failing(), rejected_records=RejectedRecords(), record_count=RecordCount())
    course.completes(*range(1, 20))
    assert course.told == []


def test_an_incident_says_what_it_is_about() -> None:
    course = Course(failing=Failing())
    course.completes(1)
    course.fails(2)
    incident = course.last
    assert incident == Incident(
        id="inc_1",
        workspace="production",
        sync_id=52,
        sync_label="Leads",
        labels={"team": "growth"},
        check=Check.FAILING,
        opened_at=at(2),
        runs=1,
        last_run_id=2,
        likeness="E1: no access",
        last_good_run=GoodRun(1, at(1)),
        wrong="E1: no access",
    )


def test_an_incident_is_opened_once_and_each_further_failure_changes_it() -> None:
    course = Course(failing=Failing())
    course.fails(1, 2, 3)
    assert course.told == ["failing opened by 1", "failing changed by 2", "failing changed by 3"]
    assert {incident.id for incident in course.incidents} == {"inc_1"}
    assert (course.last.runs, course.last.last_run_id) == (3, 3)


def test_runs_of_of_opens_at_the_failure_that_makes_it_so_many() -> None:
    course = Course(failing=Failing(runs=2, of=3))
    course.fails(1)
    course.completes(2)
    assert course.told == []
    course.fails(3)
    assert course.told == ["failing opened by 3"]
    assert course.last.runs == 2


def test_failures_outside_of_the_last_of_runs_do_not_count() -> None:
    course = Course(failing=Failing(runs=2, of=3))
    course.fails(1)
    course.completes(2, 3)
    course.fails(4)
    assert course.told == []
    course.fails(5)
    assert course.told == ["failing opened by 5"]


def test_without_of_the_runs_must_fail_in_a_row() -> None:
    course = Course(failing=Failing(runs=3))
    course.fails(1, 2)
    course.completes(3)
    course.fails(4, 5)
    assert course.told == []
    course.fails(6)
    assert course.told == ["failing opened by 6"]


def test_a_window_that_a_watch_made_smaller_than_its_runs_is_as_many_as_the_runs() -> None:
    checks = ChecksInForce.of(Checks(failing=Failing(runs=1, of=2)), [WatchChecks(failing=Failing(runs=3))])
    assert checks.failing is not None
    assert checks.failing.window == 3


def test_a_run_that_completes_opens_nothing_though_enough_of_the_last_ones_failed() -> None:
    course = Course(failing=Failing(runs=2, of=5))
    course.fails(1)
    course.completes(2)
    course.checks = ChecksInForce(failing=Failing(runs=1, of=5))
    course.completes(3)
    assert course.told == []
    course.fails(4)
    assert course.told == ["failing opened by 4"]


def test_recovered_after_several_runs_that_complete_in_a_row() -> None:
    course = Course(failing=Failing(recovered_after=2))
    course.fails(1)
    course.completes(2)
    course.fails(3)
    course.completes(4)
    assert course.since(1) == ["failing changed by 3"]
    course.completes(5)
    assert course.since(2) == ["failing resolved by 5"]


def test_fewer_runs_than_recovered_after_are_no_recovery() -> None:
    course = Course(failing=Failing(recovered_after=2))
    course.fails(1)
    course.completes(1)  # after all; it is the only one there is
    assert course.since(1) == []
    course.completes(2)
    assert course.since(1) == ["failing resolved by 2"]


def test_runs_count_from_the_last_resolution() -> None:
    course = Course(failing=Failing(runs=2, of=4))
    course.fails(1, 2)
    course.completes(3)
    assert course.told == ["failing opened by 2", "failing resolved by 3"]
    course.fails(4)
    assert course.since(2) == []  # runs 1 and 2 are of an incident that is over
    course.fails(5)
    assert course.since(2) == ["failing opened by 5"]
    assert (course.last.id, course.last.runs) == ("inc_2", 2)


def test_runs_count_from_the_end_of_an_incident_whose_check_was_turned_off() -> None:
    course = Course(failing=Failing(runs=2))
    course.fails(1, 2)
    course.ends(Reason.CHECK_OFF)
    course.fails(3)
    assert course.told == ["failing opened by 2", "failing resolved"]
    course.fails(4)
    assert course.since(2) == ["failing opened by 4"]


def test_the_end_of_another_checks_incident_is_no_resolution_of_this_one() -> None:
    course = Course(failing=Failing(runs=2), rejected_records=RejectedRecords())
    course.completes(1, rejected=90)
    course.fails(2)
    course.ends(Reason.CHECK_OFF, Check.REJECTED_RECORDS)
    course.fails(3)
    assert course.since(2) == ["failing opened by 3"]


def test_an_end_at_which_no_result_is_known_keeps_what_was_counted_before() -> None:
    course = Course(failing=Failing(runs=2))
    course.fails(1, 2)
    course.completes(3)
    course.fails(4, 5)
    (step,) = rules.ended_by(course.state, [Check.FAILING], Reason.UNWATCHED, course.scene)
    assert course.state.with_incident(step.incident).failing_from == CountedTo(3, at(3))


def test_a_late_failure_of_an_elder_run_opens_nothing_while_the_newest_result_is_good() -> None:
    course = Course(failing=Failing())
    course.completes(5)
    course.fails(4)
    assert course.told == []


def test_a_late_failure_of_an_elder_run_counts_in_a_window_that_reaches_it() -> None:
    course = Course(failing=Failing(runs=2, of=3))
    course.fails(3)
    course.completes(5)
    course.fails(4)
    assert course.told == ["failing opened by 4"]


def test_a_late_failure_of_a_run_from_before_the_resolution_opens_nothing() -> None:
    course = Course(failing=Failing(of=3))
    course.fails(1)
    course.completes(5)
    course.fails(4)
    assert course.told == ["failing opened by 1", "failing resolved by 5"]


def test_a_late_success_of_an_elder_run_is_no_recovery() -> None:
    course = Course(failing=Failing())
    course.fails(5)
    course.completes(4)
    assert course.told == ["failing opened by 5"]
    course.completes(6)
    assert course.since(1) == ["failing resolved by 6"]


def test_a_run_that_failed_and_completes_after_all_resolves_what_it_opened() -> None:
    course = Course(failing=Failing())
    course.fails(1)
    course.completes(1)
    assert course.told == ["failing opened by 1", "failing resolved by 1"]


def test_a_run_that_fails_twice_in_the_same_way_counts_once_and_changes_nothing() -> None:
    course = Course(failing=Failing())
    course.fails(1)
    course.fails(1)
    assert course.told == ["failing opened by 1"]


def test_a_run_that_fails_twice_in_different_ways_counts_once() -> None:
    course = Course(failing=Failing())
    course.fails(1)
    course.fails(1, code="E2")
    assert course.told == ["failing opened by 1", "failing changed by 1"]
    assert (course.last.runs, course.last.summary) == (1, "another error")


def test_a_run_that_fails_twice_counts_once_towards_the_opening() -> None:
    course = Course(failing=Failing(runs=2))
    course.fails(1)
    course.fails(1)
    assert course.told == []


def test_last_good_run_is_the_newest_that_completed_before() -> None:
    course = Course(failing=Failing(runs=2))
    course.completes(1, 2)
    course.fails(3, 4)
    assert course.last.last_good_run == GoodRun(2, at(2))


# --- another error ---


def test_a_failure_like_the_one_before_is_not_another_error() -> None:
    course = Course(failing=Failing())
    course.fails(1, message="3 of 20 rows failed")
    course.fails(2, message="17 of 4001 rows failed")
    assert course.last.summary is None


@pytest.mark.parametrize(
    ("code", "message"),
    [("E2", "no access"), ("E1", "no such table"), (None, "no access"), ("E1", None)],
)
def test_another_code_or_another_message_is_another_error(code: str | None, message: str | None) -> None:
    course = Course(failing=Failing())
    course.fails(1)
    course.fails(2, code=code, message=message)
    assert course.told == ["failing opened by 1", "failing changed by 2"]
    assert course.last.summary == "another error"


def test_a_third_failure_is_compared_with_the_second() -> None:
    course = Course(failing=Failing())
    course.fails(1)
    course.fails(2, code="E2")
    course.fails(3, code="E2")
    assert [incident.summary for incident in course.incidents] == [None, "another error", None]


def test_an_error_that_changes_afterwards_changes_the_incident_without_another_run() -> None:
    course = Course(failing=Failing())
    course.fails(1)
    course.error_changes(1, message="no such table")
    assert course.told == ["failing opened by 1", "failing changed by 1"]
    assert (course.last.runs, course.last.summary) == (1, "another error")


def test_an_error_that_changes_its_numbers_only_changes_nothing() -> None:
    course = Course(failing=Failing())
    course.fails(1, message="timed out after 30 s")
    course.error_changes(1, message="timed out after 31 s")
    assert course.told == ["failing opened by 1"]


def test_an_error_that_changes_of_a_run_before_the_last_changes_nothing() -> None:
    course = Course(failing=Failing())
    course.fails(1, 2)
    course.error_changes(1, code="E9")
    assert course.since(2) == []


def test_an_error_that_changes_while_nothing_is_open_changes_nothing() -> None:
    course = Course(failing=Failing(runs=2))
    course.fails(1)
    course.error_changes(1, code="E9")
    assert course.told == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 rows failed", "17 rows failed"),
        ("999 rows failed", "1,234 rows failed"),
        ("took 3.5 s", "took 12 s"),
        ("lost -5 rows", "lost 7 rows"),
        ("at 10:15:30.123", "at 9:00"),
        ("at 2026-11-23T10:15:30Z", "at 2026-11-24T11:16:31.001Z"),
        ("host 10.0.0.1:8080 is down", "host 10.0.0.27:443 is down"),
        ('no column "a"', 'no column "b and more"'),
        ("no column 'a'", "no column 'b'"),
        ("no column `a`", "no column `b`"),
        ("no column “a”", "no column “b”"),
        ("no column ‘a’", "no column ‘b’"),
        ("no column «a»", "no column «b»"),
        ("no column ''", "no column 'b'"),
        ("request 6ba7b810-9dad-11d1-80b4-00c04fd430c8", "request 7cb8c921-0000-11d1-80b4-00c04fd430c8"),
        ("object 0015g00000AbCdE is gone", "object 0015g00000XyZzA is gone"),
        ("job_17 failed", "job_18 failed"),
        ("/syncs/52/runs", "/syncs/5300/runs"),
        ("row 5, column 7", "row 61, column 123"),
        ("two  spaces\nhere", "two spaces here"),
        ("", ""),
    ],
)
def test_errors_that_differ_in_numbers_quoted_values_or_ids_are_alike(one: str, other: str) -> None:
    assert likeness(Watched("failed", error_message=one)) == likeness(Watched("failed", error_message=other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no access", "no such table"),
        ("the users' table can't be read", "the users' rows can't be read"),
        ("it isn't there and it can't be", "it isn't here and it can't be"),
        ("3 rows failed", "3 columns failed"),
        ('no column "a"', 'no table "a"'),
        ("row 5, column 7", "row 5"),
    ],
)
def test_errors_that_differ_in_their_words_are_not_alike(one: str, other: str) -> None:
    assert likeness(Watched("failed", error_message=one)) != likeness(Watched("failed", error_message=other))


def test_digits_of_an_error_code_are_part_of_it() -> None:
    assert likeness(Watched("failed", error_code="HTTP_500")) != likeness(Watched("failed", error_code="HTTP_502"))


@pytest.mark.parametrize("piece", ["a", "-", "'", "‘", "“", "«", '"', "`", "1", "1.", " '", " 'a", "é", "# "])
def test_a_message_of_a_megabyte_is_looked_at_no_longer_than_it_is_long(piece: str) -> None:
    assert len(likeness(Watched("failed", error_message=piece * (1_000_000 // len(piece))))) <= 1_000


# --- what a run that completes may open ---


@pytest.mark.parametrize(
    ("checks", "bad"),
    [
        ({"rejected_records": RejectedRecords()}, {"rejected": 90}),
        ({"record_count": RecordCount()}, {"sent": 1_000}),
    ],
    ids=["rejected_records", "record_count"],
)
def test_it_is_an_incident_of_one_run_and_names_the_good_run_before(
    checks: dict[str, Any], bad: dict[str, int]
) -> None:
    course = Course(**checks)
    course.completes(1, 2, 3)
    course.completes(4, **bad)
    assert (course.last.runs, course.last.last_run_id, course.last.last_good_run) == (1, 4, GoodRun(3, at(3)))
    course.completes(5)
    assert (course.last.reason, course.last.resolved_at) == (Reason.RECOVERED, at(5))


@pytest.mark.parametrize("younger", [{"sent": 90}, {"sent": 100}])
def test_a_run_that_ends_after_a_younger_one_that_counted_its_records_opens_nothing(younger: dict[str, int]) -> None:
    course = Course(rejected_records=RejectedRecords(), record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(5, **younger)
    course.completes(4, sent=1_000, rejected=900)
    assert course.told == []


def test_a_run_that_ends_after_younger_ones_that_counted_nothing_says_how_things_are() -> None:
    course = Course(rejected_records=RejectedRecords(), record_count=RecordCount())
    course.completes(1, 2, 3)
    course.fails(5)
    course.completes(6, sent=None, rejected=None, invalid=None)
    course.completes(4, sent=1_000, rejected=900)
    assert course.told == ["rejected_records opened by 4", "record_count opened by 4"]


# --- rejected_records ---


@pytest.mark.parametrize(
    ("sent", "rejected", "invalid", "opens"),
    [
        (100, 75, 0, True),
        (100, 74, 0, False),
        (100, 0, 75, False),  # 75 of 175
        (25, 0, 75, True),  # 75 of 100
        (26, 0, 75, False),
        (50, 37, 50, True),  # 87 of 100
        (50, 24, 50, False),  # 74 of 100
        (50, 25, 50, True),
        (0, 0, 1, True),
        (0, 1, 0, True),  # more rejected than sent: all of them
        (None, 1, None, True),
        (1, None, None, False),
        (None, None, None, False),
        (0, 0, 0, False),
    ],
)
def test_the_share_of_rejected_and_invalid_records_is_of_those_sent_and_those_invalid(
    sent: int | None, rejected: int | None, invalid: int | None, opens: bool
) -> None:
    course = Course(rejected_records=RejectedRecords())
    course.completes(1, sent=sent, rejected=rejected, invalid=invalid)
    assert course.told == (["rejected_records opened by 1"] if opens else [])


def test_exactly_the_percentage_opens_whatever_floating_point_makes_of_it() -> None:
    course = Course(rejected_records=RejectedRecords(percent=1.1))
    course.completes(1, sent=3_000, rejected=33)
    assert course.told == ["rejected_records opened by 1"]


def test_fewer_than_at_least_are_not_many_whatever_their_share() -> None:
    course = Course(rejected_records=RejectedRecords(percent=50, at_least=10))
    course.completes(1, sent=9, rejected=9)
    assert course.told == []
    course.completes(2, sent=10, rejected=10)
    assert course.told == ["rejected_records opened by 2"]


def test_a_run_that_fails_is_not_asked_for_its_rejected_records() -> None:
    course = Course(rejected_records=RejectedRecords())
    course.fails(1)
    assert course.told == []


def test_the_next_good_run_that_sent_something_resolves() -> None:
    course = Course(rejected_records=RejectedRecords())
    course.completes(1, rejected=80)
    course.completes(2, sent=0)
    course.completes(3, sent=None, rejected=None, invalid=None)
    course.fails(4)
    assert course.told == ["rejected_records opened by 1"]
    course.completes(5, sent=1)
    assert course.since(1) == ["rejected_records resolved by 5"]


def test_a_further_bad_run_changes_the_incident_and_says_how_bad_it_was() -> None:
    course = Course(rejected_records=RejectedRecords())
    course.completes(1, sent=1_000, rejected=800, invalid=600)
    assert course.last.summary == "1,400 of 1,600 records were rejected or invalid (87 %)"
    course.completes(2, sent=100, rejected=100)
    assert course.told == ["rejected_records opened by 1", "rejected_records changed by 2"]
    assert (course.last.runs, course.last.summary) == (2, "100 of 100 records were rejected or invalid (100 %)")


def test_records_that_were_lost_are_never_more_than_there_were() -> None:
    assert lost_records(Records(sent=1, rejected=5, invalid=2)) == (7, 7)
    assert lost_records(Records(sent=10, rejected=5, invalid=2)) == (7, 12)
    assert lost_records(Records()) == (0, 0)


# --- record_count ---


def test_too_many_or_too_few_records_open_an_incident() -> None:
    for sent in (49, 151):
        course = Course(record_count=RecordCount())
        course.completes(1, 2, 3)
        course.completes(4, sent=sent)
        assert course.told == ["record_count opened by 4"]
        assert course.last.summary == f"{sent} records sent, the mean of the runs before is 100"


def test_exactly_the_deviation_is_still_within() -> None:
    for sent in (50, 150):
        course = Course(record_count=RecordCount())
        course.completes(1, 2, 3)
        course.completes(4, sent=sent)
        assert course.told == []


def test_exactly_the_deviation_is_still_within_whatever_floating_point_makes_of_it() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, sent=1)
    course.completes(3, sent=2)
    course.completes(4, sent=2)  # the mean is 4/3, half of which is 2/3
    assert course.told == []


def test_three_completed_runs_are_the_least_to_compare_with() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2)
    course.completes(3, sent=1_000)
    assert course.told == []


def test_runs_that_failed_and_runs_without_a_count_are_no_measure() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2)
    course.fails(3)
    course.completes(4, sent=None)
    course.completes(5, sent=1_000)
    assert course.told == []


def test_a_run_without_a_count_opens_and_resolves_nothing() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, sent=None)
    assert course.told == []
    course.completes(5, sent=1_000)
    course.completes(6, sent=None)
    assert course.told == ["record_count opened by 5"]


def test_the_mean_is_of_the_last_runs_only() -> None:
    course = Course(record_count=RecordCount(of_last=3))
    course.completes(1, 2, 3, sent=100)
    course.completes(4, sent=140)  # mean 100
    course.completes(5, sent=140)  # mean 340/3
    course.completes(6, sent=140)  # mean 380/3
    course.completes(7, sent=210)  # mean 140: 210 is just within; of all six runs it would not be
    assert course.told == []


def test_the_mean_is_of_runs_before_the_run() -> None:
    course = Course(record_count=RecordCount())
    course.completes(5, 6, 7)
    course.completes(4, sent=1_000)  # late: nothing is known of before it
    assert course.told == []


def test_the_next_run_that_is_within_resolves() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, 5, sent=1_000)
    assert course.told == ["record_count opened by 4", "record_count changed by 5"]
    course.completes(6, sent=150)
    assert course.since(2) == ["record_count resolved by 6"]


def test_each_further_run_that_deviates_says_by_how_much() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, sent=1_000)
    course.completes(5, sent=2_000)
    assert course.last.summary == "2,000 records sent, the mean of the runs before is 100"


def test_a_run_that_ends_after_a_younger_one_is_no_measure_for_itself() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.fails(5)
    course.completes(4, sent=151)  # with itself the mean would be 113
    assert course.told == ["record_count opened by 4"]


def test_a_row_of_runs_that_deviate_goes_on_when_what_they_were_compared_with_is_forgotten() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, sent=1_000)
    for number in (1, 2, 3):
        del course.results[number]
    course.completes(5, 6, sent=1_000)
    assert course.since(1) == []
    course.completes(7, sent=1_000)
    assert course.since(1) == ["record_count resolved by 7"]


def test_a_run_that_deviated_is_no_measure_for_later_ones() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, sent=1_000)
    course.completes(5)
    course.completes(6, sent=151)  # of all five before it the mean would be 280
    assert course.since(2) == ["record_count opened by 6"]


def test_after_three_in_a_row_that_deviated_one_like_them_is_the_new_level() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, 5, 6, sent=1_000)
    assert course.told == ["record_count opened by 4", "record_count changed by 5", "record_count changed by 6"]
    course.completes(7, sent=900)
    assert course.since(3) == ["record_count resolved by 7"]
    assert course.last.reason is Reason.RECOVERED


def test_the_new_level_is_the_measure_from_then_on() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, 5, 6, 7, sent=1_000)
    count = len(course.told)
    course.completes(8, 9, sent=1_100)
    assert course.since(count) == []
    course.completes(10, sent=100)
    assert course.since(count) == ["record_count opened by 10"]


def test_the_very_next_run_is_compared_with_the_new_level() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, 5, 6, 7, sent=1_000)
    course.completes(8)
    assert course.told[-1] == "record_count opened by 8"
    assert course.last.summary == "100 records sent, the mean of the runs before is 1,000"


def test_the_new_level_begins_with_the_first_of_the_row() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, sent=1_200)
    course.completes(5, 6, 7, sent=1_000)
    course.completes(8)
    assert course.last.summary == "100 records sent, the mean of the runs before is 1,050"


def test_two_in_a_row_that_deviated_are_no_new_level() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, 5, sent=1_000)
    course.completes(6)
    course.completes(7, 8, 9, sent=1_000)
    assert course.since(3) == ["record_count opened by 7", "record_count changed by 8", "record_count changed by 9"]
    course.completes(10, sent=1_000)
    assert course.since(6) == ["record_count resolved by 10"]


def test_three_that_deviated_with_nothing_in_common_are_no_new_level() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, sent=1_000)
    course.completes(5, sent=5_000)
    course.completes(6, sent=30_000)  # their mean is 12,000
    course.completes(7, sent=1_000)
    assert "record_count resolved by 7" not in course.told


def test_failures_and_runs_without_a_count_do_not_break_the_row() -> None:
    course = Course(record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, 5, sent=1_000)
    course.fails(6)
    course.completes(7, sent=None)
    course.completes(8, 9, sent=1_000)
    assert course.since(3) == ["record_count resolved by 9"]


def test_a_sync_that_used_to_send_nothing_deviates_with_its_first_record() -> None:
    course = Course(record_count=RecordCount(deviation_percent=1_000))
    course.completes(1, 2, 3, 4, sent=0)
    assert course.told == []
    course.completes(5, sent=1)
    assert course.told == ["record_count opened by 5"]


# --- slow_run ---


def test_a_run_is_slow_once_it_has_not_ended_in_time() -> None:
    course = Course(slow_run=SlowRun(after=minutes(30)))
    course.now = at(10 + 30) - timedelta(seconds=1)
    course.still_runs(10)
    assert course.told == []
    course.now = at(10 + 30)
    course.still_runs(10)
    assert course.told == ["slow_run opened by 10"]
    assert course.last.summary == "running for more than 30 min"


def test_a_slow_run_is_an_incident_of_one_run_and_names_the_good_run_before() -> None:
    course = Course(slow_run=SlowRun(after=minutes(30)))
    course.completes(1)
    course.now = at(40)
    course.still_runs(10)
    assert (course.last.runs, course.last.last_run_id, course.last.last_good_run) == (1, 10, GoodRun(1, at(1)))


@pytest.mark.parametrize("ends", [Course.completes, Course.fails])
def test_a_slow_run_that_ends_resolves_however_it_ends(ends: object) -> None:
    course = Course(slow_run=SlowRun(after=minutes(30)))
    course.now = at(40)
    course.still_runs(10)
    assert callable(ends)
    ends(course, 10)
    assert course.since(1) == ["slow_run resolved by 10"]
    assert course.last.reason is Reason.RECOVERED


def test_another_run_that_ends_does_not_resolve_a_slow_one() -> None:
    course = Course(slow_run=SlowRun(after=minutes(30)))
    course.now = at(40)
    course.still_runs(10)
    course.completes(11)
    assert course.since(1) == []


def test_one_slow_run_is_an_incident_and_a_second_one_beside_it_is_none() -> None:
    course = Course(slow_run=SlowRun(after=minutes(30)))
    course.now = at(60)
    course.still_runs(10)
    course.still_runs(11)
    assert course.told == ["slow_run opened by 10"]
    course.completes(10)
    course.still_runs(11)
    assert course.since(1) == ["slow_run resolved by 10", "slow_run opened by 11"]


def test_a_run_that_vanishes_is_slow_no_longer() -> None:
    course = Course(slow_run=SlowRun(after=minutes(30)))
    course.now = at(40)
    course.still_runs(10)
    (step,) = rules.after_end(course.state, 10, None, Reason.DELETED, course.scene)
    assert (step.incident.reason, step.run) == (Reason.DELETED, None)


def test_no_run_of_a_paused_sync_and_none_without_a_time_is_slow() -> None:
    checks = ChecksInForce(slow_run=SlowRun(after=minutes(30)))
    assert not rules.is_slow(checks, SyncState(standing=Standing(paused=True)), at(0), at(1_000))
    assert not rules.is_slow(checks, SyncState(), None, at(1_000))
    assert not rules.is_slow(ChecksInForce(), SyncState(), at(0), at(1_000))
    assert rules.is_slow(checks, SyncState(), at(0), at(1_000))


# --- stale ---


def stale_course(last_good: datetime | None = NOW, **standing: Any) -> Course:
    """A sync whose last run completed NOW, and that is stale a day later."""
    course = Course(stale=Stale(after=DAY))
    good = GoodRun(1, last_good) if last_good is not None else None
    course.state = SyncState(last_good=good, standing=Standing(**standing))
    return course


def test_a_sync_is_stale_once_its_last_completed_run_is_too_long_ago() -> None:
    course = stale_course()
    course.polled(NOW + DAY - timedelta(seconds=1))
    assert course.told == []
    course.polled(NOW + DAY)
    course.polled(NOW + 2 * DAY)
    assert course.told == ["stale opened"]
    assert (course.last.summary, course.last.runs) == ("no run has completed for more than 1 d", 0)
    assert course.last.last_good_run == GoodRun(1, NOW)


def test_a_run_that_completes_resolves_it_and_one_that_fails_does_not() -> None:
    course = stale_course()
    course.polled(NOW + DAY)
    course.fails(2_000)
    assert course.since(1) == []
    course.completes(2_001)
    assert course.since(1) == ["stale resolved by 2001"]
    assert course.last.reason is Reason.RECOVERED


@pytest.mark.parametrize("standing", [{"paused": True}, {"scheduled": False}, {"paused": True, "scheduled": False}])
def test_a_sync_that_is_paused_or_never_scheduled_is_not_stale(standing: dict[str, Any]) -> None:
    course = stale_course(**standing)
    course.polled(NOW + 9 * DAY)
    assert course.told == []


def test_a_sync_whose_schedule_is_not_known_can_be_stale() -> None:
    course = stale_course(paused=None, scheduled=None)
    course.polled(NOW + DAY)
    assert course.told == ["stale opened"]


def test_without_a_good_run_it_counts_from_when_watching_began() -> None:
    course = stale_course(last_good=None, stale_from=at(60))
    course.polled(at(60) + DAY - timedelta(seconds=1))
    assert course.told == []
    course.polled(at(60) + DAY)
    assert course.told == ["stale opened"]


def test_without_anything_to_count_from_nothing_is_stale() -> None:
    course = stale_course(last_good=None)
    course.polled(NOW + 999 * DAY)
    assert course.told == []


def test_after_it_was_resumed_it_counts_from_then() -> None:
    course = stale_course(paused=False, stale_from=NOW + 5 * DAY)
    course.polled(NOW + 6 * DAY - timedelta(seconds=1))
    assert course.told == []
    course.polled(NOW + 6 * DAY)
    assert course.told == ["stale opened"]


def test_a_good_run_after_it_was_resumed_is_what_counts() -> None:
    course = stale_course(last_good=at(60), paused=False, stale_from=NOW)
    course.polled(NOW + DAY)
    assert course.told == []


# --- reminders ---


def reminded(first: timedelta, longest: timedelta, hours: int) -> list[float]:
    """The hours after its opening at which an incident is told again, when it is looked at every hour."""
    course = Course(failing=Failing(), reminders=Reminders(first=first, longest=longest))
    course.fails(0)
    told = []
    for hour in range(1, hours + 1):
        before = len(course.told)
        course.polled(NOW + hour * HOUR)
        told += [hour] if len(course.told) > before else []
    return [float(hour) for hour in told]


def test_an_incident_is_told_again_after_pauses_that_double_to_the_longest() -> None:
    assert reminded(24 * HOUR, 7 * DAY, 24 * 33) == [24, 24 + 48, 72 + 96, 168 + 168, 336 + 168, 504 + 168]


def test_a_longest_pause_below_the_first_holds_from_the_beginning() -> None:
    assert reminded(24 * HOUR, 6 * HOUR, 24) == [6, 12, 18, 24]


def test_a_reminder_keeps_what_the_incident_is() -> None:
    course = Course(failing=Failing(), reminders=Reminders())
    course.fails(0)
    course.polled(NOW + DAY)
    assert course.told == ["failing opened by 0", "failing reminder"]
    assert (course.last.id, course.last.runs, course.last.is_open) == ("inc_1", 1, True)
    assert (course.last.reminders, course.last.reminded_at) == (1, NOW + DAY)


def test_a_reminder_does_not_say_again_that_the_error_is_another_one() -> None:
    course = Course(
        failing=Failing(), rejected_records=RejectedRecords(), reminders=Reminders(first=HOUR, longest=HOUR)
    )
    course.completes(0, rejected=90)
    course.fails(0)
    course.fails(1, code="E2")
    course.polled(at(60))
    summaries = {incident.check: incident.summary for incident in course.incidents[3:]}
    assert summaries == {
        Check.FAILING: None,
        Check.REJECTED_RECORDS: "90 of 100 records were rejected or invalid (90 %)",
    }


def test_a_long_downtime_makes_one_reminder() -> None:
    course = Course(failing=Failing(), reminders=Reminders(first=HOUR, longest=HOUR))
    course.fails(0)
    course.polled(NOW + 30 * DAY)
    course.polled(NOW + 30 * DAY)
    assert course.since(1) == ["failing reminder"]


def test_a_clock_that_jumps_back_never_makes_a_reminder_twice() -> None:
    course = Course(failing=Failing(), reminders=Reminders(first=HOUR, longest=DAY))
    course.fails(0)
    course.polled(NOW + HOUR)
    course.polled(NOW - 9 * DAY)
    course.polled(NOW + HOUR)
    course.polled(NOW + 3 * HOUR - timedelta(seconds=1))
    assert course.since(1) == ["failing reminder"]
    course.polled(NOW + 3 * HOUR)
    assert course.since(1) == ["failing reminder", "failing reminder"]


@pytest.mark.parametrize("longest", [7 * DAY, timedelta.max])
@pytest.mark.parametrize("reminders", [1, 29, 30, 31, 32, 63, 64, 1_100, 100_000])
def test_an_incident_that_stays_open_for_years_is_told_again_without_end(reminders: int, longest: timedelta) -> None:
    incident = Incident("inc_1", "production", 52, Check.FAILING, NOW, reminders=reminders, reminded_at=NOW)
    steps = rules.reminders(Reminders(longest=longest), [incident], NOW + 7 * DAY)
    assert len(steps) == (longest == 7 * DAY or reminders <= 2)


def test_all_that_is_open_is_told_again_by_itself() -> None:
    course = Course(
        failing=Failing(), rejected_records=RejectedRecords(), reminders=Reminders(first=HOUR, longest=HOUR)
    )
    course.completes(0, rejected=90)
    course.fails(30)
    course.polled(at(60))
    assert course.since(2) == ["rejected_records reminder"]
    course.polled(at(90))
    assert course.since(3) == ["failing reminder"]


def test_without_reminders_nothing_is_told_again() -> None:
    course = Course(failing=Failing())
    course.fails(0)
    course.polled(NOW + 99 * DAY)
    assert course.since(1) == []


# --- the end ---


@pytest.mark.parametrize("reason", [Reason.CHECK_OFF, Reason.UNWATCHED, Reason.DELETED])
def test_incidents_end_for_a_reason_each_once(reason: Reason) -> None:
    course = Course(failing=Failing(), rejected_records=RejectedRecords())
    course.completes(1, rejected=90)
    course.fails(2)
    course.ends(reason)
    course.ends(reason)
    assert course.since(2) == ["failing resolved", "rejected_records resolved"]
    assert {incident.reason for incident in course.incidents[2:]} == {reason}


def test_only_the_named_checks_end() -> None:
    course = Course(failing=Failing(), rejected_records=RejectedRecords())
    course.completes(1, rejected=90)
    course.fails(2)
    course.ends(Reason.CHECK_OFF, Check.FAILING, Check.STALE)
    assert course.since(2) == ["failing resolved"]
    assert course.state.open.keys() == {Check.REJECTED_RECORDS}


def test_an_incident_never_lasts_less_than_no_time() -> None:
    course = Course(failing=Failing())
    course.fails(10)
    course.now = at(-600)
    course.ends(Reason.UNWATCHED)
    assert course.last.resolved_at == course.last.opened_at == at(10)


def test_the_resolution_says_what_was_wrong_last() -> None:
    course = Course(rejected_records=RejectedRecords())
    course.completes(1, rejected=90)
    course.completes(2, rejected=80)
    course.completes(3)
    assert course.last.summary == course.last.wrong == "80 of 100 records were rejected or invalid (80 %)"


def test_the_resolution_of_a_failing_sync_says_the_last_error_that_was_told() -> None:
    course = Course(failing=Failing())
    course.fails(1, code="E1", message="no access")
    course.fails(2, code="E2", message="E2: the disk\nis full")
    course.fails(3, code=None, message=None)
    course.completes(4)
    assert course.last.summary == course.last.wrong == "E2: the disk is full"


def test_what_is_wrong_is_the_code_and_the_message_or_the_detail_where_there_is_no_message() -> None:
    whole = Watched("failed", error_code="E1", error_message="no access", error_detail="to the table")
    assert wrong_with(a_run(watched=whole)) == "E1: no access"
    assert wrong_with(a_run(watched=replace(whole, error_message=None))) == "E1: to the table"
    assert wrong_with(None) is None


def test_a_failure_without_an_error_leaves_nothing_to_say() -> None:
    course = Course(failing=Failing())
    course.fails(1, code=None, message=None)
    course.completes(2)
    assert (course.last.summary, course.last.wrong) == (None, None)


def test_one_record_is_told_as_one() -> None:
    course = Course(rejected_records=RejectedRecords(), record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, sent=1, rejected=1)
    assert [incident.summary for incident in course.incidents] == [
        "1 of 1 record was rejected or invalid (100 %)",
        "1 record sent, the mean of the runs before is 100",
    ]


# --- several checks, one run ---


def test_one_run_may_be_of_several_incidents() -> None:
    course = Course(rejected_records=RejectedRecords(), record_count=RecordCount())
    course.completes(1, 2, 3)
    course.completes(4, sent=1_000, rejected=1_000)
    assert course.told == ["rejected_records opened by 4", "record_count opened by 4"]


def test_a_run_that_completes_may_resolve_one_incident_and_open_another() -> None:
    course = Course(failing=Failing(), rejected_records=RejectedRecords())
    course.fails(1)
    course.completes(2, rejected=100)
    assert course.since(1) == ["failing resolved by 2", "rejected_records opened by 2"]


def test_checks_that_are_off_say_nothing() -> None:
    course = Course()
    course.fails(1)
    course.completes(2, rejected=100)
    course.completes(3, 4, sent=100)
    course.completes(5, sent=9_999)
    course.still_runs(6)
    course.polled(NOW + 99 * DAY)
    assert course.told == []
