"""docs/guarantees.md names tests and rows of the fault suite: each has to be there."""

import re
from pathlib import Path

from faults.runner import all_rows

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text()


def test_every_test_that_holds_a_promise_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 10
    assert {name for name in named if f"def {name}(" not in sources} == set()


def test_every_row_of_the_fault_suite_holds_a_promise() -> None:
    named = {int(number) for group in re.findall(r"\brows? ([\d, andto]+)", TEXT) for number in _numbers(group)}
    assert named == {row.number for row in all_rows()}


def _numbers(group: str) -> list[int]:
    """ "1, 4 and 11" or "1 to 3"."""
    found = [int(number) for number in re.findall(r"\d+", group)]
    return list(range(found[0], found[-1] + 1)) if "to" in group else found
