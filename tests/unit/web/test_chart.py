"""A sync's runs as bars: their heights, their shapes, and the same in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.store.views.runs import RunSummary
from notifier.web.page.chart import GROUND, LEAST, STEP, RunOutcome, chart_of, run_outcome

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def a_run(run_id: int = 93, status: str | None = "completed", minutes: float = 4, **more: Any) -> RunSummary:
    began = NOW - timedelta(hours=2)
    ended = began + timedelta(minutes=minutes)
    usual = {"canceled": False, "error_code": None, "error_message": None, "records_sent": None, "full_sync": None}
    times = {"created_at": began, "updated_at": ended, "completed_at": ended if status == "completed" else None}
    return RunSummary(**{"id": run_id, "status": status, **usual, **times, **more})


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (a_run(), RunOutcome.COMPLETED),
        (a_run(canceled=True), RunOutcome.CANCELED),
        (a_run(status="cancelled"), RunOutcome.CANCELED),
        (a_run(status="failed"), RunOutcome.FAILED),
        (a_run(status="skipped"), RunOutcome.SKIPPED),
        (a_run(status="working"), RunOutcome.RUNNING),
        (a_run(status="queued"), RunOutcome.RUNNING),
        (a_run(status="reticulating"), RunOutcome.OTHER),
        (a_run(status=None), RunOutcome.OTHER),
    ],
)
def test_what_became_of_a_run(run: RunSummary, outcome: RunOutcome) -> None:
    assert run_outcome(run) is outcome


def test_the_longest_run_is_the_highest_bar_and_the_newest_stands_at_the_right_end() -> None:
    chart = chart_of([a_run(1, minutes=10), a_run(2, minutes=5), a_run(3, minutes=0)], 30, NOW)
    tops = [int(bar.path.split("h")[0].split(" ")[1]) for bar in chart.bars]
    assert tops == [GROUND - (GROUND - 2), GROUND - (GROUND - 2) // 2, GROUND - LEAST]
    assert [bar.path.split(" ")[0] for bar in chart.bars] == [f"M{place * STEP}" for place in (27, 28, 29)]


def test_outcomes_differ_in_shape_not_only_in_colour() -> None:
    each = [chart_of([a_run(status=status)], 1, NOW).bars[0].path for status in ("completed", "failed", "skipped")]
    each.append(chart_of([a_run(canceled=True)], 1, NOW).bars[0].path)
    assert len(set(each)) == 4


@pytest.mark.parametrize(
    ("run", "path"),
    [
        (a_run(), "M0 2h7V32h-7z"),
        (a_run(status="failed"), "M0 2h7V32h-7zM1 35l5 5m0-5l-5 5"),  # a cross under it
        (a_run(canceled=True), "M0.5 2.5h6v29h-6z"),
        (a_run(status="working"), "M0.5 2.5h6v29h-6z"),
        (a_run(status="skipped"), "M0 30h7v2h-7z"),
        (a_run(canceled=True, minutes=0), "M0.5 29.5h6v2h-6z"),
        (a_run(created_at=None), "M0 29h7V32h-7z"),
    ],
    ids=["completed", "failed", "canceled", "working", "skipped", "at once", "no times"],
)
def test_the_shape_of_each_outcome(run: RunSummary, path: str) -> None:
    assert [bar.path for bar in chart_of([run], 1, NOW).bars] == [path]


def test_a_bar_says_of_which_run_it_is_and_how_long_that_took() -> None:
    runs = [a_run(1, minutes=0), a_run(2, minutes=7)]
    assert [(bar.run, bar.took) for bar in chart_of(runs, 30, NOW).bars] == [
        (runs[0], timedelta(0)),
        (runs[1], timedelta(minutes=7)),
    ]


def test_a_run_in_words() -> None:
    failed = a_run(status="failed", records_sent=12_400, error_code="E1", error_message="it broke")
    (bar,) = chart_of([failed], 30, NOW).bars
    assert bar.words == "Run 93 failed · 24 Nov 10:00 UTC · took 4 min · 12,400 records · E1: it broke"
    (bar,) = chart_of([a_run(records_sent=1)], 30, NOW).bars
    assert bar.words.endswith(" · 1 record")
    (bar,) = chart_of([a_run(status="working")], 30, NOW).bars
    assert bar.words == "Run 93 running · 24 Nov 10:00 UTC · for 2 h"
    (bar,) = chart_of([a_run(status=None, created_at=None)], 30, NOW).bars
    assert bar.words == "Run 93 without a status"


def test_a_chart_says_it_all_at_once() -> None:
    chart = chart_of([a_run(1), a_run(2, "failed"), a_run(3)], 30, NOW)
    assert chart.words.startswith("last 3 runs: 2 completed, 1 failed. Newest: Run 3 completed")
    chart = chart_of([a_run(1, "failed"), a_run(2)], 30, NOW)
    assert chart.words == f"last 2 runs: 1 completed, 1 failed. Newest: {chart.bars[1].words}"
    alone = chart_of([a_run(1)], 30, NOW)
    assert alone.words == alone.bars[0].words
    nothing = chart_of([], 30, NOW)
    assert (nothing.words, nothing.room) == ("no runs yet", 30)


def test_times_that_make_no_sense_make_a_low_bar() -> None:
    (bar,) = chart_of([a_run(completed_at=NOW - timedelta(days=9))], 1, NOW).bars
    assert bar.took is None
    assert "took" not in bar.words
    (skipped,) = chart_of([a_run(status="skipped", minutes=600)], 1, NOW).bars
    assert skipped.took is None


def test_what_others_wrote_is_cut_and_disarmed() -> None:
    message = "\u202egnp.exe\x00" + "x" * 5_000
    ((_, _, words),) = chart_of([a_run(error_message=message)], 1, NOW).drawn
    assert "\u202e" not in words
    assert "\x00" not in words
    assert len(words) < 300
