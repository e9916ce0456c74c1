"""Row 4: the disk is full, and the database is not what and where it was, or not the worker's alone."""

import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

from faults.account import AT_ONCE
from faults.bad_files import must_refuse_all
from faults.database import look, must_be_sound
from faults.mounts import SmallDisk, leave_the_others_mounts
from faults.place import a_workplace, must_stop_well
from faults.row import Figures, Row, Size, must, say
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace

SYNCS = tuple(range(50, 60))
MEGABYTE = 1_000_000
HOLD = 15  # seconds for which the receiver asks to be left alone, in which the disk gets full
COMMANDS = (("run",), ("run", "--once"))
SETTLED = "SELECT count(*) FROM deliveries WHERE state = 'delivered'"
EVENTS = "SELECT count(*) FROM events"
CANT_WRITE = "database can't be written; nothing is lost, trying again"
CAN_AGAIN = "database can be written again"


def disk(size: Size) -> Figures:
    """Each case has a workplace of its own."""
    leave_the_others_mounts()
    figures: dict[str, object] = {}
    for case in CASES:
        name = case.__name__.replace("_", " ")
        figures[name] = case(size)
        say(f"{name}: {figures[name]}")
    return figures


def fail_runs(simulator: SimulatorThread, each: int, detail: int = 5000) -> list[int]:
    """Failed runs of every sync, with long errors; their IDs."""
    return [
        simulator.add_run(sync, status="failed", error_code="BROKE", error_detail="x" * detail)["id"]
        for _ in range(each)
        for sync in SYNCS
    ]


def must_be_told_once(workplace: Workplace, simulator: SimulatorThread, runs: list[int]) -> None:
    """In the end, of each run there is one message, whole, and nothing else."""
    database = workplace.directory / "n.db"
    workplace.wait_until(lambda: look(database, SETTLED) == [(len(runs),)], timeout=240)
    ids = Counter(webhook.headers["webhook-id"] for webhook in simulator.sink.accepted)
    told = look(database, "SELECT CAST(run_id AS INTEGER) FROM events")
    must(sorted(told) == [(run,) for run in sorted(runs)], f"events tell of {len(told)} runs, not of {len(runs)}")
    must(set(ids.values()) == {1} and len(ids) == len(runs), f"{len(ids)} messages came, some again: {ids}")
    must(look(database, "PRAGMA integrity_check") == [("ok",)], "the database is not sound")


def must_be_alive(workplace: Workplace) -> None:
    must(workplace.worker is not None and workplace.worker.poll() is None, "the worker has ended")


def must_end(workplace: Workplace, code: int, reason: str) -> None:
    """The worker ends by itself, and its log says why."""
    ended = None if workplace.worker is None else workplace.worker.wait(timeout=30)
    said = workplace.log.read_text()
    must(ended == code and reason in said, f"exit code {ended}, and the log says: {said[-2000:]}")
    workplace.worker = None


# --- cases ---


@contextmanager
def on_a_small_disk(size: int) -> Iterator[tuple[Workplace, SimulatorThread, SmallDisk]]:
    """A workplace whose database has a disk to itself; n.db leads there."""
    with a_workplace() as (workplace, simulator):
        small = SmallDisk(workplace.directory / "disk", size)
        (workplace.directory / "n.db").symlink_to(small.place / "n.db")
        try:
            yield workplace, simulator, small
        finally:
            if workplace.worker is not None:
                workplace.kill()
            small.detach()


def a_full_disk(size: Size) -> str:
    """Full while runs are recorded and messages wait, freed; full while messages are under way, freed; full, killed,
    started, freed."""
    each = size.pick(8, 40)
    with on_a_small_disk(16 * MEGABYTE) as (workplace, simulator, small):
        workplace.start_watching(*SYNCS)
        simulator.sink.answer(503, times=1, headers={"Retry-After": str(HOLD)})
        runs = [simulator.add_run(SYNCS[0], status="failed")["id"]]
        workplace.wait_for_log("delivery failed; it is tried again")
        (refused,) = simulator.sink.received
        small.fill(leave=64_000)
        runs += fail_runs(simulator, each)
        workplace.wait_for_log(CANT_WRITE)
        must(time.monotonic() < refused.at + HOLD, "the disk was full too late to tell what is sent meanwhile")
        workplace.wait_until(lambda: time.monotonic() > refused.at + HOLD)
        asked = simulator.request_count
        workplace.wait_until(lambda: simulator.request_count > asked + 3 * len(SYNCS))
        while_full = len(simulator.sink.received) - 1
        # A write that failed leaves its pages in the WAL, and a smaller one may find room in them: the worker says so,
        # and sends. What it sends then has its outcome kept, but for one message a sync that the next full write
        # overtakes.
        kept = len(SYNCS) if CAN_AGAIN in workplace.log.read_text() else 0
        kept += look(workplace.directory / "n.db", SETTLED)[0][0]
        must(while_full <= kept, f"{while_full} were sent while no outcome could be kept, but of {kept}")
        must_be_alive(workplace)
        workplace.json("status")
        small.free()
        workplace.wait_for_log(CAN_AGAIN)
        must_be_told_once(workplace, simulator, runs)

        must_stop_well(workplace)
        workplace.start()  # with a new WAL: the old one may have room for much
        workplace.wait_for_log("notifier started", times=2)
        failures = workplace.log.read_text().count(CANT_WRITE)
        answers = simulator.sink.hang()
        runs += fail_runs(simulator, 4, detail=10)
        workplace.wait_until(lambda: look(workplace.directory / "n.db", EVENTS) == [(len(runs),)])
        small.fill(leave=0)
        answers.clear()
        workplace.wait_for_log(CANT_WRITE, times=failures + 1)
        asked = simulator.request_count
        workplace.wait_until(lambda: simulator.request_count > asked + 3 * len(SYNCS))  # it goes on, for three polls
        under_way = len(simulator.sink.received) - look(workplace.directory / "n.db", SETTLED)[0][0]
        must(under_way <= AT_ONCE, f"{under_way} were under way whose outcome could not be kept")
        small.free()
        must_be_told_once(workplace, simulator, runs)

        failures = workplace.log.read_text().count(CANT_WRITE)
        small.fill(leave=16_000)
        runs += fail_runs(simulator, 2)
        workplace.wait_for_log(CANT_WRITE, times=failures + 1)
        workplace.kill()
        ended = _start_that_may_end(workplace)
        small.free()
        if ended is not None:
            workplace.start()
        must_be_told_once(workplace, simulator, runs)
        must_stop_well(workplace)
    outcome = "goes on" if ended is None else f"exit code {ended} with a reason"
    return (
        f"{len(runs)} events, {while_full} came while the disk was full, {under_way} were under way when it became so; "
        f"a start on the full disk: {outcome}"
    )


def _start_that_may_end(workplace: Workplace) -> int | None:
    """A start that works, or ends with code 1 and a sentence; which."""
    asked = workplace.simulator.request_count
    workplace.start()
    end = time.monotonic() + 20
    while time.monotonic() < end and workplace.worker is not None:
        if workplace.worker.poll() is not None:
            must_end(workplace, 1, "the disk is full")
            return 1
        if workplace.simulator.request_count > asked + len(SYNCS):
            return None
        time.sleep(0.05)
    raise AssertionError(f"a start on a full disk does neither: {workplace.log.read_text()[-2000:]}")


def a_full_disk_at_first(size: Size) -> str:
    """No database yet, and room for none, or for a part of it."""
    with on_a_small_disk(16 * MEGABYTE) as (workplace, simulator, small):
        simulator.add_sync(id=SYNCS[0])
        rooms = size.pick((0, 20_000), (0, 5_000, 20_000, 60_000, 120_000, 300_000))
        for room in rooms:
            for left in small.place.glob("n.db*"):
                left.unlink()
            small.fill(leave=room)
            ended = workplace.run("run", "--once")
            must(ended.returncode == 1 and "the disk is full" in ended.stderr, f"with {room} bytes: {ended}")
            small.free()
            again = workplace.run("run", "--once")
            must(again.returncode == 0, f"freed, after {room} bytes: {again}")
    return f"refused with room for {', '.join(map(str, rooms))} bytes, made when it was freed"


def a_read_only_disk(size: Size) -> str:
    """The file system takes no writes at the start; then it does."""
    with on_a_small_disk(16 * MEGABYTE) as (workplace, simulator, small):
        workplace.start_watching(*SYNCS)
        must_stop_well(workplace)
        runs = fail_runs(simulator, 1)
        small.set_read_only(True)
        for command in (("run",), ("run", "--once"), ("migrate",)):
            ended = workplace.run(*command)
            must(ended.returncode == 1 and ended.stderr.count("\n") == 1, f"{command}: {ended}")
        said = ended.stderr.strip()
        small.set_read_only(False)
        workplace.start()
        must_be_told_once(workplace, simulator, runs)
        must_stop_well(workplace)
    return f"refused ({said.rpartition(': ')[2]}), then {len(runs)} events"


def deleted_or_replaced(size: Size) -> str:
    """While it runs: SQLite would go on writing to a file that nobody sees."""
    for replaced in (False, True):
        with a_workplace() as (workplace, simulator):
            database = workplace.directory / "n.db"
            workplace.start_watching(*SYNCS)
            must_stop_well(workplace)
            shutil.copyfile(database, workplace.directory / "backup.db")
            workplace.start()
            workplace.wait_for_log("notifier started", times=2)
            if replaced:
                (workplace.directory / "backup.db").replace(database)
            else:
                database.unlink()
            must_end(workplace, 1, "n.db was deleted or replaced while the worker ran")
            if not replaced:
                said = workplace.run("run", "--once").stderr if database.with_name("n.db-wal").exists() else None
                must(said is None or "restore both, or remove n.db-wal" in said, f"deleted: the next start says {said}")
                continue
            runs = fail_runs(simulator, 1)
            must_be_sound(database)
            workplace.start()
            must_be_told_once(workplace, simulator, runs)
            must_stop_well(workplace)
    return "exit code 1 with the reason; the backup in its place is sound, and the next worker goes on with it"


def spoilt_meanwhile(size: Size) -> str:
    """Noise is written over all of the file but its first page, under the worker."""
    with a_workplace() as (workplace, simulator):
        workplace.start_watching(*SYNCS)
        database = workplace.directory / "n.db"
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (database.stat().st_size - 4096))
        fail_runs(simulator, 1)
        must_end(workplace, 1, "the file is damaged; restore a backup")
        must(not simulator.sink.received, "something was sent that could not be recorded")
    return "exit code 1 with the reason"


def two_workers(size: Size) -> str:
    """On the same file, by another name too; the first does not notice. The next may when the first was killed."""
    with a_workplace() as (workplace, simulator):
        workplace.start_watching(*SYNCS)
        first = workplace.worker
        (workplace.directory / "alias.db").symlink_to("n.db")
        watchlist = workplace.directory / "watchlist.yaml"
        original = watchlist.read_text()
        for name in ("n.db", "alias.db"):
            watchlist.write_text(original.replace("n.db", name))
            for command in COMMANDS:
                ended = workplace.run(*command)
                named = first is not None and str(first.pid) in ended.stderr
                must(ended.returncode == 1 and named, f"a second worker on {name}: {ended}")
        watchlist.write_text(original)
        runs = fail_runs(simulator, 1)
        must_be_told_once(workplace, simulator, runs)
        workplace.kill()
        runs += fail_runs(simulator, 1)
        workplace.start()
        must_be_told_once(workplace, simulator, runs)
        must_stop_well(workplace)
    return f"the second is refused and names the first; {len(runs)} events"


def a_held_lock(size: Size) -> str:
    """Another process holds the write lock, longer than SQLite waits."""
    seconds = size.pick(6, 30)
    with a_workplace() as (workplace, simulator):
        workplace.start_watching(*SYNCS)
        with closing(sqlite3.connect(workplace.directory / "n.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            released = time.monotonic() + seconds
            runs = fail_runs(simulator, 2)
            workplace.wait_for_log(CANT_WRITE)
            time.sleep(max(released - time.monotonic(), 0))
            must_be_alive(workplace)
            must(not simulator.sink.received, "something was sent that could not be recorded")
            other.execute("ROLLBACK")
        must_be_told_once(workplace, simulator, runs)
        must_stop_well(workplace)
    return f"{seconds} s, then {len(runs)} events"


def spoilt_files(size: Size) -> str:
    with a_workplace() as (workplace, simulator):
        simulator.add_sync(id=SYNCS[0])
        return f"refused and left as they were: {must_refuse_all(workplace, size.pick(COMMANDS[:1], COMMANDS))}"


CASES = (
    a_full_disk,
    a_full_disk_at_first,
    a_read_only_disk,
    deleted_or_replaced,
    spoilt_meanwhile,
    two_workers,
    a_held_lock,
    spoilt_files,
)
ROW = Row(
    number=4,
    title="the disk is full, or read-only; the database is gone, replaced, spoilt, newer, held, or another worker's",
    criterion=(
        "what passes is waited for, by a worker that lives and sends nothing that it can't record; what does not pass "
        "ends it, or its start, with exit code 1 and the reason, the file as it was; in the end each run is told once"
    ),
    run=disk,
    limits=(900, 1200),
)
