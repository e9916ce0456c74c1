"""The PostgreSQL server of the tests: what they rely on."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.postgres.keeper import is_ready
from tests.postgres.programs import PLACE, REMEDY
from tests.postgres.server import OwnPostgres, Postgres, own_server

ROOT = Path(__file__).parents[3]
HOLDS = """
import sys
from pathlib import Path
from tests.postgres.server import own_server, shared_server
with shared_server(Path(sys.argv[1])) if sys.argv[1:] else own_server() as server:
    print(server.directory, server.pid, server.create(), flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a server."""

    process: "subprocess.Popen[str]"
    directory: Path
    server: int
    url: str

    @property
    def keeper(self) -> int:
        return int(psutil.Process(self.server).ppid())

    def let_go(self) -> None:
        self.process.communicate("")


@contextmanager
def holder(*arguments: str) -> Iterator[Holder]:
    """One of the server of its own, or of the directory's."""
    command = [sys.executable, "-c", HOLDS, *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        directory, server, url = process.stdout.readline().split()
        yield Holder(process, Path(directory), int(server), url)
        process.kill()


@contextmanager
def must_end(*pids: int) -> Iterator[None]:
    """By what the block does these processes end. Not asked by their numbers: nobody may reap them."""
    handles = [os.pidfd_open(pid) for pid in pids]
    try:
        yield
        for handle in handles:
            ended, _, _ = select.select([handle], [], [], 60)
            assert ended
    finally:
        for handle in handles:
            os.close(handle)


def is_up(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        return [name for (name,) in found.fetchall()]


def make_table(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE ours (word text)")


def test_a_database_is_empty_and_gone_afterwards_whoever_is_connected(postgres_server: Postgres) -> None:
    with postgres_server.database() as url:
        assert tables(url) == []
        make_table(url)
        left = psycopg.connect(url)
    assert not is_up(url)
    left.close()
    with postgres_server.database() as another:
        assert tables(another) == []


def test_each_asker_has_a_database_of_its_own(postgres_url: str, postgres_server: Postgres) -> None:
    with postgres_server.database() as other:
        make_table(other)
        assert (tables(postgres_url), tables(other)) == ([], ["ours"])


def test_a_template_is_made_once_and_databases_have_what_is_in_it(
    postgres_server: Postgres, database_from: Callable[[str], str]
) -> None:
    made: list[str] = []

    def make(url: str) -> None:
        made.append(url)
        make_table(url)

    names = {postgres_server.template(f"with_a_table_{os.getpid()}", make) for _ in range(2)}
    (name,) = names
    first, second = database_from(name), database_from(name)
    assert first != second
    assert (tables(first), tables(second), len(made)) == (["ours"], ["ours"], 1)


def test_without_the_password_nobody_gets_in_and_it_has_to_be_escaped(postgres_url: str) -> None:
    address = postgres_url.partition("@")[2]
    for stranger in ("notifier", "notifier:another", "postgres", "postgres:postgres"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://{stranger}@{address}")
    with psycopg.connect(postgres_url) as connection:
        password = connection.info.password
    assert password not in postgres_url
    assert set("@/%:") <= set(password)


def test_the_role_may_do_what_it_likes_in_its_database_alone(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        owner = connection.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()")
        assert (role, owner.fetchone()) == ((False, False, False, False), ("notifier",))


def test_the_server_is_nobody_privileged(postgres_server: Postgres) -> None:
    assert psutil.Process(postgres_server.pid).uids().effective == (
        os.geteuid() or postgres_server.directory.stat().st_uid
    )
    assert psutil.Process(postgres_server.pid).uids().effective != 0


def test_what_is_committed_is_acknowledged_as_by_a_real_server(postgres_url: str) -> None:
    """But for the disk's part."""
    with psycopg.connect(postgres_url) as connection:
        names = ("fsync", "synchronous_commit", "max_connections")
        assert [connection.execute(f"SHOW {name}").fetchone() for name in names] == [("off",), ("on",), ("200",)]
        words = connection.execute("SELECT w FROM (VALUES ('b'), ('B'), ('a'), ('_a')) AS v(w) ORDER BY w").fetchall()
    assert [word for (word,) in words] == ["_a", "a", "b", "B"], "an order of words, not of bytes"


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_a_server_of_ones_own_can_be_stopped_and_keeps_what_was_committed(own_postgres: OwnPostgres, mode: str) -> None:
    url = own_postgres.create()
    make_table(url)
    with must_end(own_postgres.pid):
        own_postgres.stop(mode)
    assert not is_up(url)
    own_postgres.start()
    assert tables(url) == ["ours"]
    own_postgres.drop(url)


def test_backends_end_as_by_an_administrator_and_only_that_database_s(postgres_server: Postgres) -> None:
    with (
        postgres_server.database() as url,
        postgres_server.database() as other,
        psycopg.connect(other) as spared,
        psycopg.connect(url) as connection,
    ):
        assert postgres_server.terminate_backends(url) == 1
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("SELECT 1")
        spared.execute("SELECT 1")


@pytest.mark.postgresql
def test_a_server_that_can_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="no_such_setting"), own_server({"no_such_setting": "1"}):
        raise AssertionError


def test_a_server_that_writes_its_file_just_now_is_not_ready_yet(tmp_path: Path) -> None:
    file = tmp_path / "postmaster.pid"
    whole = "7\n/data\n1700000000\n5432\n\n127.0.0.1\n 1 2\nready   \n"
    assert not is_ready(file, 7)
    for length in range(len(whole) - 4):
        file.write_text(whole[:length])
        assert not is_ready(file, 7)
    file.write_text(whole)
    assert is_ready(file, 7)
    assert not is_ready(file, 8), "another server's, which was killed"


def test_without_the_programs_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLACE, str(tmp_path))
    with pytest.raises(RuntimeError, match=REMEDY[:20]), own_server():
        raise AssertionError


@pytest.mark.postgresql
@pytest.mark.slow
@pytest.mark.parametrize("whom", ["holder", "its group", "keeper"])
def test_the_server_ends_with_its_owner_also_with_one_that_is_killed(whom: str) -> None:
    with holder() as held:
        keeper = held.keeper
        with must_end(held.server, keeper):
            if whom == "its group":
                os.killpg(held.process.pid, signal.SIGKILL)
            else:
                os.kill(held.process.pid if whom == "holder" else keeper, signal.SIGKILL)
        assert not is_up(held.url)
        assert held.directory.exists() == (whom == "keeper")
    if whom == "keeper":
        subprocess.run(["rm", "-r", held.directory], check=True)


@pytest.mark.postgresql
@pytest.mark.slow
def test_processes_of_one_session_share_a_server_that_the_last_takes_away(tmp_path: Path) -> None:
    with holder(str(tmp_path)) as first, holder(str(tmp_path)) as second:
        assert (first.directory, first.server) == (second.directory, second.server)
        keeper = first.keeper
        first.let_go()
        assert is_up(second.url)
        with holder(str(tmp_path)) as third, must_end(first.server, keeper):
            second.process.kill()
            assert is_up(third.url)
            third.let_go()
        assert not first.directory.exists()
        with holder(str(tmp_path)) as late:  # a server that has gone is no hindrance
            assert late.directory != first.directory
            assert is_up(late.url)
            late.let_go()
