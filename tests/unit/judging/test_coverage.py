"""What a watchlist would miss of a workspace's syncs."""

from datetime import timedelta

from pydantic import SecretStr

from notifier.judging.coverage import idle_watches, unserved_syncs
from notifier.watchlist.checks import Stale, WatchChecks
from notifier.watchlist.models import Route, Watch, Watchlist, Workspace
from tests.builders import a_label_watch, a_route, a_run_watch, a_sync_watch, a_watch_of_all, a_webhook

SYNCS = {52: "New Signups to Leads", 53: "HubSpot: Contacts", 61: None}


def a_watchlist(*watches: Watch, routes: tuple[Route, ...] | None = None) -> Watchlist:
    workspace = Workspace(api_key=SecretStr("key"))
    return Watchlist(
        version=1,
        workspaces={"production": workspace, "staging": workspace},
        watches=watches,
        receivers={"growth": a_webhook(), "all": a_webhook()},
        routes=routes,
    )


def test_watches_that_match_no_sync_are_named_by_their_place() -> None:
    watchlist = a_watchlist(
        a_sync_watch(52),
        a_sync_watch(99),
        a_label_watch("HubSpot: *"),
        a_label_watch("hubspot: *"),
        a_label_watch(exclude="*"),
        a_watch_of_all(),
    )
    assert idle_watches(watchlist, "production", SYNCS) == (1, 3, 4)


def test_watches_of_other_workspaces_and_of_runs_are_not_asked_for_syncs() -> None:
    watchlist = a_watchlist(a_sync_watch(99, workspace="staging"), a_run_watch(94))
    assert idle_watches(watchlist, "production", SYNCS) == ()
    assert idle_watches(watchlist, "staging", SYNCS) == (0,)


def test_a_workspace_without_syncs_leaves_even_a_watch_of_all_without_a_match() -> None:
    assert idle_watches(a_watchlist(a_watch_of_all()), "production", {}) == (0,)


def test_without_routes_every_watched_sync_is_served() -> None:
    assert unserved_syncs(a_watchlist(a_watch_of_all()), "production", SYNCS) == ()


def test_a_watched_sync_is_unserved_where_no_event_of_it_would_go_anywhere() -> None:
    routes = (
        a_route("growth", labels={"team": "growth"}),
        a_route("all", events=["sync_run.failed"], syncs=["HubSpot: *"]),
        a_route("all", workspaces=["staging"]),
    )
    watchlist = a_watchlist(a_watch_of_all(), a_sync_watch(52, team="growth"), routes=routes)
    assert unserved_syncs(watchlist, "production", SYNCS) == (61,)
    assert unserved_syncs(watchlist, "staging", SYNCS) == ()


def test_a_sync_that_is_not_watched_is_not_missed() -> None:
    watchlist = a_watchlist(a_sync_watch(52), routes=(a_route("growth", syncs=[52]),))
    assert unserved_syncs(watchlist, "production", SYNCS) == ()


def test_a_sync_whose_incidents_alone_go_somewhere_is_served() -> None:
    for route in (a_route("growth", events=["incident.resolved"]), Route(checks=("failing",), receivers=("growth",))):
        assert unserved_syncs(a_watchlist(a_watch_of_all(), routes=(route,)), "production", SYNCS) == ()


def test_events_of_a_check_that_is_off_go_nowhere() -> None:
    stale = Watch(sync=53, workspace="production", checks=WatchChecks(stale=Stale(after=timedelta(hours=26))))
    routes = (Route(checks=("stale",), receivers=("growth",)),)
    watchlist = a_watchlist(a_watch_of_all(), stale, routes=routes)
    assert unserved_syncs(watchlist, "production", SYNCS) == (52, 61)


def test_incidents_of_the_workspace_do_not_serve_its_syncs() -> None:
    routes = (Route(checks=("unreachable",), receivers=("growth",)),)
    assert unserved_syncs(a_watchlist(a_watch_of_all(), routes=routes), "production", SYNCS) == (52, 53, 61)


def test_reminders_that_are_off_go_nowhere() -> None:
    off = Watch(sync=52, workspace="production", checks=WatchChecks(reminders=False))
    routes = (a_route("growth", events=["incident.reminder"]),)
    assert unserved_syncs(a_watchlist(a_watch_of_all(), off, routes=routes), "production", SYNCS) == (52,)
