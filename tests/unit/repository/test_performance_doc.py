"""The table of docs/performance.md from which a user reads his own case says what the code reckons."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.watching import pace
from notifier.watchlist.models import Workspace

DOCUMENT = Path(__file__).parents[3] / "docs" / "performance.md"
DEFAULTS = {name: field.default for name, field in Workspace.model_fields.items()}
REST = DEFAULTS["poll_interval"].total_seconds()
ACTIVE = DEFAULTS["active_poll_interval"].total_seconds()
BUDGET = DEFAULTS["max_requests_per_second"]
ROW = re.compile(r"^\| ([\d,]+) \| (.+) \|$", re.MULTILINE)


def rows() -> list[tuple[int, list[str]]]:
    text = DOCUMENT.read_text().partition("## The benchmarks")[0]
    return [(int(syncs.replace(",", "")), rest.split(" | ")) for syncs, rest in ROW.findall(text)]


def seconds(words: str) -> float:
    units = {"s": 1, "min": 60}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+) (min|s)", words))


def needs(syncs: int, *, trusted: bool) -> tuple[float, float]:
    """The factor of the intervals, and requests a minute."""
    pages = -(-syncs // 100)
    listing = pace.listing_interval(timedelta(seconds=REST))
    if trusted:
        listing = pace.announced_listing_interval(ACTIVE, pages, BUDGET)
    of_each = {"resting": 0, "seldom": syncs} if trusted else {"resting": syncs, "seldom": 0}
    polls = pace.demand(**of_each, active=0, outside=0, intervals=pace.Intervals(REST, ACTIVE))
    factor = pace.stretch(polls, pages / listing, BUDGET)
    return factor, 60 * (polls / factor + pages / listing)


def test_there_are_rows_for_small_and_large_workspaces() -> None:
    assert [syncs for syncs, _ in rows()] == [100, 500, 1_000, 2_000, 5_000, 10_000]


@pytest.mark.parametrize(("syncs", "row"), rows())
def test_requests_and_bounds_are_what_the_code_reckons(syncs: int, row: list[str]) -> None:
    soon, latest, requests, not_announced, middle, all_of_it, without = row
    factor, of_a_minute = needs(syncs, trusted=True)
    assert float(requests) == pytest.approx(of_a_minute, rel=0.05)
    assert seconds(not_announced) == pytest.approx(pace.SELDOM * REST * factor, rel=0.05)
    listing = pace.announced_listing_interval(ACTIVE, -(-syncs // 100), BUDGET)
    assert listing / 2 <= seconds(soon) <= listing
    assert listing < seconds(latest) <= 2 * listing
    factor, of_a_minute = needs(syncs, trusted=False)
    assert float(without) == pytest.approx(of_a_minute, rel=0.05)
    assert seconds(all_of_it) == pytest.approx(REST * factor, rel=0.05)
    assert seconds(middle) == pytest.approx(REST * factor / 2, rel=0.05)
