"""The same history comes to the same incidents, however often it is polled."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from notifier.watchlist.checks import (
    Checks,
    ChecksInForce,
    Failing,
    RecordCount,
    RejectedRecords,
)
from tests.builders import Course
from tests.integration.watching.incidents.kit import (
    only,
    told,
    watched,
)
from tests.integration.watching.kit import Scene


@pytest.mark.asyncio
async def test_a_run_that_deviates_from_the_new_level_of_the_same_poll_is_no_measure_later(scene: Scene) -> None:
    checks = only(record_count=RecordCount())
    target = await watched(scene, checks)
    for number, sent in enumerate([100, 100, 100, 1_000, 1_000, 1_000, 1_000, 9_000], start=1):
        scene.run(number, records_processed=sent)
    await scene.poll(target)
    assert told(scene)[-2:] == ["record_count resolved by 7", "record_count opened by 8"]
    assert scene.rows("SELECT run_id FROM snapshots WHERE outlier ORDER BY id") == [(1,), (2,), (3,), (8,)]


@pytest.mark.asyncio
async def test_runs_after_the_new_level_are_compared_with_it_in_the_same_poll(scene: Scene) -> None:
    target = await watched(scene, only(record_count=RecordCount()))
    for number, sent in enumerate([100, 100, 100, 1_000, 1_000, 1_000, 1_000, 1_000, 1_100], start=1):
        scene.run(number, records_processed=sent)
    await scene.poll(target)
    assert told(scene) == [
        "record_count opened by 4",
        "record_count changed by 5",
        "record_count changed by 6",
        "record_count resolved by 7",
    ]


@dataclass(frozen=True)
class Past:
    """How a run of a history ends; a skipped one is there at once."""

    status: str
    code: str | None = None
    sent: int = 100
    rejected: int = 0

    @property
    def stages(self) -> list[dict[str, Any]]:
        if self.status == "skipped":
            return [{"status": "skipped"}]
        end: dict[str, Any] = {"status": self.status}
        if self.status == "failed":
            end["error_code"] = self.code
        elif self.status == "canceled":
            end = {"status": "completed", "canceled": True}
        else:
            end |= {"records_processed": self.sent, "records_failed": self.rejected}
        return [{"status": "queued"}, {"status": "working"}, end]


PASTS = st.one_of(
    st.builds(Past, st.just("failed"), code=st.sampled_from(["E1", "E2"])),
    st.builds(
        Past, st.just("completed"), sent=st.sampled_from([100, 100, 0, 1_000]), rejected=st.sampled_from([0, 0, 90])
    ),
    st.builds(Past, st.sampled_from(["skipped", "canceled"])),
)
RULES = st.builds(
    lambda runs, more, good: only(
        failing=Failing(runs=runs, of=runs + more, recovered_after=good),
        rejected_records=RejectedRecords(),
        record_count=RecordCount(of_last=5),
    ),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 3),
)
NUMBERS = itertools.count(1_000, 1_000)


async def played(scene: Scene, pasts: Sequence[Past], checks: Checks, gaps: Sequence[str]) -> list[str]:
    """What a history's polls tell. `gaps`: what is done after each step, over and over."""
    base = next(NUMBERS)
    scene.sync(base)
    target = await watched(scene, checks, base)
    pauses = itertools.cycle(gaps)
    for number, past in enumerate(pasts, start=base + 1):
        for place, stage in enumerate(past.stages):
            if place == 0:
                scene.run(number, sync_id=base, **stage)
            else:
                scene.simulator.update_run(number, **stage)
            match next(pauses):
                case "poll":
                    await scene.poll(target)
                case "restart":
                    target = await scene.restarted(target, checks)
                case "restart and poll":
                    target = await scene.restarted(target, checks)
                    await scene.poll(target)
                case _:
                    pass
    await scene.poll(target, times=2)
    return told(scene, base, base=base)


def foreseen(pasts: Sequence[Past], checks: Checks) -> list[str]:
    """What the rules alone make of it."""
    course = Course()
    course.checks = ChecksInForce.of(checks)
    for number, past in enumerate(pasts, start=1):
        if past.status == "failed":
            course.fails(number, code=past.code, message=None)
        elif past.status == "completed":
            course.completes(number, sent=past.sent, rejected=past.rejected)
    return course.told


@example(
    [Past("completed"), Past("failed", "E1"), *[Past("skipped")] * 7, Past("failed", "E1"), Past("completed")],
    only(failing=Failing(runs=2, of=2)),
    ["nothing"],
)
@given(
    st.lists(PASTS, max_size=12),
    RULES,
    st.lists(st.sampled_from(["nothing", "nothing", "poll", "restart", "restart and poll"]), min_size=1, max_size=7),
)
@settings(
    max_examples=50,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes longer than a test may
    derandomize=True,
    database=None,
    deadline=None,
    # The database and the server are shared by all examples on purpose: each has syncs of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.slow
@pytest.mark.asyncio
async def test_incidents_are_the_same_however_often_a_history_is_polled(
    scene: Scene, pasts: list[Past], checks: Checks, gaps: list[str]
) -> None:
    expected = foreseen(pasts, checks)
    assert await played(scene, pasts, checks, ["poll"]) == expected
    assert await played(scene, pasts, checks, gaps) == expected
    assert await played(scene, pasts, checks, ["nothing"]) == expected
