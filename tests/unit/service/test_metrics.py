"""What Prometheus is told: names, labels and values, each counted by hand."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from notifier.model import meters as meter
from notifier.model.delivery import Backlog, Broken, Delivered, DeliveryState, Outcome, Refused, Retry
from notifier.model.errors import (
    CensusError,
    NotFound,
    StoreUnavailable,
    Throttled,
    Unauthorized,
    Unreachable,
    Unusable,
)
from notifier.model.event import EventType
from notifier.model.incident import Check
from notifier.model.meters import DeliveryOutcome, PollOutcome, delivery_outcome, poll_outcome
from notifier.service import metrics
from notifier.service.metrics import Metrics, Sources, WorkspaceGauges
from tests.exposition import names, nonzero, series

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
NOTHING = Backlog({}, {}, {}, {})
CONTRACT = {
    "polls_total": ["outcome", "workspace"],
    "poll_seconds": [],
    "poll_lag_seconds": ["workspace"],
    "requests_total": ["status", "workspace"],
    "last_successful_poll_timestamp_seconds": ["workspace"],
    "events_total": ["type", "workspace"],
    "deliveries_total": ["outcome", "receiver"],
    "delivery_seconds": ["receiver"],
    "deliveries_pending": ["receiver"],
    "oldest_pending_delivery_seconds": ["receiver"],
    "deliveries_dead": ["receiver"],
    "receiver_up": ["receiver"],
    "incidents_open": ["check", "workspace"],
    "watched_syncs": ["workspace"],
    "workspace_up": ["workspace"],
    "api_retires_timestamp_seconds": ["workspace"],
    "config_last_reload_successful": [],
    "tokens_refused_total": [],
    "build_info": ["version"],
}
"""What the interface promises: by name, the names of the labels."""


def some_metrics() -> Metrics:
    return Metrics("1.2.3", clock=lambda: NOW)


def sources(backlog: Callable[[], Backlog]) -> Sources:
    """One workspace that is down, two receivers of which one is broken, and what the database says."""

    async def read() -> Backlog:
        return backlog()

    return Sources(
        lambda: {"production": WorkspaceGauges(up=False, watched_syncs=7, retires_on=date(2027, 1, 15))},
        lambda: {"hook": True, "slack": False},
        read,
    )


# --- names ---


@pytest.mark.asyncio
async def test_what_the_interface_promises_is_there_by_name_and_label_before_anything_has_happened() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    told = some_metrics()
    told.workspace("production")
    told.receiver("hook")
    await told.refresh(sources(lambda: NOTHING))
    found = {
        sample.name.removesuffix("_count"): sorted(sample.labels)
        for family in text_string_to_metric_families(told.exposition()[0].decode())
        for sample in family.samples
        if not sample.name.endswith(("_sum", "_bucket"))
    }
    ours = {name: labels for name, labels in found.items() if name.startswith("census_notifier_")}
    assert ours == {f"census_notifier_{name}": labels for name, labels in CONTRACT.items()}
    assert "process_cpu_seconds_total" in found


def test_the_text_is_of_the_format_that_its_content_type_names() -> None:
    body, content_type = some_metrics().exposition()
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b'census_notifier_build_info{version="1.2.3"} 1.0\n' in body


def test_two_workers_of_one_process_count_apart() -> None:
    one, other = some_metrics(), some_metrics()
    one.workspace("production").poll_ended(PollOutcome.OK, 0.1)
    other.workspace("production")
    assert series(one, "polls_total")["ok/production"] == 1
    assert series(other, "polls_total")["ok/production"] == 0


def test_a_name_can_hold_what_the_format_gives_a_meaning() -> None:
    told, name = some_metrics(), 'a"b\\c\nd{e="f"}'
    told.receiver(name).attempt_ended(DeliveryOutcome.RETRY, 1)
    assert nonzero(series(told, "deliveries_total")) == {f"retry/{name}": 1}


# --- what is counted ---


def test_polls_are_counted_by_what_they_came_to() -> None:
    told = some_metrics()
    hears = told.workspace("production")
    for outcome in (PollOutcome.OK, PollOutcome.OK, PollOutcome.UNREACHABLE):
        hears.poll_ended(outcome, 0.2)
    assert series(told, "polls_total") == {
        "ok/production": 2,
        "not_found/production": 0,
        "unauthorized/production": 0,
        "throttled/production": 0,
        "unreachable/production": 1,
        "unusable/production": 0,
        "not_kept/production": 0,
        "fault/production": 0,
    }


def test_how_long_polls_took_is_one_histogram_for_all_workspaces() -> None:
    told = some_metrics()
    told.workspace("production").poll_ended(PollOutcome.OK, 0.2)
    told.workspace("staging").poll_ended(PollOutcome.UNREACHABLE, 30)
    assert (series(told, "poll_seconds_sum"), series(told, "poll_seconds_count")) == ({"": 30.2}, {"": 2})
    buckets = series(told, "poll_seconds_bucket")
    assert (buckets["0.1"], buckets["0.25"], buckets["10.0"], buckets["30.0"]) == (0, 1, 1, 2)


def test_the_lag_is_that_of_the_last_poll_and_never_negative() -> None:
    told = some_metrics()
    hears = told.workspace("production")
    hears.poll_begins(4.5)
    assert series(told, "poll_lag_seconds") == {"production": 4.5}
    hears.poll_begins(-0.001)
    assert series(told, "poll_lag_seconds") == {"production": 0}


def test_the_last_successful_poll_is_remembered_from_before_the_start_and_moves_with_success_only() -> None:
    told = some_metrics()
    hears, _ = told.workspace("production", NOW - timedelta(hours=1)), told.workspace("staging")
    hears.poll_ended(PollOutcome.NOT_FOUND, 0.1)
    before = NOW.timestamp() - 3600
    assert series(told, "last_successful_poll_timestamp_seconds") == {"production": before, "staging": 0}
    hears.poll_ended(PollOutcome.OK, 0.1)
    assert series(told, "last_successful_poll_timestamp_seconds") == {"production": NOW.timestamp(), "staging": 0}


def test_requests_are_counted_by_status_and_those_without_an_answer_as_errors() -> None:
    told = some_metrics()
    hears = told.workspace("production")
    for status in (200, 200, 429, None, 503, 429):
        hears.request_ended(status)
    assert series(told, "requests_total") == {
        "200/production": 2,
        "429/production": 2,
        "503/production": 1,
        "error/production": 1,
    }


def test_events_are_counted_by_type_and_each_type_is_there_from_the_start() -> None:
    told = some_metrics()
    told.workspace("production").event_recorded(EventType.FAILED)
    assert series(told, "events_total") == {
        f"{each.value}/production": float(each is EventType.FAILED) for each in EventType
    }


def test_attempts_are_counted_by_what_they_came_to_and_only_a_delivery_has_a_duration() -> None:
    told = some_metrics()
    hears = told.receiver("hook")
    hears.attempt_ended(DeliveryOutcome.RETRY, 0.03)
    hears.attempt_ended(DeliveryOutcome.DELIVERED, 5400)
    hears.attempt_ended(DeliveryOutcome.DELIVERED, -2)  # the clock was put back
    assert series(told, "deliveries_total") == {"delivered/hook": 2, "retry/hook": 1, "broken/hook": 0, "dead/hook": 0}
    assert (series(told, "delivery_seconds_sum"), series(told, "delivery_seconds_count")) == (
        {"hook": 5400},
        {"hook": 2},
    )
    buckets = series(told, "delivery_seconds_bucket")
    assert (buckets["0.01/hook"], buckets["3600.0/hook"], buckets["14400.0/hook"]) == (1, 1, 2)


def test_a_reload_that_failed_shows_until_one_succeeds() -> None:
    told = some_metrics()
    assert series(told, "config_last_reload_successful") == {"": 1}
    told.reloaded(successful=False)
    assert series(told, "config_last_reload_successful") == {"": 0}
    told.reloaded(successful=True)
    assert series(told, "config_last_reload_successful") == {"": 1}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotFound("gone"), "not_found"),
        (Unauthorized(401, "no"), "unauthorized"),
        (Throttled(timedelta(seconds=3)), "throttled"),
        (Unreachable("HTTP 500"), "unreachable"),
        (Unusable("no JSON"), "unusable"),
    ],
)
def test_each_error_of_the_api_has_its_outcome(error: CensusError, outcome: str) -> None:
    assert poll_outcome(error).value == outcome


@pytest.mark.parametrize(
    ("outcome", "state", "counted"),
    [
        (Delivered(), DeliveryState.DELIVERED, "delivered"),
        (Retry("HTTP 500"), DeliveryState.PENDING, "retry"),
        (Retry("HTTP 500"), DeliveryState.DEAD, "dead"),
        (Broken("HTTP 404"), DeliveryState.PENDING, "broken"),
        (Refused("HTTP 413"), DeliveryState.DEAD, "dead"),
    ],
)
def test_each_outcome_of_an_attempt_has_its_word(outcome: Outcome, state: DeliveryState, counted: str) -> None:
    assert delivery_outcome(outcome, state).value == counted


def test_the_deaf_meters_take_all_that_the_others_take() -> None:
    for deaf, kind in (
        (meter.NO_WORKSPACE_METER, metrics.Metrics("0").workspace("production")),
        (meter.NO_RECEIVER_METER, metrics.Metrics("0").receiver("hook")),
    ):
        said = [name for name in vars(type(deaf)) if not name.startswith("_")]
        assert said
        assert all(name in vars(type(kind)) for name in said)


# --- what is read when somebody asks ---


@pytest.mark.asyncio
async def test_gauges_show_every_configured_name_and_no_other() -> None:
    told = some_metrics()
    await told.refresh(
        sources(
            lambda: Backlog(
                pending={"slack": 3, "gone": 9},
                oldest={"slack": NOW - timedelta(minutes=2), "gone": NOW},
                dead={"hook": 1},
                incidents={("production", Check.STALE): 2, ("gone", Check.FAILING): 1},
            )
        )
    )
    assert series(told, "workspace_up") == {"production": 0}
    assert series(told, "watched_syncs") == {"production": 7}
    assert series(told, "receiver_up") == {"hook": 1, "slack": 0}
    assert series(told, "deliveries_pending") == {"hook": 0, "slack": 3}
    assert series(told, "oldest_pending_delivery_seconds") == {"hook": 0, "slack": 120}
    assert series(told, "deliveries_dead") == {"hook": 1, "slack": 0}
    assert series(told, "incidents_open") == {
        f"{check.value}/production": 2 if check is Check.STALE else 0 for check in Check
    }


@pytest.mark.asyncio
async def test_the_end_of_an_api_is_told_of_workspaces_that_have_one_and_of_none_that_was_switched() -> None:
    told, name = some_metrics(), "census_notifier_api_retires_timestamp_seconds"
    now = {"old": WorkspaceGauges(True, 1, retires_on=date(2027, 1, 15)), "new": WorkspaceGauges(True, 1)}
    read = replace(sources(lambda: NOTHING), workspaces=lambda: now)
    await told.refresh(read)
    assert series(told, "api_retires_timestamp_seconds") == {"old": datetime(2027, 1, 15, tzinfo=UTC).timestamp()}
    now["old"] = WorkspaceGauges(True, 1)
    await told.refresh(read)
    assert name not in names(told)


@pytest.mark.asyncio
async def test_a_delivery_from_the_future_has_waited_for_no_time() -> None:
    told = some_metrics()
    await told.refresh(sources(lambda: Backlog({"hook": 1}, {"hook": NOW + timedelta(hours=1)}, {}, {})))
    assert series(told, "oldest_pending_delivery_seconds") == {"hook": 0, "slack": 0}


@pytest.mark.asyncio
async def test_what_a_database_can_not_say_is_left_out_and_the_rest_is_told() -> None:
    told, full = some_metrics(), [False]

    def backlog() -> Backlog:
        if full[0]:
            raise StoreUnavailable("locked")
        return NOTHING

    await told.refresh(sources(backlog))
    assert series(told, "deliveries_pending") == {"hook": 0, "slack": 0}
    full[0] = True
    told._read_at = None  # a second later
    await told.refresh(sources(backlog))
    assert series(told, "deliveries_pending") == {}
    assert series(told, "receiver_up") == {"hook": 1, "slack": 0}


@pytest.mark.asyncio
async def test_a_scrape_does_not_wait_for_a_database_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "DATABASE_PATIENCE", 0)
    told = some_metrics()

    async def hang() -> Backlog:
        await asyncio.Event().wait()
        raise AssertionError

    await told.refresh(Sources(dict, dict, hang))
    assert "census_notifier_deliveries_pending" not in names(told)


@pytest.mark.asyncio
async def test_the_database_is_asked_once_however_many_ask_at_once() -> None:
    told, asked = some_metrics(), []

    def backlog() -> Backlog:
        asked.append(1)
        return NOTHING

    read = sources(backlog)
    await asyncio.gather(*(told.refresh(read) for _ in range(20)))
    assert len(asked) == 1


@pytest.mark.asyncio
async def test_a_worker_without_sources_yet_tells_what_it_counts() -> None:
    told = some_metrics()
    assert "census_notifier_build_info" in names(told)
    assert "census_notifier_workspace_up" not in names(told)


@pytest.mark.asyncio
async def test_the_text_can_be_made_in_a_thread_while_the_worker_counts_on() -> None:
    told = some_metrics()
    hears = told.workspace("production")
    await told.refresh(sources(lambda: NOTHING))
    making = [asyncio.to_thread(told.exposition) for _ in range(3)]
    for status in range(200, 260):
        hears.request_ended(status)
    for body, _ in await asyncio.gather(*making):
        assert b'census_notifier_workspace_up{workspace="production"} 0.0' in body
