"""What happens to the database's file while the worker runs."""

import json
import resource
import subprocess

from notifier.simulator import SimulatorThread

from .conftest import COMMAND, Workplace


def limit_files(workplace: Workplace, size: int) -> None:
    """Lets the worker write no file beyond `size` bytes (-1: any): what a full disk does, without a disk to fill."""
    assert workplace.worker is not None
    _, hard = resource.prlimit(workplace.worker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(workplace.worker.pid, resource.RLIMIT_FSIZE, (size, hard))


def test_a_full_disk_does_not_end_the_worker_and_hides_nothing(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    for sync_id in range(50, 60):
        simulator.add_sync(id=sync_id)
    workplace.start()
    workplace.wait_for_baseline(*range(50, 60))
    size = max(path.stat().st_size for path in workplace.directory.glob("n.db*"))
    limit_files(workplace, size + 4096)
    for sync_id in range(50, 60):
        for _ in range(20):
            simulator.add_run(sync_id, status="failed", error_detail="x" * 5000)
    workplace.wait_until(lambda: "database can't be written" in workplace.log.read_text())
    sent_while_full = len(simulator.sink.received)
    assert sent_while_full < 200
    assert workplace.worker is not None
    assert workplace.worker.poll() is None
    limit_files(workplace, -1)
    received = simulator.sink.wait_for(200, timeout=40)
    assert workplace.stop() == 0
    assert len({webhook.headers["webhook-id"] for webhook in received}) == 200
    runs = [json.loads(webhook.body)["data"]["sync_run"]["id"] for webhook in received]
    assert len(set(runs)) == 200
    sentences = [line["event"] for line in workplace.logged()]
    assert sentences.count("database can be written again") >= 1
    assert "Traceback" not in workplace.log.read_text()


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
