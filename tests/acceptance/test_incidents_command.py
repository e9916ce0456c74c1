"""Incidents as the commands show them: `incidents` itself, and what they add to `events` and to `status`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, create_engine, insert
from sqlalchemy.pool import NullPool

from notifier.store.sql.schema import NONE, deliveries, events, incidents, syncs

from .conftest import Workplace

HOSTILE = "[red]Markup[/] \x1b[1m\x1b]0;a\x07 \u202eesrever\nsecond\x9b2J"
DISARMED = "[red]Markup[/] �esrever second"
OBEYED = {"\x1b", "\x07", "\x9b", "\u202e"}
SHOWN_SINCE = timedelta(hours=3, minutes=12, seconds=20)  # seconds to spare, until a minute more is shown
OPENED = datetime(2026, 11, 23, 10, 15, 30, 123_456, tzinfo=UTC)
HOUR = timedelta(hours=1)


def put(workplace: Workplace, table: Table, *rows: dict[str, Any]) -> None:
    """Writes rows as the worker does, without one."""
    engine = create_engine(f"sqlite:///{workplace.directory / 'n.db'}", poolclass=NullPool)
    with engine.begin() as connection:
        for row in rows:
            connection.execute(insert(table).values(**row))


def an_incident(number: int, **values: Any) -> dict[str, Any]:
    """A row of an incident, `failing` of a sync of its own and open unless the test says otherwise."""
    given = {
        "id": f"inc_{number}",
        "workspace": "production",
        "sync_id": 50 + number,
        "sync_label": f"Sync {number}",
        "check": "failing",
        "open": "resolved_at" not in values,
        "opened_at": OPENED,
        "labels": "{}",
        "runs": 1,
        "reminders": 0,
        "told": "[]",
    }
    return {**given, **values}


@pytest.fixture
def migrated(workplace: Workplace) -> Workplace:
    """A workplace whose database is there, and empty."""
    workplace.migrated()
    workplace.environment["COLUMNS"] = "80"
    return workplace


def lines(workplace: Workplace, *arguments: str) -> list[str]:
    """What a person sees, without the spaces that fill a line."""
    ended = workplace.run(*arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    return [line.rstrip() for line in ended.stdout.splitlines()]


def open_for(length: timedelta) -> datetime:
    return datetime.now(UTC) - length


# --- incidents ---


def test_no_incident_is_a_sentence_and_no_database_an_error(workplace: Workplace) -> None:
    none = workplace.run("incidents")
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr == ("notifier: n.db: no database there yet; `notifier run` or `notifier migrate` makes it\n")
    workplace.run("migrate")
    assert lines(workplace, "incidents") == ["No open incidents; --all shows those that are over."]
    assert lines(workplace, "incidents", "--all") == ["No incidents."]
    assert workplace.json("incidents") == workplace.json("incidents", "--all") == []


def test_a_person_sees_what_is_wrong_with_which_sync_and_since_when(migrated: Workplace) -> None:
    now = datetime.now(UTC)
    put(
        migrated,
        incidents,
        an_incident(1, opened_at=OPENED, resolved_at=OPENED + HOUR, reason="recovered"),
        an_incident(
            2,
            sync_label="New Signups to Leads",
            runs=3,
            opened_at=now - SHOWN_SINCE,
            last_good_run_id=92,
            last_good_run_completed_at=now - 5 * HOUR,
        ),
        an_incident(3, check="rejected_records", opened_at=now - 25 * HOUR, last_good_run_id=70),
        an_incident(4, check="unreachable", sync_id=NONE, sync_label=None, runs=0, opened_at=now - 2.5 * HOUR),
    )
    assert lines(migrated, "incidents") == [
        "check             sync  label                 open for    bad runs  last good",
        "unreachable       -     workspace production  2 h 30 min  -         -",
        "rejected records  53    Sync 3                1 d 1 h     1         run 70",
        "failing           52    New Signups to Leads  3 h 12 min  3         5 h ago",
    ]
    assert len(lines(migrated, "incidents", "--limit", "3")) == 4
    assert lines(migrated, "incidents", "--limit", "2")[3:] == ["The newest 2; --limit shows more, --json all."]


def test_of_those_that_are_over_a_person_sees_how_they_ended_and_how_long_they_lasted(migrated: Workplace) -> None:
    opened = datetime.now(UTC) - timedelta(hours=6, minutes=1, seconds=20)
    lasted = {"opened_at": opened, "resolved_at": opened + SHOWN_SINCE}
    put(
        migrated,
        incidents,
        an_incident(1, **lasted, reason="recovered"),
        an_incident(2, **lasted, reason="check_off"),
        an_incident(3, **lasted, reason="unwatched"),
        an_incident(4, **lasted, reason="deleted", runs=12),
        an_incident(5, check="stale", runs=0, opened_at=opened),
    )
    migrated.environment["COLUMNS"] = "100"
    assert lines(migrated, "incidents", "--all") == [
        "check    sync  label   state                                 bad runs  last good",
        "stale    55    Sync 5  open for 6 h 1 min                    -         -",
        "failing  54    Sync 4  deleted 2 h ago, lasted 3 h 12 min    12        -",
        "failing  53    Sync 3  unwatched 2 h ago, lasted 3 h 12 min  1         -",
        "failing  52    Sync 2  check off 2 h ago, lasted 3 h 12 min  1         -",
        "failing  51    Sync 1  recovered 2 h ago, lasted 3 h 12 min  1         -",
    ]


def test_all_open_ones_are_shown_but_50_of_all(migrated: Workplace) -> None:
    put(migrated, incidents, *(an_incident(number) for number in range(60)))
    assert len(lines(migrated, "incidents")) == 61
    everything = lines(migrated, "incidents", "--all")
    assert len(everything) == 52
    assert everything[51] == "The newest 50; --limit shows more, --json all."
    assert len(migrated.json("incidents", "--all")) == 60
    assert [incident["id"] for incident in migrated.json("incidents", "--limit", "2")] == ["inc_59", "inc_58"]


def test_incidents_of_several_workspaces_say_whose_they_are(migrated: Workplace) -> None:
    put(migrated, incidents, an_incident(1), an_incident(2, workspace="staging"))
    _, staging, production = lines(migrated, "incidents")
    assert staging.split()[:5] == ["failing", "52", "staging:", "Sync", "2"]
    assert production.split()[:5] == ["failing", "51", "production:", "Sync", "1"]


def test_a_program_gets_all_of_an_incident(migrated: Workplace) -> None:
    put(
        migrated,
        incidents,
        an_incident(
            1,
            check="record_count",
            runs=2,
            resolved_at=OPENED + HOUR,
            reason="recovered",
            last_good_run_id=92,
            last_good_run_completed_at=OPENED - HOUR,
        ),
        an_incident(2, workspace="gone", summary="another error", last_good_run_id=70, sync_label=None),
        an_incident(3, check="unreachable", sync_id=NONE, sync_label=None, runs=0),
    )
    unreachable = {
        "id": "inc_3",
        "check": "unreachable",
        "state": "open",
        "reason": None,
        "opened_at": "2026-11-23T10:15:30.123Z",
        "resolved_at": None,
        "runs": 0,
        "last_good_run": None,
        "summary": None,
        "workspace": "production",
        "sync": None,
    }
    of_another_workspace = {
        "id": "inc_2",
        "check": "failing",
        "state": "open",
        "reason": None,
        "opened_at": "2026-11-23T10:15:30.123Z",
        "resolved_at": None,
        "runs": 1,
        "last_good_run": {"id": 70, "completed_at": None},
        "summary": "another error",
        "workspace": "gone",
        "sync": {"id": 52, "label": None, "url": None},
    }
    over = {
        "id": "inc_1",
        "check": "record_count",
        "state": "resolved",
        "reason": "recovered",
        "opened_at": "2026-11-23T10:15:30.123Z",
        "resolved_at": "2026-11-23T11:15:30.123Z",
        "runs": 2,
        "last_good_run": {"id": 92, "completed_at": "2026-11-23T09:15:30.123Z"},
        "summary": None,
        "workspace": "production",
        "sync": {"id": 51, "label": "Sync 1", "url": f"{migrated.simulator.base_url[:-7]}/syncs/51/history"},
    }
    assert migrated.simulator.base_url.endswith("/api/v1")
    everything = migrated.json("incidents", "--all")
    assert everything == [unreachable, of_another_workspace, over]
    assert [list(incident) for incident in everything] == [list(over)] * 3
    assert migrated.json("incidents") == [unreachable, of_another_workspace]


def test_an_older_database_is_told_with_the_remedy(migrated: Workplace) -> None:
    engine = create_engine(f"sqlite:///{migrated.directory / 'n.db'}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
    for command in (("incidents",), ("incidents", "--all", "--json")):
        ended = migrated.run(*command)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr == "notifier: n.db is from an older version; run `notifier migrate`\n"


@pytest.mark.parametrize("arguments", [("--limit", "0"), ("extra",), ("--open",)], ids=" ".join)
def test_a_wrong_use_is_exit_code_2(migrated: Workplace, arguments: tuple[str, ...]) -> None:
    ended = migrated.run("incidents", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Error" in ended.stderr


def test_the_help_fits_80_columns_and_the_overview_names_the_command(migrated: Workplace) -> None:
    shown = lines(migrated, "incidents", "--help")
    assert max(map(len, shown)) <= 80
    examples = [line.split("  ")[0].strip() for line in shown if line.startswith(" notifier ")]
    assert examples == [
        "notifier incidents",
        "notifier incidents --all --limit 5",
        "notifier incidents --json | jq '.[].sync.url'",
    ]
    assert any(line.startswith("│ incidents ") for line in lines(migrated, "--help"))


# --- events ---


def an_event(
    number: int, kind: str, data: dict[str, Any], *, sync_id: int | str = NONE, run_id: int | str = NONE
) -> dict[str, Any]:
    body = {"type": kind, "timestamp": "2026-11-23T10:15:30.123Z", "data": {"workspace": "production", **data}}
    return {
        "id": f"evt_{number}",
        "type": kind,
        "workspace": "production",
        "sync_id": sync_id,
        "run_id": run_id,
        "seen_at": datetime.now(UTC) - SHOWN_SINCE,
        "body": json.dumps(body).encode(),
    }


def in_body(check: str, **values: Any) -> dict[str, Any]:
    """An incident as an event's body has it."""
    given = {"id": "inc_1", "check": check, "state": "open", "reason": None, "runs": 0, "last_good_run": None}
    return {**given, "opened_at": "2026-11-23T10:15:30.123Z", "resolved_at": None, **values}


LEADS = {"id": 52, "label": "Leads", "url": "http://127.0.0.1/syncs/52/history"}
FAILED = {"sync_run": {"id": 93}, "changes": [{"field": "status", "old": "working", "new": "failed"}]}
OVER = {"state": "resolved", "reason": "recovered", "resolved_at": "2026-11-23T13:27:31.123Z", "runs": 3}


@pytest.fixture
def with_events(migrated: Workplace) -> Workplace:
    """An event of each kind that is not only of a run."""
    put(
        migrated,
        events,
        an_event(1, "incident.opened", {"sync": LEADS, **FAILED, "incident": in_body("failing", runs=1)}, sync_id=52),
        an_event(2, "sync.paused", {"sync": LEADS}, sync_id=52),
        an_event(3, "incident.opened", {"sync": None, "incident": in_body("unreachable")}),
        an_event(4, "incident.resolved", {"sync": LEADS, "incident": in_body("failing", **OVER)}, sync_id=52),
        an_event(5, "sync_run.full_sync", {"sync": LEADS, "sync_run": {}, "changes": []}, sync_id=52, run_id=93),
        an_event(
            6,
            "incident.changed",
            {"sync": LEADS, **FAILED, "summary": "another error", "incident": in_body("failing", runs=2)},
            sync_id=52,
            run_id=94,
        ),
        an_event(
            7,
            "incident.reminder",
            {"sync": LEADS, "summary": "nothing sent", "incident": in_body("record_count", runs=1)},
            sync_id=52,
        ),
    )
    return migrated


def test_events_without_a_run_or_a_sync_read_well_and_those_of_incidents_say_which_check(
    with_events: Workplace,
) -> None:
    with_events.environment["COLUMNS"] = "110"
    assert lines(with_events, "events") == [
        "when     type               sync  label                 run  change",
        "3 h ago  incident.reminder  52    Leads                 -    record count: nothing sent",
        "3 h ago  incident.changed   52    Leads                 94   failing: another error, 2 bad runs",
        "3 h ago  full_sync          52    Leads                 93   -",
        "3 h ago  incident.resolved  52    Leads                 -    failing: recovered after 3 h 12 min",
        "3 h ago  incident.opened    -     workspace production  -    unreachable",
        "3 h ago  sync.paused        52    Leads                 -    -",
        "3 h ago  incident.opened    52    Leads                 -    failing: 1 bad run",
    ]


def test_the_json_of_every_event_is_its_body_with_its_id(with_events: Workplace) -> None:
    found = with_events.json("events")
    assert [list(event) for event in found] == [["id", "type", "timestamp", "data"]] * 7
    assert found[4] == {
        "id": "evt_3",
        "type": "incident.opened",
        "timestamp": "2026-11-23T10:15:30.123Z",
        "data": {"workspace": "production", "sync": None, "incident": in_body("unreachable")},
    }


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--type", "incident.*"), [7, 6, 4, 3, 1]),
        (("--type", "sync.paused"), [2]),
        (("--type", "*.opened", "--sync", "52"), [1]),
        (("--sync", "52"), [7, 6, 5, 4, 2, 1]),
    ],
)
def test_events_of_the_new_types_are_chosen_as_others(
    with_events: Workplace, options: tuple[str, ...], found: list[int]
) -> None:
    assert [event["id"] for event in with_events.json("events", *options)] == [f"evt_{number}" for number in found]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("incident.opend", "incident.opened"), ("pausd", "sync.paused"), ("sync_run.fullsync", "sync_run.full_sync")],
)
def test_a_type_that_is_misspelt_is_met_with_the_one_that_was_meant(
    migrated: Workplace, wrong: str, meant: str
) -> None:
    ended = migrated.run("events", "--type", wrong)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f'did you mean "{meant}"?' in " ".join(ended.stderr.replace("│", " ").split())


def test_deliveries_of_every_event_are_listed(with_events: Workplace) -> None:
    times = {"created_at": OPENED, "clock_started_at": OPENED, "next_attempt_at": OPENED}
    way = {"event_type": "incident.opened", "receiver": "hook", "state": "pending", **times}
    put(with_events, deliveries, {**way, "event_id": "evt_3", "workspace": "production", "sync_id": NONE})
    _, row = lines(with_events, "deliveries")
    assert row.split()[:5] == ["1", "incident.opened", "hook", "pending", "0"]
    assert [way["type"] for way in with_events.json("deliveries")] == ["incident.opened"]


# --- status ---


def test_the_status_says_which_sync_can_not_be_read_since_when_and_why(migrated: Workplace) -> None:
    now, common = datetime.now(UTC), {"workspace": "production", "watched": True, "marked": True}
    dark = {
        "sync_id": 52,
        "label": "Leads",
        "unread_since": now - SHOWN_SINCE,
        "last_error": "HTTP 500 \x1b]0;title\x07red",
    }
    put(migrated, syncs, {**common, **dark}, {**common, "sync_id": 53, "label": "Accounts"})
    migrated.environment["COLUMNS"] = "110"
    assert lines(migrated, "status")[-2:] == [
        "52    Leads     none yet  can't be read for 3 h 12 min: HTTP 500 red",
        "53    Accounts  none yet",
    ]
    assert [sync["last_error"] for sync in migrated.json("status")["syncs"]] == ["HTTP 500 \x1b]0;title\x07red", None]


def test_the_status_counts_open_incidents_for_people_and_leaves_its_json_as_it_was(migrated: Workplace) -> None:
    before = migrated.json("status")
    assert "ncident" not in migrated.run("status").stdout
    put(migrated, incidents, an_incident(1, resolved_at=OPENED, reason="recovered"))
    assert "ncident" not in migrated.run("status").stdout
    put(migrated, incidents, an_incident(2, check="stale"), an_incident(3), an_incident(4))
    assert lines(migrated, "status")[1] == "Open incidents: 3 (2 failing, 1 stale); notifier incidents lists them."
    put(migrated, incidents, an_incident(5, check="rejected_records"))
    migrated.environment["COLUMNS"] = "110"
    assert lines(migrated, "status")[1] == (
        "Open incidents: 4 (2 failing, 1 rejected records, 1 stale); notifier incidents lists them."
    )
    assert migrated.json("status") == before


# --- what a terminal gets ---


def test_labels_are_neither_markup_nor_obeyed_by_a_terminal(migrated: Workplace) -> None:
    put(migrated, incidents, an_incident(1, sync_label=HOSTILE, summary=HOSTILE))
    hostile = {"sync": {**LEADS, "label": HOSTILE}, "summary": HOSTILE, "incident": in_body("record_count")}
    put(migrated, events, an_event(1, "incident.opened", hostile, sync_id=52))
    migrated.environment["COLUMNS"] = "500"
    for command, times in (("incidents", 1), ("events", 2)):
        shown = migrated.run(command).stdout
        assert shown.count(DISARMED) == times
        assert not OBEYED & set(shown)
    raw = migrated.run("incidents", "--json").stdout
    assert not OBEYED & set(raw)
    assert json.loads(raw)[0]["sync"]["label"] == json.loads(raw)[0]["summary"] == HOSTILE


@pytest.mark.parametrize("options", [("incidents",), ("incidents", "--all"), ("events",), ("status",)], ids=" ".join)
def test_every_table_fits_80_columns_whatever_the_labels_and_no_number_or_time_is_broken(
    migrated: Workplace, options: tuple[str, ...]
) -> None:
    label = "Snowflake analytics.marts.product_usage_daily to Intercom companies" * 3
    wide: dict[str, Any] = {"sync_label": label, "runs": 1234}
    good: dict[str, Any] = {
        "last_good_run_id": 9_000_001,
        "last_good_run_completed_at": open_for(timedelta(minutes=119, seconds=20)),
    }
    since = open_for(timedelta(hours=23, minutes=59, seconds=20))
    for number, check in enumerate(("failing", "rejected_records", "record_count", "slow_run", "stale", "unreachable")):
        put(migrated, incidents, an_incident(1_000_000 + number, check=check, opened_at=since, **wide, **good))
    over = {"resolved_at": since + timedelta(hours=23, minutes=59), "reason": "unwatched"}
    put(migrated, incidents, an_incident(1_000_010, opened_at=since, **wide, **good, **over))
    data = {"sync": {**LEADS, "label": label}, "summary": "word " * 30, "incident": in_body("rejected_records")}
    put(migrated, events, an_event(1, "incident.reminder", data, sync_id=1_000_050, run_id=9_000_001))
    shown = lines(migrated, *options)
    assert max(map(len, shown)) <= 80
    text = "\n".join(shown)
    if options[0] == "incidents":
        assert all(part in text for part in ("1000051", "rejected records", "1234", "119 min ago"))
    if options == ("incidents",):
        assert text.count("23 h 59 min") == 6
    if options[0] == "events":
        assert all(part in text for part in ("1000050", "incident.reminder", "9000001"))
