"""Who gets which event of what was seen at once, with which story, and whom it mentions."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from notifier.judging.route import Finding, Reader, Subject, addressed, matches, readers_of, who_knows
from notifier.model.event import Addressee, EventType
from notifier.model.incident import Check, Incident
from notifier.watchlist.models import Route
from notifier.watchlist.receivers import Receiver, SlackReceiver, SlackWebhookReceiver
from tests.builders import a_route, a_slack_channel, a_slack_webhook, a_webhook, an_incident

HOOK = Reader("hook")
EACH = Reader("each", selective=True)
LIVING = Reader("living", selective=True, living=True)
EVERYONE = (HOOK, EACH, LIVING)
INCIDENT_FIRST = ("incident.opened", "incident.reminder")


def lasting(check: Check = Check.FAILING, *, told: tuple[str, ...] = ()) -> Incident:
    """An incident, and who was told of it."""
    return replace(an_incident(check, told=frozenset(told)), id=f"inc_{check}")


def of_run(kind: EventType = EventType.FAILED, *incidents: Incident) -> Finding:
    """An event of run 93; `incidents`: those into whose time it falls."""
    return Finding(Subject(kind, "production", 52, "Leads", {"team": "growth"}), incidents, "run:93")


def of_incident(
    check: Check = Check.FAILING,
    kind: EventType = EventType.INCIDENT_OPENED,
    *,
    told: tuple[str, ...] = (),
    label: str = "Leads",
    team: str = "growth",
) -> Finding:
    subject = Subject(kind, "production", 52, label, {"team": team}, check)
    return Finding(subject, (lasting(check, told=told),), "run:93")


def of_workspace(
    kind: EventType = EventType.INCIDENT_OPENED, *, told: tuple[str, ...] = (), workspace: str = "production"
) -> Finding:
    subject = Subject(kind, workspace, None, None, {}, Check.UNREACHABLE)
    return Finding(subject, (lasting(Check.UNREACHABLE, told=told),))


def without_run(kind: EventType) -> Finding:
    return Finding(Subject(kind, "production", 52, "Leads", {"team": "growth"}))


def a_route_with(*receivers: str, **given: Any) -> Route:
    return a_route(*receivers).model_copy(update=given)


def who(*findings: Finding, routes: list[Route] | None = None, readers: tuple[Reader, ...] = EVERYONE) -> list[str]:
    """For each event the names of those who get it; a quiet one in brackets."""
    return [
        " ".join(f"({to.receiver})" if to.quiet else to.receiver for to in addressees)
        for addressees in addressed(findings, routes, readers)
    ]


def stories(*findings: Finding, reader: Reader = LIVING) -> list[str | None]:
    """The story of each event that a reader gets."""
    return [to.story for addressees in addressed(findings, None, [reader]) for to in addressees]


def mentions(*findings: Finding, routes: list[Route] | None = None, reader: Reader) -> list[tuple[str, ...]]:
    """Whom each event that a reader gets mentions."""
    return [to.mentions for addressees in addressed(findings, routes, [reader]) for to in addressees]


# --- one message for one observation ---


def test_nothing_seen_is_for_nobody() -> None:
    assert addressed((), None, EVERYONE) == ()


def test_a_single_event_is_for_all_and_for_nobody_quietly() -> None:
    assert who(of_run()) == ["hook each living"]


def test_of_a_run_and_its_incident_a_webhook_gets_both_and_slack_the_incidents_wherever_it_stands() -> None:
    assert who(of_run(), of_incident()) == ["hook", "hook each living"]
    assert who(of_incident(), of_run()) == ["hook each living", "hook"]


@pytest.mark.parametrize(
    ("lighter", "heavier"),
    [
        (Check.REJECTED_RECORDS, Check.FAILING),
        (Check.RECORD_COUNT, Check.REJECTED_RECORDS),
        (Check.SLOW_RUN, Check.RECORD_COUNT),
        (Check.STALE, Check.SLOW_RUN),
        (Check.UNREACHABLE, Check.STALE),
    ],
)
def test_of_several_incidents_slack_shows_the_heaviest_and_a_living_one_keeps_the_others_true(
    lighter: Check, heavier: Check
) -> None:
    assert who(of_incident(lighter), of_incident(heavier)) == ["hook (living)", "hook each living"]


def test_any_incident_comes_before_a_full_sync_and_that_before_its_run() -> None:
    assert who(of_run(), of_run(EventType.FULL_SYNC)) == ["hook", "hook each living"]
    assert who(of_run(), of_run(EventType.FULL_SYNC), of_incident(Check.STALE)) == ["hook", "hook", "hook each living"]


def test_of_two_of_the_same_weight_the_first_is_shown() -> None:
    assert who(of_run(EventType.WORKING), of_run(EventType.COMPLETED)) == ["hook each living", "hook"]


def test_what_a_reader_does_not_get_hides_nothing_from_it() -> None:
    """The incident does not go there, so the run's event is shown."""
    routes = [a_route("hook", "each"), a_route("living", events=["sync_run.*"])]
    assert who(of_run(), of_incident(), routes=routes) == ["hook living", "hook each"]


def test_an_event_that_no_route_takes_is_for_nobody_and_the_others_are_where_they_were() -> None:
    routes = [a_route("hook", "each", "living", events=["incident.*"])]
    assert who(of_run(), of_incident(), of_run(), routes=routes) == ["", "hook each living", ""]


def test_a_reader_that_no_route_names_gets_nothing() -> None:
    assert who(of_run(), routes=[a_route("each")]) == ["each"]


def test_a_reader_gets_an_event_once_though_two_routes_name_it() -> None:
    assert who(of_run(), routes=[a_route("each"), a_route("hook", "each")]) == ["hook each"]


# --- stories ---


def test_only_a_living_reader_has_stories() -> None:
    assert stories(of_run(EventType.FAILED, lasting(told=("each",))), reader=EACH) == [None]
    assert stories(of_incident(told=("hook",)), reader=HOOK) == [None]


def test_a_run_outside_of_any_incident_is_a_story_of_its_own() -> None:
    assert stories(of_run()) == ["run:93"]


def test_an_incidents_event_is_of_its_story_whoever_knows_of_it() -> None:
    assert stories(of_incident()) == ["inc_failing"]
    assert stories(of_incident(told=("living",))) == ["inc_failing"]


def test_while_an_incident_lasts_its_runs_are_part_of_it_for_those_who_know_of_it() -> None:
    assert stories(of_run(EventType.FAILED, lasting(told=("another", "living")))) == ["inc_failing"]
    assert stories(of_run(EventType.FAILED, lasting(told=("another",)))) == ["run:93"]


def test_of_several_that_last_its_runs_are_part_of_the_heaviest_that_the_reader_knows_of() -> None:
    slow = lasting(Check.SLOW_RUN, told=("living", "other"))
    rejected = lasting(Check.REJECTED_RECORDS, told=("living",))
    failing = lasting(Check.FAILING)
    assert stories(of_run(EventType.WORKING, slow, rejected, failing)) == ["inc_rejected_records"]
    assert stories(of_run(EventType.WORKING, failing, slow, rejected)) == ["inc_rejected_records"]
    assert stories(of_run(EventType.WORKING, failing, slow, rejected), reader=replace(LIVING, name="other")) == [
        "inc_slow_run"
    ]


def test_what_is_of_neither_a_run_nor_an_incident_has_no_story() -> None:
    assert stories(without_run(EventType.SYNC_PAUSED)) == [None]


def test_a_quiet_event_is_of_its_own_incident() -> None:
    assert stories(of_incident(Check.STALE), of_incident()) == ["inc_stale", "inc_failing"]


# --- who was told of an incident ---

CHANGED, REMINDER, RESOLVED = EventType.INCIDENT_CHANGED, EventType.INCIDENT_REMINDER, EventType.INCIDENT_RESOLVED
ALL = ("hook", "each", "living")
SALES = [a_route(*ALL, labels={"team": "sales"})]


@pytest.mark.parametrize(
    "routes",
    [
        SALES,
        [a_route(*ALL, syncs=["Sales *"])],
        [a_route(*ALL, syncs=[53])],
        [a_route(*ALL, checks=["stale"])],
        [a_route(*ALL, workspaces=["staging"])],
        [a_route("another")],
    ],
    ids=["labels", "name", "sync", "checks", "workspace", "receivers"],
)
def test_who_was_told_of_an_incident_is_told_of_its_end_wherever_the_routes_lead_by_now(routes: list[Route]) -> None:
    assert who(of_incident(kind=RESOLVED), routes=routes) == [""]
    assert who(of_incident(kind=RESOLVED, told=ALL), routes=routes) == ["hook each living"]
    assert who(of_incident(kind=RESOLVED, told=("each",)), routes=routes) == ["each"]


@pytest.mark.parametrize("kind", [CHANGED, REMINDER])
def test_a_living_message_stays_true_where_no_route_leads_any_more_and_says_nothing_new(kind: EventType) -> None:
    assert who(of_incident(kind=kind, told=ALL), routes=SALES) == ["(living)"]
    assert who(of_incident(kind=kind), routes=SALES) == [""]


def test_a_living_message_is_kept_true_by_events_that_its_route_leaves_out_and_the_end_says_nothing_else() -> None:
    """The watchlist leads the incident here, and asks for the opening alone; it does so now, whatever it did before."""
    routes = [a_route("living", events=["incident.opened"])]
    for kind in (CHANGED, REMINDER, RESOLVED):
        assert who(of_incident(kind=kind, told=("living",)), routes=routes) == ["(living)"]


def test_with_fewer_events_by_an_edit_who_has_no_living_message_is_told_of_the_end_all_the_same() -> None:
    routes = [a_route("hook", "each", events=["incident.opened"])]
    assert who(of_incident(kind=RESOLVED, told=("hook", "each")), routes=routes) == ["hook each"]


def test_who_was_told_and_is_gone_from_the_watchlist_is_told_no_more() -> None:
    assert who(of_incident(kind=RESOLVED, told=("gone", "hook")), routes=SALES) == ["hook"]


def test_an_event_that_only_keeps_a_message_true_stands_for_no_other_and_calls_nobody() -> None:
    reader = replace(LIVING, mentions=("@here",), mention_on=("incident.*",))
    routes = [a_route("living", events=["sync_run.*"])]
    run = of_run(EventType.FAILED, lasting(told=("living",)))
    changed = of_incident(kind=CHANGED, told=("living",))
    assert who(run, changed, routes=routes) == ["living", "(living)"]
    assert mentions(run, changed, routes=routes, reader=reader) == [(), ()]
    assert [to.story for addressees in addressed([run, changed], routes, [reader]) for to in addressees] == [
        "inc_failing",
        "inc_failing",
    ]


def test_an_end_that_is_owed_stands_for_its_run_as_any_other() -> None:
    run = of_run(EventType.COMPLETED, lasting(told=ALL))
    resolved = of_incident(kind=RESOLVED, told=ALL)
    assert who(run, resolved, routes=[a_route(*ALL, events=["sync_run.*"])]) == ["hook", "hook each living"]
    assert who(run, resolved, routes=[a_route(*ALL, events=["sync_run.*", "incident.opened"])]) == [
        "hook living",
        "hook each (living)",
    ]


def knows(finding: Finding, routes: list[Route] | None = None) -> frozenset[str]:
    [addressees] = addressed([finding], routes, EVERYONE)
    return who_knows(finding, addressees, routes, EVERYONE)


def test_all_who_get_an_event_of_an_incident_know_of_it() -> None:
    assert knows(of_incident()) == frozenset(ALL)
    assert knows(of_incident(), [a_route("hook", "each", events=["incident.*"])]) == {"hook", "each"}


def test_who_asked_for_the_opening_alone_is_owed_no_end_but_a_living_message_is_known_to_be_there() -> None:
    assert knows(of_incident(), [a_route(*ALL, events=["incident.opened"])]) == {"living"}
    assert knows(of_incident(), [a_route(*ALL, events=["incident.opened", "incident.resolved"])]) == frozenset(ALL)


def test_who_gets_an_event_quietly_does_not_know_by_it() -> None:
    findings = [of_incident(Check.STALE), of_incident()]
    quiet, _ = addressed(findings, None, EVERYONE)
    assert who_knows(findings[0], quiet, None, EVERYONE) == {"hook"}


# --- incidents of a workspace ---

BY_SYNC = a_route_with("each", syncs=("Leads",), mentions=("<@U1>",))
BY_LABEL = a_route_with("living", labels={"team": "growth"}, mentions=("<@U2>",))


def test_a_workspaces_incident_goes_to_the_routes_without_syncs_and_labels() -> None:
    assert who(of_workspace(), routes=[BY_SYNC, BY_LABEL, a_route("hook")]) == ["hook"]
    assert who(of_workspace(), routes=[BY_SYNC, BY_LABEL, a_route("hook", labels={})]) == ["hook"]


def test_where_there_is_none_it_goes_to_all_of_them_and_mentions_nobody() -> None:
    routes = [BY_SYNC, BY_LABEL]
    assert who(of_workspace(), routes=routes) == ["each living"]
    for reader in (replace(EACH, mentions=("@here",), mention_on=("*",)), replace(LIVING, mentions=("@here",))):
        assert mentions(of_workspace(), routes=routes, reader=reader) == [()]


def test_without_routes_it_goes_to_everyone_and_mentions_as_ever() -> None:
    reader = replace(EACH, mentions=("@here",), mention_on=INCIDENT_FIRST)
    assert who(of_workspace()) == ["hook each living"]
    assert mentions(of_workspace(), reader=reader) == [("@here",)]


def test_a_route_for_workspaces_mentions_as_it_says() -> None:
    routes = [BY_SYNC, a_route_with("each", mentions=("<@U3>",))]
    assert mentions(of_workspace(), routes=routes, reader=EACH) == [("<@U3>",)]


@pytest.mark.parametrize(
    "other",
    [
        a_route("hook", events=["sync_run.*"]),
        a_route("hook", events=["incident.reminder"]),
        a_route("hook", workspaces=["staging"]),
        a_route("hook", checks=["failing"]),
    ],
    ids=["no incidents", "not their openings", "another workspace", "another check"],
)
def test_a_route_that_would_not_take_its_opening_takes_it_from_no_other(other: Route) -> None:
    assert who(of_workspace(), routes=[BY_SYNC, BY_LABEL, other]) == ["each living"]


def test_its_later_events_go_where_its_opening_went() -> None:
    """A reminder is not for nine channels that never heard of it, because the one that did wants none."""
    routes = [BY_SYNC, BY_LABEL, a_route("hook", events=["incident.opened", "incident.resolved"])]
    assert who(of_workspace(), routes=routes) == ["hook"]
    assert who(of_workspace(REMINDER, told=("hook",)), routes=routes) == [""]
    assert who(of_workspace(RESOLVED, told=("hook",)), routes=routes) == ["hook"]


def test_who_was_told_of_a_workspaces_incident_is_told_of_its_end_though_others_take_it_by_now() -> None:
    routes = [BY_SYNC, BY_LABEL, a_route("hook")]
    assert who(of_workspace(REMINDER, told=("each", "living")), routes=routes) == ["hook (living)"]
    assert who(of_workspace(RESOLVED, told=("each", "living")), routes=routes) == ["hook each living"]


def test_conditions_of_workspaces_events_and_checks_hold_for_it_all_the_same() -> None:
    only = [BY_SYNC.model_copy(update={"workspaces": ("staging",)}), BY_LABEL]
    assert who(of_workspace(), routes=only) == ["living"]
    assert who(of_workspace(workspace="staging"), routes=only) == ["each living"]


# --- mentions ---


def test_a_reader_mentions_on_what_it_says() -> None:
    reader = replace(EACH, mentions=("@here",), mention_on=INCIDENT_FIRST)
    assert mentions(of_incident(), reader=reader) == [("@here",)]
    assert mentions(of_incident(kind=EventType.INCIDENT_REMINDER), reader=reader) == [("@here",)]
    assert mentions(of_incident(kind=EventType.INCIDENT_CHANGED), reader=reader) == [()]
    assert mentions(of_run(), reader=reader) == [()]


def test_what_is_mentioned_on_may_be_a_glob() -> None:
    reader = replace(EACH, mentions=("@here",), mention_on=("sync_run.f*",))
    assert mentions(of_run(), reader=reader) == [("@here",)]
    assert mentions(of_run(EventType.COMPLETED), reader=reader) == [()]


def test_routes_add_their_mentions_each_once_in_their_order() -> None:
    reader = replace(EACH, mentions=("@here",), mention_on=INCIDENT_FIRST)
    routes = [
        a_route_with("each", mentions=("<@U1>", "@here")),
        a_route_with("hook", "each", mentions=("<@U2>", "<@U1>")),
    ]
    assert mentions(of_incident(), routes=routes, reader=reader) == [("@here", "<@U1>", "<@U2>")]


@pytest.mark.parametrize(
    "route",
    [
        a_route_with("another", mentions=("<@U1>",)),
        a_route_with("each", mentions=("<@U1>",), mention_on=("incident.resolved",)),
        a_route_with("each", mentions=("<@U1>",), labels={"team": "sales"}),
        a_route_with("each", mentions=("<@U1>",), checks=("stale",)),
        a_route_with("each"),
    ],
    ids=["to another", "on something else", "of other syncs", "of another check", "without mentions"],
)
def test_a_route_mentions_nobody_where_it_does_not_lead_or_does_not_say_so(route: Route) -> None:
    assert mentions(of_incident(), routes=[a_route("each"), route], reader=EACH) == [()]


def test_a_route_has_its_own_say_on_what_it_mentions() -> None:
    reader = replace(EACH, mentions=("@here",), mention_on=("sync_run.failed",))
    routes = [a_route_with("each", mentions=("<@U1>",))]
    assert mentions(of_incident(), routes=routes, reader=reader) == [("<@U1>",)]


@pytest.mark.parametrize("reader", [EACH, LIVING])
def test_who_would_be_called_by_an_event_that_is_not_shown_is_called_by_the_one_that_is(reader: Reader) -> None:
    routes = [
        a_route_with(reader.name, events=("sync_run.*",), mentions=("<@U1>",), mention_on=("*",)),
        a_route_with(reader.name, events=("incident.*",), mentions=("<@U2>",)),
    ]
    assert mentions(of_run(), of_incident(), routes=routes, reader=reader) == [("<@U1>", "<@U2>")]


def test_whom_a_reader_mentions_comes_to_those_whom_an_earlier_event_calls() -> None:
    reader = replace(EACH, mentions=("@here",), mention_on=("incident.*",))
    routes = [
        a_route_with("each", events=("sync_run.*",), mentions=("<@U1>",), mention_on=("*",)),
        a_route("each", events=["incident.*"]),
    ]
    assert mentions(of_run(), of_incident(), routes=routes, reader=reader) == [("<@U1>", "@here")]


def test_an_event_that_may_call_nobody_silences_no_other() -> None:
    assert mentions(of_workspace(), of_incident(), routes=[BY_SYNC], reader=EACH) == [("<@U1>",)]


def test_an_event_that_does_not_go_there_calls_nobody_there() -> None:
    reader = replace(EACH, mentions=("@here",), mention_on=("sync_run.*",))
    assert mentions(of_run(), of_incident(), routes=[a_route("each", events=["incident.*"])], reader=reader) == [()]


def test_a_quiet_event_mentions_nobody() -> None:
    reader = replace(LIVING, mentions=("@here",), mention_on=("*",))
    assert mentions(of_incident(Check.STALE), of_incident(), reader=reader) == [(), ("@here",)]


def test_a_webhook_mentions_nobody() -> None:
    routes = [a_route_with("hook", mentions=("<@U1>",), mention_on=("*",))]
    assert mentions(of_incident(), routes=routes, reader=HOOK) == [()]


# --- the conditions that incidents brought ---


def test_a_route_for_checks_takes_their_incidents_and_nothing_else() -> None:
    route = a_route_with("each", checks=("failing", "stale"))
    assert matches(route, of_incident().subject)
    assert matches(route, of_incident(Check.STALE, EventType.INCIDENT_RESOLVED).subject)
    assert not matches(route, of_incident(Check.SLOW_RUN).subject)
    assert not matches(route, of_run().subject)
    assert not matches(route, without_run(EventType.SYNC_PAUSED).subject)


def test_all_conditions_of_a_route_for_checks_must_hold() -> None:
    route = a_route_with("each", checks=("failing",), events=("incident.opened",), syncs=("Leads",))
    assert matches(route, of_incident().subject)
    assert not matches(route, of_incident(kind=EventType.INCIDENT_CHANGED).subject)
    assert not matches(route, replace(of_incident().subject, sync_label="Others"))


@pytest.mark.parametrize("given", [{"syncs": (53,)}, {"syncs": ("Other*",)}, {"labels": {"team": "sales"}}])
def test_conditions_about_syncs_and_labels_do_not_apply_to_a_workspaces_incident(given: dict[str, Any]) -> None:
    subject = Subject(EventType.INCIDENT_OPENED, "production", None, None, {}, Check.UNREACHABLE)
    route = a_route_with("each", **given)
    assert matches(route, subject)
    assert not matches(route, of_incident().subject)
    assert not matches(route.model_copy(update={"workspaces": ("staging",)}), subject)
    assert not matches(route.model_copy(update={"checks": ("failing",)}), subject)
    assert not matches(route.model_copy(update={"events": ("sync_run.*",)}), subject)


# --- what a watchlist makes of its receivers ---


def test_slack_receivers_are_selective_and_a_channel_is_living_unless_it_says_each() -> None:
    called: dict[str, Any] = {"mentions": ("@here",), "mention_on": ("incident.opened",)}
    receivers: dict[str, Receiver] = {
        "hook": a_webhook(),
        "channel": a_slack_channel(),
        "each": SlackReceiver(type="slack", token=SecretStr("xoxb-1"), channel="C1", messages="each", **called),
        "incoming": a_slack_webhook(),
        "incoming_too": SlackWebhookReceiver(type="slack_webhook", url=SecretStr("http://127.0.0.1:9/x"), **called),
    }
    assert readers_of(receivers) == (
        Reader("hook"),
        Reader("channel", selective=True, living=True, mention_on=INCIDENT_FIRST),
        Reader("each", selective=True, mentions=("@here",), mention_on=("incident.opened",)),
        Reader("incoming", selective=True, mention_on=INCIDENT_FIRST),
        Reader("incoming_too", selective=True, mentions=("@here",), mention_on=("incident.opened",)),
    )


def test_addressees_come_whole() -> None:
    reader = replace(LIVING, mentions=("@here",), mention_on=("incident.opened",))
    assert addressed([of_run(), of_incident()], None, [reader]) == (
        (),
        (Addressee("living", "inc_failing", quiet=False, mentions=("@here",)),),
    )
