"""`notifier migrate --from`, as it is used: from a file to a server and back, with a worker on each."""

import signal
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from notifier.simulator import SimulatorThread
from tests.integration.store.postgres.kit import holding, rows_at

from .conftest import Workplace
from .workplace import COMMAND

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

FILE = "sqlite:///n.db"
WAITS = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'snapshots'::regclass"


@pytest.fixture
def there(workplace: Workplace, postgres_url: str) -> Workplace:
    """The workplace, which has its database where DATABASE_URL says: a file at first."""
    workplace.database = "${DATABASE_URL}"
    workplace.environment |= {"DATABASE_URL": FILE, "OLD_DATABASE_URL": FILE, "NOTIFIER_REPLICA": "worker-1"}
    workplace.write_watchlist()
    return workplace


def told(simulator: SimulatorThread) -> Counter[str]:
    """How often each event was sent."""
    return Counter(webhook.headers["webhook-id"] for webhook in simulator.sink.received)


def fail_a_run(workplace: Workplace, simulator: SimulatorThread, events: int) -> None:
    simulator.add_run(52, status="failed", error_code="BROKE", error_message="it broke")
    workplace.wait_until(lambda: len(told(simulator)) == events)


def refused(workplace: Workplace, *words: str, code: int = 1) -> str:
    """One sentence, and no secret."""
    ended = workplace.run("migrate", *words)
    assert ended.returncode == code, ended.stderr
    assert "canary" not in ended.stdout + ended.stderr
    assert ended.stdout == ""
    return ended.stderr.strip()


def test_a_worker_goes_on_at_a_server_and_back_at_a_file_and_nothing_is_told_twice(
    there: Workplace, simulator: SimulatorThread, postgres_url: str, tmp_path: Path
) -> None:
    there.start_watching(52)
    fail_a_run(there, simulator, 1)
    there.environment["DATABASE_URL"] = postgres_url
    said = refused(there, "--from", FILE)
    assert "n.db is in use by the worker with PID" in said
    assert there.stop() == 0
    simulator.add_run(52, status="failed", error_code="BROKE", error_message="while nobody looked")

    ended = there.run("migrate", "--from", "${OLD_DATABASE_URL}")
    assert ended.returncode == 0, ended.stderr
    assert "canary" not in ended.stdout + ended.stderr
    assert "n.db is " in ended.stdout
    assert "1 events" in ended.stdout
    assert (there.directory / "n.db.moved").exists()
    assert not (there.directory / "n.db").exists()
    there.start()
    there.wait_until(lambda: len(told(simulator)) == 2)
    fail_a_run(there, simulator, 3)

    secret = tmp_path / "old-url"
    secret.write_text(f"{postgres_url}\n")
    del there.environment["OLD_DATABASE_URL"]
    there.environment |= {"OLD_DATABASE_URL_FILE": str(secret), "DATABASE_URL": "sqlite:///back.db"}
    assert "is in use by the replica worker-1; stop" in refused(there, "--from", "${OLD_DATABASE_URL}")
    assert there.stop() == 0
    ended = there.run("migrate", "--from", "${OLD_DATABASE_URL}")
    assert ended.returncode == 0, ended.stderr
    assert "canary" not in ended.stdout + ended.stderr
    assert "is as it was: drop that database, or give it another name" in ended.stdout
    assert len(rows_at(postgres_url, "SELECT FROM events")) == 3
    there.start()
    fail_a_run(there, simulator, 4)
    assert there.stop() == 0
    assert set(told(simulator).values()) == {1}
    with closing(sqlite3.connect(there.directory / "back.db")) as connection:
        assert connection.execute("SELECT count(*), max(id) FROM deliveries").fetchone() == (4, 4)


def test_a_worker_with_the_old_setting_tells_nothing_a_second_time(
    there: Workplace, simulator: SimulatorThread, postgres_url: str
) -> None:
    there.start_watching(52)
    fail_a_run(there, simulator, 1)
    assert there.stop() == 0
    there.environment["DATABASE_URL"] = postgres_url
    assert there.run("migrate", "--from", FILE).returncode == 0
    there.environment["DATABASE_URL"] = FILE
    for warned in (1, 0):  # when the new file is made, which is when it is new to people
        ended = there.run("run", "--once")
        assert ended.returncode == 0
        assert ended.stderr.count("where an earlier move left its database") == warned
    assert list(told(simulator).values()) == [1]


def test_a_mistake_in_the_command_is_told_in_a_sentence_without_its_secrets(there: Workplace) -> None:
    there.environment["ODD"] = "postgresql://notifier:canary@with@host/name"
    assert "NOWHERE is not set: set NOWHERE or NOWHERE_FILE" in " ".join(
        refused(there, "--from", "${NOWHERE}", code=2).replace("│", " ").split()
    )
    assert "in the user and the password write %40" in " ".join(
        refused(there, "--from", "${ODD}", code=2).replace("│", " ").split()
    )
    assert "must start with sqlite:///" in refused(there, "--from", "mysql://host/name", code=2)
    assert "it goes with --from" in refused(there, "--keep", code=2)
    assert "there is no database to move" in refused(there, "--from", "sqlite:///nowhere.db")


def test_a_file_that_is_kept_is_left_as_it_is(there: Workplace, postgres_url: str) -> None:
    there.migrated()
    there.environment["DATABASE_URL"] = postgres_url
    ended = there.run("migrate", "--from", FILE, "--keep")
    assert ended.returncode == 0, ended.stderr
    assert "n.db is as it was: remove it" in ended.stdout
    assert (there.directory / "n.db").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_move_that_is_interrupted_says_what_to_do(
    there: Workplace, postgres_url: str, number: signal.Signals
) -> None:
    there.start_watching(52)
    assert there.stop() == 0
    there.environment["DATABASE_URL"] = postgres_url
    assert there.run("migrate").returncode == 0
    with holding(postgres_url, "LOCK TABLE snapshots") as held:
        moving = subprocess.Popen(
            [COMMAND, "migrate", "--from", FILE],
            cwd=there.directory,
            env=there.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        there.wait_until(lambda: held.execute(WAITS).fetchall())
        moving.send_signal(number)
        _, said = moving.communicate(timeout=60)
    assert moving.returncode == 128 + number, said
    assert "notifier: interrupted; say the same once more" in said
    assert "Traceback" not in said
    assert there.run("migrate", "--from", FILE).returncode == 0
