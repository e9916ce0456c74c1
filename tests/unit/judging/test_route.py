"""Which receivers get an event."""

from dataclasses import replace

import pytest

from notifier.judging.route import Subject, matches, receivers_of
from notifier.model.event import EventType
from tests.builders import a_route

FAILED = Subject(EventType.FAILED, "production", 52, "New Signups to Leads", {"team": "growth", "tier": "1"})


def test_without_routes_every_receiver_gets_every_event() -> None:
    assert receivers_of(FAILED, None, ["b", "a"]) == ("b", "a")


def test_a_route_without_a_condition_matches_everything() -> None:
    assert matches(a_route("a"), FAILED)
    assert matches(a_route("a"), Subject(EventType.ERROR_CHANGED, "x", 1, None, {}))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (["sync_run.failed"], True),
        (["sync_run.completed"], False),
        (["sync_run.completed", "sync_run.failed"], True),
        (["sync_run.*"], True),
        (["*"], True),
        (["*.fail?d"], True),
        (["sync_run.[fs]*"], True),
        (["sync_run.c*"], False),
        (["sync_run.skipped", "sync_run.c*"], False),
    ],
)
def test_events_are_names_or_globs_of_the_whole_name(events: list[str], expected: bool) -> None:
    assert matches(a_route("a", events=events), FAILED) is expected


@pytest.mark.parametrize(
    ("workspaces", "expected"), [(["production"], True), (["staging"], False), (["staging", "production"], True)]
)
def test_a_workspace_is_meant_by_its_name(workspaces: list[str], expected: bool) -> None:
    assert matches(a_route("a", workspaces=workspaces), FAILED) is expected


def test_a_workspaces_name_is_no_glob() -> None:
    assert not matches(a_route("a", workspaces=["prod*"]), FAILED)


@pytest.mark.parametrize(
    ("syncs", "expected"),
    [
        ([52], True),
        ([53], False),
        ([53, 52], True),
        (["New Signups to Leads"], True),
        (["New*"], True),
        (["*leads"], False),  # with case
        (["new*"], False),
        (["New"], False),  # the whole label
        (["*Signups*"], True),
        (["New Signups to [KL]eads"], True),
        (["New Signups to [!L]eads"], False),
        (["New Signups to Lead?"], True),
        (["New Signups to Leads?"], False),
        (["HubSpot*", 52], True),
        (["HubSpot*", 53], False),
    ],
)
def test_a_sync_is_meant_by_its_id_or_by_a_glob_for_its_label(syncs: list[int | str], expected: bool) -> None:
    assert matches(a_route("a", syncs=syncs), FAILED) is expected


def test_a_label_that_looks_like_an_id_is_not_one() -> None:
    subject = replace(FAILED, sync_id=7, sync_label="52")
    assert not matches(a_route("a", syncs=[52]), subject)
    assert matches(a_route("a", syncs=["5[12]"]), subject)


def test_a_word_is_an_id_or_a_glob_for_a_label() -> None:
    donkey = replace(FAILED, sync_id="glimmering_donkey", sync_label="Leads")
    assert matches(a_route("a", syncs=["glimmering_donkey"]), donkey)
    assert matches(a_route("a", syncs=["Leads"]), donkey)
    assert matches(a_route("a", syncs=["52"]), FAILED)
    assert not matches(a_route("a", syncs=["glimmering_*"]), donkey)  # globs are for labels
    assert not matches(a_route("a", syncs=["007"]), replace(FAILED, sync_id=7))


def test_a_sync_without_a_label_fits_only_globs_that_fit_nothing() -> None:
    subject = replace(FAILED, sync_label=None)
    assert not matches(a_route("a", syncs=["None"]), subject)
    assert not matches(a_route("a", syncs=["?*"]), subject)
    assert matches(a_route("a", syncs=["*"]), subject)
    assert matches(a_route("a", syncs=[52]), subject)


def test_a_glob_spans_lines_of_a_label() -> None:
    assert matches(a_route("a", syncs=["New*Leads"]), replace(FAILED, sync_label="New\nLeads"))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"team": "growth"}, True),
        ({"team": "growth", "tier": "1"}, True),
        ({"team": "growth", "tier": "2"}, False),
        ({"team": "Growth"}, False),
        ({"team": "*"}, False),
        ({"owner": "growth"}, False),
        ({}, True),
    ],
)
def test_every_label_of_a_route_must_be_there_with_its_value(labels: dict[str, str], expected: bool) -> None:
    assert matches(a_route("a", labels=labels), FAILED) is expected


@pytest.mark.parametrize("spoiled", ["events", "workspaces", "syncs", "labels"])
def test_all_given_conditions_must_match(spoiled: str) -> None:
    right = a_route("a", events=["sync_run.failed"], workspaces=["production"], syncs=[52], labels={"team": "growth"})
    assert matches(right, FAILED)
    wrong = {
        "events": ("sync_run.completed",),
        "workspaces": ("staging",),
        "syncs": (53,),
        "labels": {"team": "sales"},
    }
    assert not matches(right.model_copy(update={spoiled: wrong[spoiled]}), FAILED)


def test_a_receiver_that_several_routes_name_gets_the_event_once() -> None:
    routes = [a_route("b", "a"), a_route("a"), a_route("c", "b", events=["sync_run.*"])]
    assert receivers_of(FAILED, routes, ["a", "b", "c", "d"]) == ("a", "b", "c")


def test_every_route_that_matches_counts_and_no_other() -> None:
    routes = [a_route("a", events=["sync_run.failed"]), a_route("b", events=["sync_run.completed"]), a_route("c")]
    assert receivers_of(FAILED, routes, ["a", "b", "c"]) == ("a", "c")


def test_an_event_that_no_route_matches_goes_nowhere() -> None:
    assert receivers_of(FAILED, [a_route("a", syncs=[1])], ["a"]) == ()
