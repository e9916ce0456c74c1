"""What the page reads of a database."""

import html
import re
import sqlite3
import subprocess
import sys
import urllib.request
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from sqlalchemy import text

from notifier.model.errors import DatabaseUnusable
from notifier.model.incident import Check
from notifier.store.orders import retry_deliveries
from notifier.store.sql.schema import snapshots
from notifier.store.sqlite import files as sqlite
from notifier.store.sqlite.files import Role
from notifier.store.sqlite.pulse import open_pulse
from notifier.store.views.deliveries import DeliveryFilter
from notifier.store.views.events import EventFilter, read_events
from notifier.store.views.page import LastRuns, UnreadSync, looked_at
from notifier.store.views.status import read_status
from tests.integration.store.builders import rows
from tests.page_stage import MINUTE, PageStage


@pytest.fixture
def stage(tmp_path: Path) -> PageStage:
    stage = PageStage(tmp_path / "n.db")
    stage.add_workspace()
    stage.add_syncs({"id": 52, "label": "Leads"}, {"id": 53, "label": None}, {"id": 54, "label": "New"})
    return stage


def test_the_last_result_is_told_past_what_does_not_count(stage: PageStage) -> None:
    stage.add_runs(
        [
            stage.a_run(1, 52, "completed", 9 * MINUTE),
            stage.a_run(2, 52, "failed", 8 * MINUTE),
            stage.a_run(3, 52, "skipped", 7 * MINUTE),
            stage.a_run(4, 53, "failed", 9 * MINUTE),
            stage.a_run(5, 53, "completed", 8 * MINUTE),
            stage.a_run(6, 53, "working", 1 * MINUTE),
        ]
    )
    with looked_at(stage.path) as look:
        found = look.last_runs()
        assert found == {
            ("production", 52): LastRuns("skipped", failed=True),
            ("production", 53): LastRuns("working", failed=False),
        }
        assert look.last_runs_of(("production", 52)) == found["production", 52]
        assert look.last_runs_of(("production", 54)) is None
        assert look.last_runs_of(("elsewhere", 52)) is None


def page_of(url: str) -> str:
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        return html.unescape(answer.read().decode())


def test_a_sync_that_can_not_be_read_says_so_with_the_reason(stage: PageStage) -> None:
    why = "HTTP 500 \x1b[31mInternal\x1b[0m <b>"
    stage.add_syncs({"id": 55, "label": "Dark", "unread_since": stage.now - 90 * MINUTE, "last_error": why})
    with looked_at(stage.path) as look:
        assert look.unread() == {("production", 55): UnreadSync(stage.now - 90 * MINUTE, why)}
    with stage.serving() as url:
        for path in ("", "?sync=55"):
            page = page_of(f"{url}/{path}")
            assert 'class="state failing"' in page
            assert "can't be read for" in page
            assert "HTTP 500 Internal <b>" in page
        assert "can't be read" not in page_of(f"{url}/?sync=52")
        assert "1 sync can't be read" in page_of(f"{url}/")


def test_a_syncs_last_30_runs_come_oldest_first(stage: PageStage) -> None:
    stage.add_runs(stage.a_run(number, 52, "completed", (40 - number) * MINUTE) for number in range(40))
    stage.add_runs([stage.a_run(99, 53, "completed", MINUTE), stage.a_run(98, 52, "failed", MINUTE, workspace="eu")])
    with looked_at(stage.path) as look:
        runs = look.runs([("production", 52), ("production", 54)])
    assert [run.id for run in runs["production", 52]] == list(range(10, 40))
    assert runs["production", 54] == ()


def test_what_waits_comes_longest_first_and_what_died_newest_first(stage: PageStage) -> None:
    for number in range(60):
        stage.add_event(f"e{number}", "sync_run.failed", MINUTE, sync_id=52)
        stage.add_delivery(f"e{number}", "growth", "pending" if number % 2 else "dead")
        stage.add_delivery(f"e{number}", "gone", "delivered")
    with looked_at(stage.path) as look:
        waiting, dead = look.waiting(), look.dead()
        receivers = look.health(["growth", "quiet"]).receivers
    assert [each.id for each in waiting] == sorted(each.id for each in waiting)
    assert [each.id for each in dead] == sorted((each.id for each in dead), reverse=True)
    assert (waiting[0].sync_label, waiting[0].type, waiting[0].sync_id) == ("Leads", "sync_run.failed", 52)
    assert {name: (each.pending, each.dead) for name, each in receivers.items()} == {
        "growth": (30, 30),
        "quiet": (0, 0),
    }
    (number,) = retry_deliveries(stage.path, DeliveryFilter(ids=[dead[0].id]), stage.now, ["growth"]).ids
    with looked_at(stage.path) as look:
        assert number in [each.id for each in look.waiting()]


def test_a_receiver_that_is_gone_is_shown_while_something_of_it_is_dead(stage: PageStage) -> None:
    stage.add_event("e", "sync_run.failed", MINUTE, sync_id=52)
    stage.add_delivery("e", "removed", "dead")
    with looked_at(stage.path) as look:
        assert look.health(["growth"]).receivers.keys() == {"growth", "removed"}
    assert [each.name for each in read_status(stage.path, ["growth"]).receivers] == ["growth"]


def test_a_receiver_that_fails_is_shown_with_since_when_and_why(stage: PageStage) -> None:
    stage.add_receiver("hook", failed_since=stage.now - 9 * MINUTE, failing=True, last_error="HTTP 500")
    stage.add_receiver("other", failed_since=stage.now - MINUTE, last_accepted_at=stage.now - 2 * MINUTE)
    with looked_at(stage.path) as look:
        shown = look.health(["hook", "other"]).receivers
    assert [each.works for each in shown.values()] == [False, True]
    with stage.serving() as url, urlopen(url) as answer:  # noqa: S310 - http, as the stage says
        said = " ".join(re.sub("<[^>]+>", " ", answer.read().decode()).split())
    assert "hook takes no messages" in said
    assert "hook failing for 9 min nothing sent yet HTTP 500 other took one" in said


def test_a_syncs_own_page_has_its_own_only(stage: PageStage) -> None:
    for sync_id in (52, 53):
        stage.add_event(f"e{sync_id}", "sync_run.failed", MINUTE, sync_id=sync_id)
        stage.add_delivery(f"e{sync_id}", "growth", "dead", sync_id=sync_id)
        stage.add_incident(sync_id, "L", MINUTE)
    stage.add_incident(52, "L", 9 * MINUTE, check=Check.STALE, resolved_at=stage.now)
    with looked_at(stage.path) as look:
        found = look.happenings(("production", 52))
        assert [each.id for each in found.events] == ["e52"]
        assert [each.sync_id for each in found.dead] == [52]
        assert found.waiting == ()
        assert [(each.sync_id, each.check) for each in found.incidents] == [(52, Check.STALE), (52, Check.FAILING)]
        assert [each.sync_id for each in look.open_incidents()] == [53, 52]


def test_the_pulse_beats_when_someone_else_has_written(stage: PageStage) -> None:
    with open_pulse(stage.path) as pulse:
        before = pulse()
        assert pulse() == before
        stage.add_event("e", "sync_run.failed", timedelta(0))
        after = pulse()
        assert after != before
        assert pulse() == after


LEAVING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from notifier.model.errors import StoreUnavailable
from notifier.store.sqlite.pulse import open_pulse

with ThreadPoolExecutor(1) as pool:
    for _ in range(300):
        with open_pulse(Path(sys.argv[1])) as pulse:
            asked = pool.submit(pulse)
        with suppress(StoreUnavailable):
            asked.result()
"""


def test_a_pulse_that_is_closed_while_a_thread_still_asks_takes_no_process_along(stage: PageStage) -> None:
    """As when the worker is told to stop while a browser listens; where it goes wrong, Python itself crashes."""
    ended = subprocess.run([sys.executable, "-c", LEAVING, stage.path], capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_there_is_no_pulse_where_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="can't be opened"), open_pulse(tmp_path / "none.db"):
        pass


def test_runs_are_found_by_an_index_and_never_sorted(stage: PageStage) -> None:
    """Five thousand syncs' runs have to be looked up for one page."""
    ordered = "workspace = 'p' AND sync_id = 1 ORDER BY created_at DESC, id DESC LIMIT 1"
    with stage.writing() as connection:
        for counted in ("", "counted AND "):
            statement = f"EXPLAIN QUERY PLAN SELECT id FROM {snapshots.name} WHERE {counted}{ordered}"  # noqa: S608
            plan = " ".join(row.detail for row in connection.execute(text(statement)))
            assert "USING INDEX ix_snapshots_sync" in plan or "USING COVERING INDEX ix_snapshots_sync" in plan
            assert "TEMP B-TREE" not in plan


def test_the_events_of_one_sync_are_found_without_reading_all_others(
    stage: PageStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = sqlite.set_up

    def traced(connection: sqlite3.Connection, role: Role) -> None:
        real(connection, role)
        connection.set_trace_callback(asked.append)

    monkeypatch.setattr(sqlite, "set_up", traced)
    with looked_at(stage.path) as look:
        look.happenings(("production", 52))
    read_events(stage.path, EventFilter(sync_id=52), 50)
    of_events = [statement for statement in asked if "FROM events" in statement]
    assert len(of_events) == 2
    for statement in of_events:
        assert "USING INDEX ix_events_sync" in str(rows(stage.path, f"EXPLAIN QUERY PLAN {statement}"))
