"""The suite of faults can fail: a row that does not hold, crashes, ends or hangs is told from one that passes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from faults.row import Failed, Figures, Row, Size
from faults.runner import all_rows, judge, table

SIZE = Size(short=True, seed=7)


def passes(size: Size) -> Figures:
    return {"seed": size.seed, "picked": size.pick("short", "long")}


def does_not_hold(size: Size) -> Figures:
    raise Failed("2 of 3 came")


def crashes(size: Size) -> Figures:
    raise ZeroDivisionError("by nobody")


def ends_without_a_word(size: Size) -> Figures:
    os._exit(3)


def hangs_with_a_child(size: Size) -> Figures:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(os.environ["NOTE"]).write_text(str(child.pid))
    time.sleep(600)
    return {}


def a_row(run: object, limit: float = 60) -> Row:
    return Row(1, "something is done", "nothing is lost", run, (limit, limit))  # type: ignore[arg-type]


def test_a_row_that_holds_passes_with_its_figures() -> None:
    verdict = judge(a_row(passes), SIZE)
    assert verdict.passed
    assert verdict.figures == {"seed": 7, "picked": "short"}
    shown = table([verdict], SIZE)
    assert "pass" in shown
    assert "must: nothing is lost" in shown
    assert "picked: short" in shown
    assert "1 of 1 rows pass" in shown


@pytest.mark.parametrize(
    ("run", "evidence"),
    [
        (does_not_hold, "2 of 3 came"),
        (crashes, "ZeroDivisionError: by nobody"),
        (ends_without_a_word, "the row's process ended without a word, exit code 3"),
    ],
)
def test_a_row_that_does_not_hold_fails_with_the_evidence(run: object, evidence: str) -> None:
    verdict = judge(a_row(run), SIZE)
    assert not verdict.passed
    assert evidence in verdict.evidence
    assert "0 of 1 rows pass" in table([verdict], SIZE)


@pytest.mark.slow
def test_a_row_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "child"
    monkeypatch.setenv("NOTE", str(note))
    verdict = judge(a_row(hangs_with_a_child, limit=12), SIZE)  # a busy machine takes seconds to start its process
    assert verdict.evidence == "it did not end within its 12 seconds"
    child = int(note.read_text())
    end = time.monotonic() + 20
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "what the row started goes on"
        time.sleep(0.05)  # it was killed; a busy machine takes a moment over it


def test_rows_have_numbers_of_their_own() -> None:
    numbers = [row.number for row in all_rows()]
    assert len(set(numbers)) == len(numbers)
