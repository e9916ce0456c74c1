"""What a person at the terminal is told of a database on a server: warnings, and a replica that is missing."""

import json
import signal

import psycopg
import pytest

from tests.acceptance.workplace import Workplace


@pytest.fixture
def served(workplace: Workplace, postgres_url: str) -> Workplace:
    """The workplace, with an empty database of a server's."""
    workplace.database = "${DATABASE_URL}"
    workplace.environment |= {"DATABASE_URL": postgres_url, "NOTIFIER_REPLICA": "worker-1"}
    workplace.write_watchlist()
    return workplace


@pytest.mark.slow
def test_what_migrate_warns_of_is_on_standard_error_and_the_rest_is_one_sentence(served: Workplace) -> None:
    ended = served.run("migrate")
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[1:] == []
    assert "brought to the newest schema" in ended.stdout
    assert "fsync = off" in ended.stderr


ANOTHER = (
    "INSERT INTO replicas (id, name, pid, version, revision, watchlist, joined_at, seen_at) "
    "VALUES ('other', 'other', 1, '0', '0012', 'another', 1, 1)"
)
"""Who goes by another watchlist, and is taken for alive as long as a lease lasts."""


@pytest.mark.slow
def test_where_no_replica_is_none_is_shown_and_health_says_whose_is_missing(served: Workplace) -> None:
    served.run("migrate")
    assert "Replicas" not in served.run("status").stdout
    ended = served.run("status", "--healthy")
    assert ended.returncode == 1
    assert "no replica there is named worker-1" in ended.stderr


@pytest.mark.slow
def test_a_replica_stands_by_while_another_watchlist_is_in_force_and_says_so(served: Workplace) -> None:
    works = "parts of the work are this worker's"
    served.start()
    served.wait_for_log(works)
    with psycopg.connect(served.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(ANOTHER)
        connection.execute("UPDATE in_force SET watchlist = 'another'")
        served.wait_for_log(
            "another watchlist was loaded after this worker's, which stands by until its own is the same"
        )
        served.wait_until(
            lambda: connection.execute("SELECT owner FROM parts WHERE owner IS NOT NULL").fetchone() is None
        )
        connection.execute("UPDATE replicas SET beats = beats + 1 WHERE id = 'other'")
    mine, other = json.loads(served.run("status", "--json").stdout)["replicas"][::-1]
    assert (mine["parts"], mine["standing_by"]) == ([], "other watchlist")
    assert other["standing_by"] is None
    assert "stands by: other watchlist" in served.run("status").stdout
    served.wait_for_log("nobody goes by the watchlist that was loaded last any more; the work goes on by this worker's")
    served.wait_for_log(works, times=2)
    (taken,) = (line for line in served.logged() if line["event"] == "another worker is silent; its place is taken")
    assert (taken["replica"], taken["silent_replica"]) == ("worker-1", "other")
    served.write_watchlist(receivers=served.hooks("hook", "second"))
    served.wait_for_log(works, times=3)
    (replica,) = json.loads(served.run("status", "--json").stdout)["replicas"]
    assert replica["standing_by"] is None
    assert {line["replica"] for line in served.logged()} == {"worker-1"}
    assert served.stop() == 0


@pytest.mark.slow
def test_who_stands_by_puts_its_own_watchlist_in_force_again_upon_sighup(served: Workplace) -> None:
    """Though nothing of it has changed: somebody brought another one by mistake."""
    works = "parts of the work are this worker's"
    served.start()
    served.wait_for_log(works)
    with psycopg.connect(served.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(ANOTHER)
        connection.execute("UPDATE in_force SET watchlist = 'another'")
    served.wait_for_log("another watchlist was loaded after this worker's, which stands by until its own is the same")
    assert served.worker is not None
    served.worker.send_signal(signal.SIGHUP)
    served.wait_for_log(works, times=2)
    assert served.stop() == 0


@pytest.mark.slow
@pytest.mark.installed
@pytest.mark.parametrize("by_file", [False, True], ids=["by its name", "by a file"])
def test_a_worker_is_healthy_though_its_watchlist_is_gone_or_names_another_database(
    served: Workplace, by_file: bool
) -> None:
    if by_file:
        url = served.environment.pop("DATABASE_URL")
        (served.directory / "url").write_text(f"{url}\n")
        served.environment["DATABASE_URL_FILE"] = str(served.directory / "url")
    served.start()
    served.wait_for_log("parts of the work are this worker's")
    watchlist = served.directory / "watchlist.yaml"
    watchlist.write_text(watchlist.read_text().replace("${DATABASE_URL}", "sqlite:///another.db"))
    assert served.run("status", "--healthy").returncode == 0
    watchlist.unlink()
    assert served.run("status", "--healthy").returncode == 0
    assert served.stop() == 0
    assert served.run("status", "--healthy").returncode == 2
