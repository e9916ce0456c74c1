"""Row 11: a long time with many syncs, of which now and then something fails. Nothing grows, nothing is missing."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from faults.database import look, must_be_sound
from faults.place import a_workplace, must_stop_well
from faults.row import Figures, Row, Size, must, say
from notifier.simulator import Body, Reset, SimulatorThread, Status
from tests.acceptance.workplace import Workplace

INSIDE = Path(__file__).parents[1] / "inside"
CHANGES_A_SECOND = 2
MOST_FILES = 100
"""16 connections to the API and 16 to the receiver, twice while they are renewed, and what it has open at rest."""
MOST_TASKS = 100
MOST_WAL = 16_000_000
"""SQLite begins a checkpoint at 4 MB; commits and readers meanwhile may carry it further."""
GROWTH = 1.05
"""Of memory, from the second third of the time to the last."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The worker at one moment: resident bytes, open files, tasks, bytes of the WAL."""

    memory: int
    files: int
    tasks: int
    wal: int


def soak(size: Size) -> Figures:
    """5,000 syncs for 30 minutes in the long form, 500 for half a minute in the short one."""
    syncs, seconds, interval = size.pick((500, 30, 5), (5_000, 1_800, 60))
    chance = size.chance()
    with a_workplace() as (workplace, simulator):
        database = workplace.directory / "n.db"
        simulator.simulator.record_requests = False
        simulator.call(_populate, simulator, syncs)
        workplace.environment |= {"PYTHONPATH": str(INSIDE), "FAULTS_TASKS": str(workplace.directory / "tasks")}
        workplace.write_watchlist(poll_interval=f"{interval}s", limits="max_requests_per_second: 400")
        workplace.start()
        marked = "SELECT count(*) FROM syncs WHERE marked"
        workplace.wait_until(lambda: database.exists() and _baseline(database, marked) == syncs, timeout=120)
        asked = simulator.request_count
        runs, failures, samples = _go_through(workplace, simulator, chance, seconds, syncs / interval)
        asked = simulator.request_count - asked
        workplace.wait_until(
            lambda: look(database, "SELECT count(*) FROM deliveries WHERE state = 'delivered'") == [(len(runs),)],
            timeout=interval * 2 + 60,
        )
        told = [run for (run,) in look(database, "SELECT CAST(run_id AS INTEGER) FROM events ORDER BY 1")]
        must(told == sorted(runs), f"events tell of {len(told)} runs, not of the {len(runs)} that there were")
        came = {webhook.headers["webhook-id"] for webhook in simulator.sink.accepted}
        must(len(came) == len(runs), f"{len(came)} messages came, not {len(runs)}")
        must_stop_well(workplace)
        must_be_sound(database)
    return {
        "syncs": syncs,
        "seconds": seconds,
        "requests to the API": asked,
        "faults": failures,
        "changes": len(runs),
        "delivered": len(came),
        **_must_be_bounded(samples),
    }


def _populate(simulator: SimulatorThread, syncs: int) -> None:
    for _ in range(syncs):
        simulator.simulator.add_run(simulator.simulator.add_sync()["id"], status="completed")


def _baseline(database: Path, marked: str) -> int:
    """How many syncs have theirs; the first tables may not be there yet."""
    tables = look(database, "SELECT name FROM sqlite_master WHERE name = 'syncs'")
    return int(look(database, marked)[0][0]) if tables else 0


def _go_through(
    workplace: Workplace, simulator: SimulatorThread, chance: random.Random, seconds: float, requests_a_second: float
) -> tuple[list[int], int, list[Sample]]:
    """Second by second: changes, faults of one request in a hundred, and a look at the worker."""
    must(workplace.worker is not None, "there is no worker")
    process = psutil.Process(workplace.worker.pid) if workplace.worker is not None else psutil.Process()
    ids = [sync["id"] for sync in simulator.call(simulator.simulator.syncs)]
    runs: list[int] = []
    samples: list[Sample] = []
    failures = 0.0
    began = time.monotonic()
    for second in range(int(seconds)):
        time.sleep(max(began + second - time.monotonic(), 0))
        runs += (
            simulator.add_run(chance.choice(ids), status=chance.choice(("completed", "failed")))["id"]
            for _ in range(CHANGES_A_SECOND)
        )
        due = failures + requests_a_second / 100
        while failures + 1 <= due:
            simulator.fault(chance.choice((Status(500), Status(503), Reset(), Body(b"<html>"), Body(b"[]"))), times=1)
            failures += 1
        if chance.random() < CHANGES_A_SECOND / 100:
            chance.choice((lambda: simulator.sink.answer(500, times=1), lambda: simulator.sink.drop(times=1)))()
        failures = due
        must(process.is_running() and process.status() != psutil.STATUS_ZOMBIE, "the worker has ended")
        samples.append(_sample(workplace, process))
        if second % 300 == 299:
            say(f"{second + 1} s: {len(runs)} changes, {len(simulator.sink.received)} webhooks, {samples[-1]}")
    return runs, int(failures), samples


def _sample(workplace: Workplace, process: psutil.Process) -> Sample:
    wal = workplace.directory / "n.db-wal"
    return Sample(
        memory=process.memory_info().rss,
        files=process.num_fds(),
        tasks=int((workplace.directory / "tasks").read_text()),
        wal=wal.stat().st_size if wal.exists() else 0,
    )


def _must_be_bounded(samples: list[Sample]) -> Figures:
    third = len(samples) // 3
    before = max(sample.memory for sample in samples[third : 2 * third])
    after = max(sample.memory for sample in samples[2 * third :])
    files, tasks, wal = (max(getattr(sample, of) for sample in samples) for of in ("files", "tasks", "wal"))
    figures = {
        "memory, second third and last": f"{before / 1e6:.1f} MB, {after / 1e6:.1f} MB",
        "files, most": files,
        "tasks, most": tasks,
        "WAL, most": f"{wal / 1e6:.1f} MB",
    }
    holds = after <= before * GROWTH and files <= MOST_FILES and tasks <= MOST_TASKS and wal <= MOST_WAL
    must(holds, f"something grows: {figures}")
    return figures


ROW = Row(
    number=11,
    title="a soak: syncs that are polled, of which one request in a hundred fails, for a long time",
    criterion=(
        f"each change is delivered; memory grows by less than {GROWTH - 1:.0%} from the second third to the last; "
        f"never more than {MOST_FILES} files, {MOST_TASKS} tasks and {MOST_WAL // 1_000_000} MB of WAL"
    ),
    run=soak,
    limits=(900, 2400),
)
