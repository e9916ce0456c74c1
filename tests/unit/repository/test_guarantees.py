"""docs/guarantees.md and SECURITY.md name tests and rows of the fault suite: each has to be there."""

import re
from pathlib import Path

import pytest

from faults.runner import all_rows

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "guarantees.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize("text", [TEXT, SECURITY], ids=["guarantees", "security"])
def test_every_test_that_holds_a_promise_is_there(text: str) -> None:
    files = list((ROOT / "tests").rglob("test_*.py"))
    sources = "\n".join(path.read_text() for path in files)
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 10
    assert {name for name in named if f"def {name}(" not in sources} == set()
    assert set(re.findall(r"`(test_\w+\.py)`", text)) <= {path.name for path in files}


def test_every_row_of_the_fault_suite_holds_a_promise() -> None:
    rows = {row.number for row in all_rows()}
    assert _rows_named(TEXT) == rows
    assert _rows_named(SECURITY) < rows


def test_every_line_of_the_security_policy_is_held_by_something() -> None:
    lines = [line for line in SECURITY.splitlines() if line.startswith("| ") and line.strip("| -")]
    assert len(lines) > 10
    for line in lines:
        promise, held = line.strip("| ").rsplit(" | ", 1)
        assert promise
        assert re.search(r"`test_\w+(\.py)?`|\brows? \d|`\.ci/container`", held), line


def _rows_named(text: str) -> set[int]:
    return {int(number) for group in re.findall(r"\brows? ([\d, andto]+)", text) for number in _numbers(group)}


def _numbers(group: str) -> list[int]:
    """ "1, 4 and 11" or "1 to 3"."""
    found = [int(number) for number in re.findall(r"\d+", group)]
    return list(range(found[0], found[-1] + 1)) if "to" in group else found
