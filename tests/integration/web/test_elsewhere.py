"""What a replica shows of workspaces that another one watches: the same as that one."""

import json
import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from notifier.model.identity import Id
from notifier.model.sync import Sync
from notifier.store.sql.listing import packed
from notifier.store.sql.replicas import listings
from notifier.store.views.page import PageReader
from notifier.watchlist.database import ServerUrl
from notifier.watchlist.models import SyncSelector, Watch
from notifier.web.page import pages
from tests.databases import postgres_template
from tests.integration.web.test_server_answers import HTML, ask
from tests.page_stage import MINUTE, PageStage
from tests.postgres.server import Postgres

GROWTH = {"team": "growth"}
PAGES = (
    "/",
    "/?order=name",
    "/?order=name&page=2",
    "/?state=paused",
    "/?state=failing",
    "/?label=team%3Dgrowth",
    "/?label=team",
    "/?name=lead*",
    "/?name=52",
    "/?in=staging",
    "/?sync=52&workspace=production",
    "/?sync=53",
    "/?sync=7",
    "/?sync=99&workspace=staging",
    "/?sync=99",
    "/?sync=lead-scores",
)


class Today(datetime):
    """Stands still, so that two pages can be compared."""

    @classmethod
    def now(cls, tz: Any = None) -> "Today":
        return cls(2026, 11, 28, 12, tzinfo=UTC)


def filled(stage: PageStage) -> PageStage:
    """Two workspaces; sync 52 is in both. Whoever serves it watches both."""
    stage.now = datetime(2026, 11, 28, 11, 58, tzinfo=UTC)
    stage.add_worker()
    stage.add_receiver("growth", last_accepted_at=stage.now)
    stage.watches = [
        Watch(workspace="production", syncs="all"),
        Watch(workspace="production", syncs=SyncSelector(label=("*lead*", "*Lead*")), labels=GROWTH),
        Watch(workspace="production", sync=52, labels={"tier": "one"}),
        Watch(workspace="staging", syncs="all", labels={"stage": "yes"}),
    ]
    stage.add_workspace()
    stage.add_workspace("staging")
    one: dict[str, str] = {}
    stage.add_syncs(
        {"id": 52, "label": "New Signups to Leads", "labels": {**GROWTH, "tier": "one"}},
        {"id": 53, "label": "HubSpot: Contacts", "paused": True, "labels": one},
        {"id": 54, "label": None, "paused": None, "labels": one},
        {"id": "lead-scores", "label": "Marketo: Lead Scores", "labels": GROWTH},
        *({"id": 1000 + n, "label": f"Sync {n % 7}", "labels": one} for n in range(60)),
    )
    stage.add_syncs(
        *({"id": i, "label": f"Sync {i}", "labels": {"stage": "yes"}, "workspace": "staging"} for i in (52, 7))
    )
    stage.add_runs(
        [
            stage.a_run(1, 52, "failed", 20 * MINUTE),
            stage.a_run(2, 53, "completed", 30 * MINUTE),
            stage.a_run(3, 7, "working", MINUTE, workspace="staging"),
        ]
    )
    stage.add_incident(52, "New Signups to Leads", 16 * MINUTE, last_run_id=1, summary="run 1 failed")
    return stage


@pytest.fixture
def stage(tmp_path: Path, postgres_server: Postgres, database_from: Callable[[str], str]) -> PageStage:
    return filled(PageStage(tmp_path / "none.db", ServerUrl(database_from(postgres_template(postgres_server)))))


def elsewhere(stage: PageStage, *names: str) -> None:
    """Whoever serves it from now on does not watch these."""
    stage.elsewhere = frozenset(names)
    stage.watched = [each for each in stage.watched if each.workspace not in names]
    stage.listed = [each for each in stage.listed if each[0] not in names]


def read_all(stage: PageStage) -> list[tuple[int, str]]:
    with stage.serving() as url:
        answers = [ask(url, path, HTML) for path in PAGES]
    return [(answer.status, re.sub(r'name="form" value="[^"]+"', "", answer.body)) for answer in answers]


def a_sync(sync_id: Id, label: str | None, **given: Any) -> Sync:
    return Sync(**{"id": sync_id, "label": label, "status": None, "paused": False, "created_at": None, **given})


def keep(stage: PageStage, workspace: str, listed: Iterable[tuple[Sync, bool]]) -> None:
    """As the replica that watches the workspace does."""
    stage.add(listings, {"workspace": workspace, "listed_at": stage.now, "body": packed(listed)})


def shown_by_api(stage: PageStage, query: str = "") -> list[dict[str, Any]]:
    with stage.serving() as url:
        answer = ask(url, f"/api/syncs{query}")
    assert answer.status == 200
    found: list[dict[str, Any]] = json.loads(answer.body)
    return found


# --- the page ---


@pytest.mark.parametrize("names", [("production", "staging"), ("production",), ("staging",)], ids=" and ".join)
def test_a_page_is_the_same_word_for_word_whoever_watches(
    stage: PageStage, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "datetime", Today)
    by_owner = read_all(stage)
    elsewhere(stage, *names)
    assert read_all(stage) == by_owner
    assert [status for status, _ in by_owner] == [200] * 14 + [400, 200]  # several workspaces may have sync 99
    assert "page 2 of 2" in by_owner[2][1]


def test_two_workspaces_that_may_have_a_sync_are_told_apart_also_where_nobody_is_here(stage: PageStage) -> None:
    elsewhere(stage, "production", "staging")
    with stage.serving() as url:
        answers = [ask(url, path, HTML) for path in ("/?sync=52", "/?sync=52&workspace=nowhere", "/?sync=0")]
    assert [answer.status for answer in answers] == [400] * 3
    assert "everal workspaces may have this sync" in answers[0].body


def test_a_workspace_that_nobody_has_polled_yet_is_said_to_be_so(stage: PageStage) -> None:
    stage.workspaces["new"] = stage.workspaces["staging"]
    elsewhere(stage, "new")
    with stage.serving() as url:
        mixed, alone = ask(url, "/", HTML).body, ask(url, "/?sync=52&workspace=new", HTML).body
    assert "The notifier is starting" in mixed
    assert "not polled yet: new" in mixed
    assert "This sync is not watched" in alone
    stage.not_ready = "not polled yet: staging"
    with stage.serving() as url:
        assert "not polled yet: staging" in ask(url, "/", HTML).body


def test_where_no_workspace_was_ever_polled_no_sync_is_watched_yet(
    tmp_path: Path, postgres_server: Postgres, database_from: Callable[[str], str]
) -> None:
    stage = PageStage(tmp_path / "none.db", ServerUrl(database_from(postgres_template(postgres_server))))
    stage.add_workspace(last_polled_at=None)
    elsewhere(stage, "production")
    with stage.serving() as url:
        page = ask(url, "/", HTML).body
    assert "not polled yet: production" in page
    assert "No sync is watched yet: they are listed when the workspace answers" in page


def test_a_workspace_that_is_down_is_not_said_to_be_starting(stage: PageStage) -> None:
    stage.add_workspace("down", ok=False, last_polled_at=None, last_error="HTTP 500")
    elsewhere(stage, "down")
    with stage.serving() as url:
        page = ask(url, "/", HTML).body
    assert "not polled yet" not in page
    assert "down can&#39;t be read" in page


def test_a_workspace_that_is_ours_is_ready_when_the_worker_says_so(stage: PageStage) -> None:
    stage.add_workspace("mine", last_polled_at=None)
    elsewhere(stage, "production", "staging")
    with stage.serving() as url:
        assert "not polled yet" not in ask(url, "/", HTML).body


def test_a_sync_that_this_watchlist_does_not_cover_is_shown_without_labels(stage: PageStage) -> None:
    stage.watches = [watch for watch in stage.watches if watch.sync == 52]
    elsewhere(stage, "production", "staging")
    with stage.serving() as url:
        page = ask(url, "/?order=name&name=contacts", HTML).body
    assert "HubSpot: Contacts" in page
    assert '<span class="labels"><bdi>production</bdi> </span>' in page
    assert '<datalist id="labels"><option value="tier=one"></datalist>' in page


def test_what_is_no_longer_watched_is_not_shown_and_its_own_page_says_so(stage: PageStage) -> None:
    elsewhere(stage, "production", "staging")
    stage.add_syncs({"id": 60, "label": "Left"})
    with stage.writing() as connection:
        connection.exec_driver_sql("UPDATE syncs SET watched = false WHERE sync_id = '60'")
    with stage.serving() as url:
        page, alone = ask(url, "/?name=left", HTML).body, ask(url, "/?sync=60&workspace=production", HTML).body
    assert "No sync is like that" in page
    assert "Left" in alone
    assert "This sync is not watched" in alone


def test_what_memory_has_of_a_workspace_that_is_not_ours_yet_is_shown_once(stage: PageStage) -> None:
    stage.elsewhere = frozenset({"production"})
    stage.listed = [("production", a_sync(52, "in memory"), True)]
    keep(stage, "production", [(a_sync(52, "in the database"), True)])
    with stage.serving() as url:
        assert ask(url, "/?name=contacts", HTML).body.count('<li id="s-production-53"') == 1
    assert [each["label"] for each in shown_by_api(stage)] == ["in the database"]


# --- /api/syncs ---


def test_the_api_shows_the_list_that_another_replica_has_read(stage: PageStage) -> None:
    word = a_sync("lead-scores", None, paused=True)
    listed = [(a_sync(52, "Nul \x00 and ⚡", status="Ready"), True), (a_sync(2**63 - 1, "B"), False), (word, True)]
    stage.listed = [("production", *each) for each in listed]
    by_owner = shown_by_api(stage)
    keep(stage, "production", listed)
    elsewhere(stage, "production", "staging")
    assert shown_by_api(stage) == by_owner
    assert [each["watched"] for each in by_owner] == [True, False, True]


@pytest.mark.parametrize("mine", ["production", "staging"])
def test_the_api_shows_workspaces_in_the_watchlists_order_whoever_watches_them(stage: PageStage, mine: str) -> None:
    theirs = "staging" if mine == "production" else "production"
    stage.listed = [(mine, a_sync(9, "mine"), True), (mine, a_sync(10, "mine"), False)]
    elsewhere(stage, theirs)
    assert [each["workspace"] for each in shown_by_api(stage)] == [mine] * 2  # nobody has listed the other yet
    keep(stage, theirs, [(a_sync(52, "theirs"), True)])
    expected = ["production", "production", "staging"] if mine == "production" else ["production", "staging", "staging"]
    assert [each["workspace"] for each in shown_by_api(stage)] == expected
    assert [each["id"] for each in shown_by_api(stage, f"?workspace={mine}")] == [9, 10]
    assert [each["id"] for each in shown_by_api(stage, f"?workspace={theirs}")] == [52]
    with stage.serving() as url:
        assert ask(url, "/api/syncs?workspace=nowhere").status == 400


def test_ten_thousand_syncs_of_another_replica_are_shown(stage: PageStage) -> None:
    stage.add_syncs(*({"id": 10_000 + n, "label": f"Sync {n}", "workspace": "staging"} for n in range(10_000)))
    keep(stage, "staging", [(a_sync(10_000 + n, f"Sync {n}"), True) for n in range(10_000)])
    elsewhere(stage, "staging")
    assert len(shown_by_api(stage, "?workspace=staging")) == 10_000
    with stage.serving() as url:
        assert '<span class="count">10,066</span>' in ask(url, "/", HTML).body


# --- a worker that is alone ---


def test_at_a_file_nothing_more_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = filled(PageStage(tmp_path / "n.db"))

    def watched(*_: object) -> None:
        raise AssertionError("nobody else can watch anything")

    monkeypatch.setattr(PageReader, "watched", watched)
    with stage.serving() as url:
        assert {ask(url, path, HTML).status for path in PAGES} == {200, 400}


def test_at_a_file_a_page_that_is_refused_and_the_api_read_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = filled(PageStage(tmp_path / "n.db"))
    stage.listed = [("production", a_sync(52, "Leads"), True)]
    monkeypatch.delitem(sys.modules, "notifier.store.views.listings", raising=False)
    with stage.serving() as url:
        stage.path.write_bytes(b"no database any more" * 4_096)
        assert ask(url, "/?sync=52", HTML).status == 400
        assert ask(url, "/api/syncs?workspace=production").status == 200
        assert ask(url, "/").status == 503
    assert "notifier.store.views.listings" not in sys.modules
