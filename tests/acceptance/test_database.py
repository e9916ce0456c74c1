"""What happens to the database's file while the worker runs."""

import json
import resource
import subprocess

import pytest

from notifier.simulator import SimulatorThread

from .conftest import COMMAND, Workplace

pytestmark = pytest.mark.installed


def limit_files(workplace: Workplace, size: int) -> None:
    """Lets the worker write no file beyond `size` bytes (-1: any): what a full disk does, without a disk to fill."""
    assert workplace.worker is not None
    _, hard = resource.prlimit(workplace.worker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(workplace.worker.pid, resource.RLIMIT_FSIZE, (size, hard))


def test_a_full_disk_does_not_end_the_worker_and_hides_nothing_and_nothing_is_sent_meanwhile(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    syncs = range(50, 60)
    workplace.start_watching(*syncs)
    broken = simulator.sink.answer(410)
    simulator.add_run(50, status="failed")
    workplace.wait_for_log("receiver is broken; its messages wait and one is tried every 5 minutes")
    limit_files(workplace, (workplace.directory / "n.db-wal").stat().st_size)  # which is what grows
    for sync_id in syncs:
        for _ in range(20):
            simulator.add_run(sync_id, status="failed", error_detail="x" * 5000)
    workplace.wait_for_log("database can't be written; nothing is lost, trying again")
    broken.clear()
    workplace.run("deliveries", "retry", "--receiver", "hook")  # a process that may write
    asked = simulator.request_count
    workplace.wait_until(lambda: simulator.request_count > asked + 5 * len(syncs))  # it goes on, for five polls
    assert len(simulator.sink.received) == 1, "what came of it could not have been kept"
    limit_files(workplace, -1)
    received = simulator.sink.wait_for(202, timeout=40)
    assert workplace.stop() == 0
    assert len({webhook.headers["webhook-id"] for webhook in received}) == 201
    runs = [json.loads(webhook.body)["data"]["sync_run"]["id"] for webhook in received]
    assert len(set(runs)) == 201
    sentences = [line["event"] for line in workplace.logged()]
    assert sentences.count("database can be written again") >= 1


def test_a_disk_without_room_for_sqlites_index_is_called_full(workplace: Workplace) -> None:
    """SQLite calls that one an I/O error, SQLITE_IOERR_SHMSIZE: it can't extend the index of its WAL to 32 kB."""
    ended = subprocess.run(
        ["prlimit", "--fsize=20000", COMMAND, "migrate"],
        cwd=workplace.directory,
        env=workplace.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "notifier: n.db: the disk is full (SQLITE_IOERR_SHMSIZE)\n")
    assert workplace.run("migrate").returncode == 0


def test_a_database_that_is_deleted_under_it_ends_the_worker_with_a_reason(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52)
    workplace.start()
    workplace.wait_for_baseline(52)
    assert workplace.worker is not None
    (workplace.directory / "n.db").unlink()
    assert workplace.worker.wait(timeout=20) == 1
    assert "n.db was deleted or replaced while the worker ran" in workplace.log.read_text()
    assert "Traceback" not in workplace.log.read_text()
    workplace.worker = None
