"""When a worker is healthy, and when all is well."""

from dataclasses import replace
from datetime import timedelta

import pytest

from notifier.service.vitals import Vitals, WorkspaceVitals, ailment, trouble


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


PRODUCTION = WorkspaceVitals("production", interval=seconds(60), answered_before=seconds(20))
WELL = Vitals(loops_alive=True, database_works=True, written_before=seconds(29), workspaces=(PRODUCTION,))


def test_all_is_well_when_loops_live_the_database_takes_writes_and_each_workspace_was_read() -> None:
    assert (ailment(WELL), trouble(WELL)) == (None, None)


@pytest.mark.parametrize(
    ("vitals", "reason"),
    [
        (replace(WELL, loops_alive=False), "a loop of the worker has ended"),
        (replace(WELL, database_works=False), "the database takes no writes"),
        (replace(WELL, written_before=seconds(31)), "nothing was written to the database for 31 s"),
    ],
)
def test_what_is_not_healthy_is_not_well(vitals: Vitals, reason: str) -> None:
    assert (ailment(vitals), trouble(vitals)) == (reason, reason)


@pytest.mark.parametrize(
    ("interval", "answered_before", "reason"),
    [
        (60, 180, None),
        (60, 180.5, "the workspace staging was not read for 180 s"),
        (66, 198, None),  # stretched by a tenth
        (1, 4, "the workspace staging was not read for 4 s"),
        (60, None, "the workspace staging was not read yet"),
    ],
)
def test_a_workspace_has_to_be_read_within_three_of_its_intervals(
    interval: float, answered_before: float | None, reason: str | None
) -> None:
    before = None if answered_before is None else seconds(answered_before)
    staging = WorkspaceVitals("staging", seconds(interval), before)
    vitals = replace(WELL, workspaces=(PRODUCTION, staging))
    assert trouble(vitals) == reason
    assert ailment(vitals) is None  # Census' outage is no reason to restart the worker
