"""What the page and the API show of the workers at a server: the same as `notifier status`, whoever is asked."""

import json
import re
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path

import psycopg
import pytest

from notifier.store.sql.revision import revisions
from notifier.watchlist.database import ServerUrl
from tests.databases import postgres_template
from tests.integration.web.test_server_answers import HTML, ask
from tests.page_stage import PageStage
from tests.postgres.server import Postgres


@pytest.fixture
def url(postgres_server: Postgres, database_from: Callable[[str], str]) -> str:
    return database_from(postgres_template(postgres_server))


@pytest.fixture
def stage(tmp_path: Path, url: str) -> PageStage:
    """One workspace, that another worker than the one that is asked watches."""
    stage = PageStage(tmp_path / "none.db", ServerUrl(url))
    stage.add_workspace()
    stage.elsewhere = frozenset({"production"})
    return stage


def add_replica(url: str, name: str, parts: Sequence[str] = (), *, watchlist: str = "a", silent: float = -600) -> None:
    """One that gave its last sign of life so many seconds ago; by itself just now, however slow the test is."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO replicas (id, name, pid, version, revision, watchlist, joined_at, seen_at) "
            "SELECT %(name)s, %(name)s, 1, '1.2.3', %(revision)s, %(watchlist)s, 0, "
            "((extract(epoch FROM clock_timestamp()) - %(silent)s) * 1000000)::bigint",
            {"name": name, "revision": revisions()[-1], "watchlist": watchlist, "silent": silent},
        )
        for part in parts:
            connection.execute("INSERT INTO parts (name, owner, since) VALUES (%s, %s, 0)", (part, name))
        connection.execute("INSERT INTO in_force (id, watchlist, since) VALUES (1, 'a', 0) ON CONFLICT (id) DO NOTHING")


def shown(page: str) -> list[str]:
    """Each replica's line, as people read it."""
    found = re.search(r'<div class="replicas">(.*?)</div>', page, re.DOTALL)
    items = re.findall(r"<li[^>]*>(.*?)</li>", found[1], re.DOTALL) if found else []
    return [" ".join(unescape(re.sub(r"<[^>]+>", "", item)).split()) for item in items]


def test_the_page_shows_the_replicas_in_the_words_of_status(stage: PageStage, url: str) -> None:
    add_replica(url, "worker-1", ["upkeep", "slack", "workspace:production"])
    add_replica(url, "worker-2", [f"workspace:{n}" for n in range(6)])
    add_replica(url, "worker-3", watchlist="b")
    add_replica(url, "worker-4")
    add_replica(url, "worker-5", ["webhook:hook"], silent=7300)
    with stage.serving() as at:
        page = ask(at, "/", HTML).body
    assert shown(page) == [
        "worker-1 works 1.2.3 seen just now slack, upkeep, workspace:production",
        "worker-2 works 1.2.3 seen just now 6 workspaces",
        "worker-3 stands by: other watchlist 1.2.3 seen just now no part",
        "worker-4 stands by 1.2.3 seen just now no part",
        "worker-5 silent 1.2.3 seen 2 h ago webhook:hook",
    ]
    assert page.count('<li class="stands-by">') == 2
    assert page.count('<li class="silent">') == 1


def test_a_sign_of_life_that_is_fresh_does_not_grow_old_on_a_page_that_nothing_makes_anew(
    stage: PageStage, url: str
) -> None:
    """A page is made anew when something changes, and signs of life alone are no change."""
    add_replica(url, "lives")
    add_replica(url, "late", silent=8)
    with stage.serving() as at:
        page = ask(at, "/", HTML).body
    of_replicas = page[page.index('<div class="replicas">') : page.index('<section id="failing"')]
    assert of_replicas.count("<time") == 1
    assert "just now</time>" not in of_replicas


def test_what_a_replica_is_called_can_do_nothing_on_the_page(stage: PageStage, url: str) -> None:
    add_replica(url, "\u202egnp <script>alert(1)</script> " + "W" * 300, ["webhook:<b>hook</b>"])
    with stage.serving() as at:
        page = ask(at, "/", HTML).body
    assert "<script>alert" not in page
    assert "<b>hook" not in page
    assert "\u202e" not in page
    assert "W" * 201 not in page


def test_at_a_file_of_its_own_where_there_can_be_no_other_the_page_shows_none(tmp_path: Path) -> None:
    stage = PageStage(tmp_path / "n.db")
    stage.add_worker()
    stage.add_workspace()
    with stage.serving() as at:
        page = ask(at, "/", HTML).body
    assert "Replicas" not in page
    assert shown(page) == []


def test_the_api_names_all_replicas_with_all_of_their_parts(stage: PageStage, url: str) -> None:
    add_replica(url, "worker-1", [f"workspace:{n}" for n in range(6)])
    add_replica(url, "worker-2", watchlist="b")
    with stage.serving() as at:
        one, two = json.loads(ask(at, "/api/status").body)["replicas"]
    assert list(one) == ["name", "version", "started_at", "last_seen_at", "parts", "standing_by"]
    assert (one["name"], one["version"], one["started_at"]) == ("worker-1", "1.2.3", "1970-01-01T00:00:00.000Z")
    assert (one["parts"], one["standing_by"]) == ([f"workspace:{n}" for n in range(6)], None)
    assert (two["parts"], two["standing_by"]) == ([], "other watchlist")
