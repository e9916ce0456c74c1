"""What the page says of events, and of the notifier itself."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from notifier.model.identity import Id
from notifier.store.views.events import EventView
from notifier.store.views.overview import ReceiverView, WorkspaceView
from notifier.watchlist.models import Workspace
from notifier.web.page.words import Links, Mood, event_line, health_headline
from notifier.web.render import ago, disarmed, lasting, query

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LINKS = Links({"production": Workspace(api_key=SecretStr("k"))})
WELL = WorkspaceView("production", True, None, NOW)
DOWN = WorkspaceView("eu", False, "401", NOW, down_since=NOW)
WORKS, BROKEN = ReceiverView("growth"), ReceiverView("sales", broken_since=NOW)
FAILING = ReceiverView("hook", failing_since=NOW, last_error="HTTP 500")


def an_event(kind: str = "sync_run.failed", sync_id: Id | None = 52, run_id: Id | None = 93, **data: Any) -> EventView:
    body = json.dumps({"type": kind, "data": {"sync": {"label": "Leads"}, **data}}).encode()
    return EventView("e", kind, "production", sync_id, run_id, NOW, body)


def test_the_verdict_names_the_worst_first() -> None:
    assert health_headline(None, None, None, [WELL], [WORKS]).mood is Mood.WELL
    starting = health_headline(None, "not polled yet: production", None, [WELL], [WORKS])
    assert (starting.mood, starting.reasons) == (Mood.WAITING, ["not polled yet: production"])
    partly = health_headline(None, "not polled yet: eu", None, [WELL, DOWN], [BROKEN])
    assert (partly.mood, partly.reasons) == (Mood.BAD, ["eu can't be read", "sales takes no messages"])
    failing = health_headline(None, None, None, [WELL], [WORKS, FAILING])
    assert (failing.mood, failing.reasons) == (Mood.BAD, ["hook takes no messages"])
    ill = health_headline("the database can't be written", None, None, [DOWN], [])
    assert ill.reasons == ["the database can't be written", "eu can't be read"]


def test_syncs_that_can_not_be_read_are_counted_unless_their_whole_workspace_is_down() -> None:
    unread = [("production", 52), ("eu", 53), ("eu", 54)]
    told = health_headline(None, None, None, [WELL, DOWN], [WORKS], unread)
    assert (told.mood, told.reasons) == (Mood.BAD, ["eu can't be read", "1 sync can't be read"])
    assert health_headline(None, None, None, [WELL], [WORKS], unread[:1]).mood is Mood.BAD


def test_a_watchlist_that_is_not_in_force_is_told_with_its_first_mistake() -> None:
    wrong = "watchlist.yaml:8:5: watches: unknown\nwatchlist.yaml:9:5: also"
    told = health_headline(None, None, wrong, [WELL], [WORKS])
    assert (told.mood, told.title) == (Mood.BAD, "The notifier works by the watchlist before")
    assert told.reasons == [
        "the changed watchlist is wrong, the one before is in force: watchlist.yaml:8:5: watches: unknown (and 1 more)"
    ]
    assert health_headline(None, None, wrong, [DOWN], [WORKS]).title == "The notifier works, but not everywhere"


def test_a_runs_event() -> None:
    changes = [{"field": "error_code", "old": None, "new": "E"}, {"field": "status", "old": None, "new": "failed"}]
    line = event_line(an_event(changes=changes, sync_run={"error_code": "E", "error_message": "broke"}), LINKS)
    assert (line.sync, line.old, line.new, line.note) == ("Leads", "nothing", "failed", "E: broke")
    assert line.run_url == "https://app.getcensus.com/syncs/52/history?sync_run_id=93"


def test_an_incidents_event_tells_its_summary_and_an_alerts_its_message() -> None:
    assert event_line(an_event("incident.opened", summary="run 93 failed"), LINKS).note == "run 93 failed"
    assert event_line(an_event("census_alert.raised", alert={"message": "Sync Failed"}), LINKS).note == "Sync Failed"


def test_what_a_resolved_incident_was_is_no_longer_so() -> None:
    assert event_line(an_event("incident.resolved", summary="E1: broke"), LINKS).note == "it was: E1: broke"


def test_an_event_of_a_workspace_is_of_no_sync() -> None:
    line = event_line(an_event("incident.opened", None, None, sync=None), LINKS)
    assert (line.sync, line.key, line.run_url) == (None, None, None)


def test_links_lead_only_to_hosts_of_the_watchlist() -> None:
    assert LINKS.run("gone", 52, 93) is None
    assert LINKS.run("production", "a/b", "c&d") == "https://app.getcensus.com/syncs/a%2Fb/history?sync_run_id=c%26d"
    assert LINKS.run("production", 52, None) == LINKS.sync("production", 52)


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=-4), "just now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=4, seconds=59), "4 min ago"),
        (timedelta(seconds=-70), "in 1 min"),
        (timedelta(days=3, hours=23), "3 d ago"),
    ],
)
def test_times_in_words(away: timedelta, words: str) -> None:
    assert ago(NOW - away, NOW) == words


def test_how_long_something_lasts() -> None:
    assert lasting(NOW - timedelta(hours=5, minutes=9), NOW) == "5 h"
    assert lasting(NOW + timedelta(hours=1), NOW) == "1 s"


def test_no_text_plays_with_what_is_around_it() -> None:
    assert disarmed("a\x00b\u202ec\u2066d\ud800e") == "a b\ufffdc\ufffdd\ufffde"
    assert disarmed("\x1b[31mred\x1b[0m\x9d0;title\x07, and\x85more") == "red, and more"
    assert disarmed("x" * 300) == "x" * 199 + "…"
    assert disarmed("weiß 👩‍👩‍👧 zalgo̐") == "weiß 👩‍👩‍👧 zalgo̐"


def test_links_carry_only_what_is_given() -> None:
    assert query({"a": "", "b": None}) == "./"
    assert query({"name": 'x&"<>', "page": 2}) == "./?name=x%26%22%3C%3E&page=2"
