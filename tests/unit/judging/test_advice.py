"""What a watchlist would flood, which of its routes no event takes, and what it would miss of the syncs."""

from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from notifier.judging.advice import (
    dead_routes,
    ending_workspaces,
    idle_watches,
    misplaced_workspaces,
    noisy_receivers,
    passed_over_routes,
    short_secrets,
    unserved_syncs,
)
from notifier.model.api_version import ApiVersion
from notifier.model.identity import Id
from notifier.watchlist.checks import Stale, WatchChecks
from notifier.watchlist.models import Route, Watch, Watchlist, Workspace
from notifier.watchlist.receivers import Receiver, SlackReceiver, SlackWebhookReceiver
from notifier.watchlist.server import LifecycleWebhook
from tests.builders import a_label_watch, a_route, a_run_watch, a_sync_watch, a_watch_of_all, a_webhook

SLACK = SlackReceiver(type="slack", token=SecretStr("xoxb-1"), channel="C1")
INCOMING = SlackWebhookReceiver(type="slack_webhook", url=SecretStr("https://hooks.slack.com/services/T/B/x"))


def a_watchlist(
    *watches: Watch, routes: tuple[Route, ...] | None = None, receivers: dict[str, Receiver] | None = None
) -> Watchlist:
    given: dict[str, Any] = {} if routes is None else {"routes": routes}
    return Watchlist(
        version=1,
        workspaces={"production": Workspace(api_key=SecretStr("k")), "staging": Workspace(api_key=SecretStr("k"))},
        watches=watches,
        receivers=receivers if receivers is not None else {"growth": SLACK},
        **given,
    )


def some_syncs(count: int, **labels: str) -> list[Watch]:
    return [a_sync_watch(number, **labels) for number in range(1, count + 1)]


def test_the_starts_of_ten_syncs_are_bearable_and_of_eleven_are_not() -> None:
    assert noisy_receivers(a_watchlist(*some_syncs(10))) == ()
    assert noisy_receivers(a_watchlist(*some_syncs(11))) == ("growth",)


@pytest.mark.parametrize(
    ("length", "found"), [(15, ["server.token", "workspaces.staging.lifecycle_webhook.secret"]), (16, [])]
)
def test_a_secret_that_strangers_may_try_is_long(length: int, found: list[str]) -> None:
    secret = SecretStr("x" * length)
    plain = a_watchlist(a_watch_of_all())
    watched = plain.workspaces["staging"].model_copy(update={"lifecycle_webhook": LifecycleWebhook(secret=secret)})
    server = plain.server.model_copy(update={"token": secret})
    given = plain.model_copy(update={"server": server, "workspaces": {**plain.workspaces, "staging": watched}})
    assert list(short_secrets(given)) == found
    assert short_secrets(plain) == ()


TOKEN, KEY = SecretStr("t"), SecretStr("k")


def by_workspaces(**workspaces: Workspace) -> Watchlist:
    return a_watchlist(a_watch_of_all()).model_copy(update={"workspaces": workspaces})


def test_a_workspace_on_version_1_has_an_end_and_one_with_a_token_has_none() -> None:
    given = by_workspaces(
        old=Workspace(api_key=KEY), new=Workspace(token=TOKEN), both=Workspace(token=TOKEN, api_key=KEY)
    )
    assert ending_workspaces(given) == {"old": date(2027, 1, 15)}


@pytest.mark.parametrize(
    ("keys", "url", "should_be"),
    [
        ({"token": TOKEN}, "https://h/api/v1", ApiVersion.V2),
        ({"token": TOKEN}, "https://h/api/v1/", ApiVersion.V2),
        ({"token": TOKEN, "api_key": KEY}, "https://h/api/v1", ApiVersion.V2),
        ({"api_key": KEY}, "https://h/api/v2", ApiVersion.V1),
        ({"token": TOKEN}, "https://h/api/v2", None),
        ({"token": TOKEN}, "https://h/v1/census", None),
        ({"token": TOKEN}, "https://v1", None),
        ({"api_key": KEY}, "https://h/api/v1", None),
        ({"api_key": KEY}, None, None),
    ],
)
def test_an_address_that_ends_with_the_name_of_the_other_version_is_misplaced(
    keys: dict[str, SecretStr], url: str | None, should_be: ApiVersion | None
) -> None:
    workspace = Workspace(**keys, base_url=url)  # type: ignore[arg-type]
    assert misplaced_workspaces(by_workspaces(a=workspace)) == ({"a": should_be} if should_be is not None else {})


@pytest.mark.parametrize("watch", [a_watch_of_all(), a_label_watch("Salesforce *"), a_label_watch(exclude="x")])
def test_a_watch_of_many_syncs_is_too_much_by_itself(watch: Watch) -> None:
    assert noisy_receivers(a_watchlist(watch)) == ("growth",)


def test_the_number_of_syncs_behind_a_watch_counts_where_it_is_known() -> None:
    assert noisy_receivers(a_watchlist(a_watch_of_all()), many=10) == ()
    assert noisy_receivers(a_watchlist(a_watch_of_all(), a_sync_watch(1)), many=10) == ("growth",)


def test_single_runs_are_never_noise() -> None:
    assert noisy_receivers(a_watchlist(*(a_run_watch(number) for number in range(1, 50)))) == ()


def test_only_slack_receivers_are_named_in_the_watchlists_order() -> None:
    receivers: dict[str, Receiver] = {"z": INCOMING, "pipeline": a_webhook(), "a": SLACK}
    assert noisy_receivers(a_watchlist(a_watch_of_all(), receivers=receivers)) == ("z", "a")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (["sync_run.failed", "sync_run.canceled"], ()),
        (["sync_run.completed"], ()),
        (["sync_run.queued"], ("growth",)),
        (["sync_run.working"], ("growth",)),
        (["sync_run.*"], ("growth",)),
        (["sync_run.[qx]*"], ("growth",)),
    ],
)
def test_only_routes_that_let_queued_or_working_pass_are_noisy(events: list[str], expected: tuple[str, ...]) -> None:
    assert noisy_receivers(a_watchlist(a_watch_of_all(), routes=(a_route("growth", events=events),))) == expected


def test_a_sync_that_reaches_a_receiver_by_both_types_counts_once() -> None:
    routes = (a_route("growth", events=["sync_run.queued"]), a_route("growth", events=["sync_run.working"]))
    assert noisy_receivers(a_watchlist(*some_syncs(10), routes=routes)) == ()


def test_routes_by_label_workspace_and_sync_share_the_load() -> None:
    watches = [*some_syncs(8, team="growth"), *(a_sync_watch(n, workspace="staging") for n in range(20, 28))]
    receivers: dict[str, Receiver] = {"growth": SLACK, "rest": INCOMING}
    apart = (a_route("growth", labels={"team": "growth"}), a_route("rest", workspaces=["staging"]))
    assert noisy_receivers(a_watchlist(*watches, routes=apart, receivers=receivers)) == ()
    together = (*apart, a_route("rest", syncs=[1, 2, 3]))
    assert noisy_receivers(a_watchlist(*watches, routes=together, receivers=receivers)) == ("rest",)


def test_incidents_and_other_events_are_no_noise() -> None:
    quiet = (
        a_route("growth", events=["incident.*", "sync.*", "sync_run.full_sync"]),
        Route(checks=("failing",), receivers=("growth",)),
    )
    assert noisy_receivers(a_watchlist(a_watch_of_all(), routes=quiet)) == ()


@pytest.mark.parametrize(
    ("events", "checks", "is_dead"),
    [
        (("sync_run.*",), ("failing",), True),
        (("sync_run.failed", "sync.paused"), ("failing", "stale"), True),
        (("sync_run.*", "incident.opened"), ("failing",), False),
        (("*",), ("failing",), False),
        (("incident.res*",), ("failing",), False),
        (None, ("failing",), False),
        (("sync_run.*",), None, False),
    ],
)
def test_a_route_of_checks_without_an_event_of_an_incident_is_dead(
    events: tuple[str, ...] | None, checks: tuple[str, ...] | None, is_dead: bool
) -> None:
    routes = (a_route("growth"), a_route("growth", events=events, checks=checks))
    assert dead_routes(a_watchlist(a_sync_watch(1), routes=routes)) == ((1,) if is_dead else ())


@pytest.mark.parametrize(
    ("route", "others", "is_passed_over"),
    [
        ({"labels": {"team": "growth"}}, [{}], True),
        ({"syncs": [52]}, [{"events": ["incident.*"]}], True),
        ({"syncs": ["Leads*"]}, [{"workspaces": ["production"]}, {"workspaces": ["staging"]}], True),
        ({"syncs": [52], "workspaces": ["staging"]}, [{"workspaces": ["staging"]}], True),
        ({"syncs": [52]}, [], False),
        ({"syncs": [52]}, [{"workspaces": ["production"]}], False),
        ({"syncs": [52]}, [{"labels": {"team": "growth"}}], False),
        ({"syncs": [52]}, [{"events": ["sync_run.*", "incident.resolved"]}], False),
        ({"syncs": [52]}, [{"checks": ["failing"]}], False),
        ({"syncs": [52], "checks": ["failing", "unreachable"]}, [{}], False),
        ({"syncs": [52], "checks": None}, [{}], False),
        ({}, [{}], False),
    ],
)
def test_a_route_for_workspaces_incidents_of_some_syncs_is_passed_over_where_another_takes_them_all(
    route: dict[str, Any], others: list[dict[str, Any]], is_passed_over: bool
) -> None:
    routes = (a_route("growth", **{"checks": ["unreachable"], **route}), *(a_route("growth", **o) for o in others))
    assert passed_over_routes(a_watchlist(a_sync_watch(1), routes=routes)) == ((0,) if is_passed_over else ())


# --- what it would miss of a workspace's syncs ---

SYNCS: dict[Id, str | None] = {52: "New Signups to Leads", 53: "HubSpot: Contacts", 61: None}


def a_routed_watchlist(*watches: Watch, routes: tuple[Route, ...] | None = None) -> Watchlist:
    workspace = Workspace(api_key=SecretStr("key"))
    return Watchlist(
        version=1,
        workspaces={"production": workspace, "staging": workspace},
        watches=watches,
        receivers={"growth": a_webhook(), "all": a_webhook()},
        routes=routes,
    )


def test_watches_that_match_no_sync_are_named_by_their_place() -> None:
    watchlist = a_routed_watchlist(
        a_sync_watch(52),
        a_sync_watch(99),
        a_label_watch("HubSpot: *"),
        a_label_watch("hubspot: *"),
        a_label_watch(exclude="*"),
        a_watch_of_all(),
    )
    assert idle_watches(watchlist, "production", SYNCS) == (1, 3, 4)


def test_watches_of_other_workspaces_and_of_runs_are_not_asked_for_syncs() -> None:
    watchlist = a_routed_watchlist(a_sync_watch(99, workspace="staging"), a_run_watch(94))
    assert idle_watches(watchlist, "production", SYNCS) == ()
    assert idle_watches(watchlist, "staging", SYNCS) == (0,)


def test_a_workspace_without_syncs_leaves_even_a_watch_of_all_without_a_match() -> None:
    assert idle_watches(a_routed_watchlist(a_watch_of_all()), "production", {}) == (0,)


def test_without_routes_every_watched_sync_is_served() -> None:
    assert unserved_syncs(a_routed_watchlist(a_watch_of_all()), "production", SYNCS) == ()


def test_a_watched_sync_is_unserved_where_no_event_of_it_would_go_anywhere() -> None:
    routes = (
        a_route("growth", labels={"team": "growth"}),
        a_route("all", events=["sync_run.failed"], syncs=["HubSpot: *"]),
        a_route("all", workspaces=["staging"]),
    )
    watchlist = a_routed_watchlist(a_watch_of_all(), a_sync_watch(52, team="growth"), routes=routes)
    assert unserved_syncs(watchlist, "production", SYNCS) == (61,)
    assert unserved_syncs(watchlist, "staging", SYNCS) == ()


def test_a_sync_that_is_not_watched_is_not_missed() -> None:
    watchlist = a_routed_watchlist(a_sync_watch(52), routes=(a_route("growth", syncs=[52]),))
    assert unserved_syncs(watchlist, "production", SYNCS) == ()


def test_a_sync_whose_incidents_alone_go_somewhere_is_served() -> None:
    for route in (a_route("growth", events=["incident.resolved"]), Route(checks=("failing",), receivers=("growth",))):
        assert unserved_syncs(a_routed_watchlist(a_watch_of_all(), routes=(route,)), "production", SYNCS) == ()


def test_events_of_a_check_that_is_off_go_nowhere() -> None:
    stale = Watch(sync=53, workspace="production", checks=WatchChecks(stale=Stale(after=timedelta(hours=26))))
    routes = (Route(checks=("stale",), receivers=("growth",)),)
    watchlist = a_routed_watchlist(a_watch_of_all(), stale, routes=routes)
    assert unserved_syncs(watchlist, "production", SYNCS) == (52, 61)


def test_incidents_of_the_workspace_do_not_serve_its_syncs() -> None:
    routes = (Route(checks=("unreachable",), receivers=("growth",)),)
    assert unserved_syncs(a_routed_watchlist(a_watch_of_all(), routes=routes), "production", SYNCS) == (52, 53, 61)


def test_reminders_that_are_off_go_nowhere() -> None:
    off = Watch(sync=52, workspace="production", checks=WatchChecks(reminders=False))
    routes = (a_route("growth", events=["incident.reminder"]),)
    assert unserved_syncs(a_routed_watchlist(a_watch_of_all(), off, routes=routes), "production", SYNCS) == (52,)
