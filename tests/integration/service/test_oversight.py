"""The heartbeat is of the whole notifier: also of what other workers watch, by the clock of the one that sends it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from notifier.model.hints import Hints
from notifier.model.sync import WorkspaceState
from notifier.service.oversight import KEPT_EVERY, LOOK_EVERY, Oversight
from notifier.service.vitals import Vitals, trouble
from notifier.store.store import Store
from notifier.watching.pace import SELDOM
from notifier.watchlist.models import Workspace
from tests.integration.watching.kit import START_OF_TIME, LoopClock

pytestmark = pytest.mark.standing_clock

SETTINGS = Workspace.model_validate({"token": "t", "poll_interval": timedelta(seconds=60)})
READ = WorkspaceState("theirs", last_polled_at=START_OF_TIME)
LATE = LOOK_EVERY + KEPT_EVERY.total_seconds()


def trouble_of(oversight: Oversight) -> str | None:
    return trouble(
        Vitals(loops_alive=True, database_works=True, written_before=timedelta(0), workspaces=oversight.vitals())
    )


@pytest.fixture
def oversight(store: Store) -> Oversight:
    return Oversight(store.watching, {"mine": SETTINGS, "theirs": SETTINGS}, {"mine"})


@pytest.mark.asyncio
async def test_a_workspace_of_another_that_nobody_has_read_is_not_well(oversight: Oversight) -> None:
    assert trouble_of(oversight) == "the workspace theirs was not read yet"
    oversight.note({"theirs": WorkspaceState("theirs")})
    assert trouble_of(oversight) == "the workspace theirs was not read yet"
    oversight.note({"theirs": READ})
    assert trouble_of(oversight) is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("state", "intervals"),
    [(READ, 3), (replace(READ, stretch=2.0), 6), (replace(READ, hints=Hints.TRUSTED), 3 * SELDOM)],
    ids=["plain", "stretched", "polled seldom"],
)
async def test_it_is_well_for_three_intervals_from_when_it_was_seen_to_be_read(
    oversight: Oversight, monkeypatch: pytest.MonkeyPatch, state: WorkspaceState, intervals: int
) -> None:
    clock = LoopClock(monkeypatch)
    oversight.note({"theirs": state})
    clock.now += intervals * 60 + LATE
    oversight.note({"theirs": state})
    assert trouble_of(oversight) is None
    clock.now += 1
    assert trouble_of(oversight) == f"the workspace theirs was not read for {intervals * 60 + 1} s"
    oversight.note(
        {"theirs": replace(state, last_polled_at=START_OF_TIME - timedelta(days=1))}
    )  # its clock was set back
    assert trouble_of(oversight) is None


@pytest.mark.asyncio
async def test_what_its_worker_says_of_it_is_believed(oversight: Oversight) -> None:
    oversight.note({"theirs": replace(READ, ok=False, last_error="HTTP 500")})
    assert trouble_of(oversight) == "the workspace theirs can't be read: HTTP 500"


@pytest.mark.asyncio
async def test_ones_own_is_not_looked_up(oversight: Oversight) -> None:
    oversight.note({"theirs": READ, "mine": WorkspaceState("mine", ok=False, last_error="long ago")})
    assert trouble_of(oversight) is None


def test_a_part_that_no_worker_has_is_not_well() -> None:
    vitals = Vitals(
        loops_alive=True,
        database_works=True,
        written_before=timedelta(0),
        workspaces=(),
        nobodys=("slack", "workspace:b"),
    )
    assert trouble(vitals) == "no worker has slack, workspace:b"
