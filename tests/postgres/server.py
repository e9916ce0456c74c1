"""A PostgreSQL server of one's own, or one that the processes of a test session share."""

import fcntl
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from tests.postgres.programs import REMEDY, programs

KEEPER: Final = Path(__file__).with_name("keeper.py")
ROLE: Final = "notifier"  # may do in its databases what it likes, and nothing else
EMPTY: Final = "template0"
_LEFT: Final[list[subprocess.Popen[bytes]]] = []
"""Keepers that we started and others still hold: they end by themselves."""


class _Hold:
    """One's hold on a keeper: the server is there until this is closed."""

    def __init__(self, connection: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self._process = process
        self.facts = self._heard()

    def ask(self, words: str) -> None:
        self._connection.sendall(words.encode() + b"\n")
        self._heard()

    def _heard(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise ConnectionError("the keeper has gone")
        said: dict[str, Any] = json.loads(line)
        if said.get("wrong"):
            self.close()
            raise RuntimeError(said["wrong"])
        return said

    def close(self) -> None:
        """Returns when the server has gone, unless others hold it too."""
        self._connection.shutdown(socket.SHUT_WR)
        kept = self._answers.read()
        self._answers.close()
        self._connection.close()
        if self._process is not None:
            if kept:
                _LEFT.append(self._process)
            else:
                self._process.wait()


def _begun(settings: Mapping[str, str]) -> _Hold:
    place = programs()
    if place is None:
        raise RuntimeError(REMEDY)
    ours, theirs = socket.socketpair()
    words = [f"{name}={value}" for name, value in settings.items()]
    with theirs:  # a session of its own: what ends us by a key or with our group is to end it in order
        command = [sys.executable, "-I", str(KEEPER), str(place), *words]
        nowhere = subprocess.DEVNULL  # not ours: whoever reads what we say would wait for its end too
        process = subprocess.Popen(
            command, stdin=theirs.fileno(), stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    return _Hold(ours, process)


class Postgres:
    """A server that is up, seen from outside."""

    def __init__(self, hold: _Hold) -> None:
        self._hold = hold
        self._connection: psycopg.Connection | None = None
        self.host = "127.0.0.1"
        self.port = int(hold.facts["port"])
        self.directory = Path(hold.facts["directory"])
        self.password: str = hold.facts["password"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()
        self._hold.close()

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return int((self.directory / "data/postmaster.pid").read_text().split()[0])

    def url(self, database: str, *ports: int) -> str:
        """Of a database, for the role that owns it; at other ports where something stands in between, or several
        servers are one's."""
        hosts = ",".join(f"{self.host}:{port}" for port in ports or (self.port,))
        return f"postgresql://{ROLE}:{quote(self.password, safe='')}@{hosts}/{database}"

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of the superuser's, that commits each statement."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=database,
            user="postgres",
            password=self._hold.facts["admin_password"],
            autocommit=True,
        )

    def _do(self, statement: str, *names: str, values: Mapping[str, str] | None = None) -> int:
        """The names stand for {}, values for {NAME}. Returns the number of rows."""
        if self._connection is None or self._connection.closed:
            self._connection = self.admin()
        words = {name: Literal(value) for name, value in (values or {}).items()}
        query = SQL(statement).format(*map(Identifier, names), **words)
        return self._connection.execute(query).rowcount

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def make_role(self) -> None:
        """Once, before anything else."""
        self._do("CREATE ROLE {} LOGIN PASSWORD {password}", ROLE, values={"password": self.password})

    def create(self, template: str = EMPTY) -> str:
        """The URL of a new database. Nobody may be connected to the template."""
        name = f"test_{secrets.token_hex(6)}"
        self._do("CREATE DATABASE {} OWNER {} TEMPLATE {}", name, ROLE, template)
        return self.url(name)

    def drop(self, url: str) -> None:
        """Whoever is connected to it."""
        self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", name_of(url))

    @contextmanager
    def database(self, template: str = EMPTY) -> Iterator[str]:
        """The URL of a database that is there for the block."""
        url = self.create(template)
        try:
            yield url
        finally:
            self.drop(url)

    def template(self, name: str, make: Callable[[str], object]) -> str:
        """The name of a database to make others from: made by `make`, given its URL, by whoever wants it first."""
        turn = Literal(f"template {name}")
        with self.admin() as connection:
            connection.execute(SQL("SELECT pg_advisory_lock(hashtext({}))").format(turn))
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount:
                url = self.create()
                make(url)
                rename = SQL("ALTER DATABASE {} RENAME TO {}")
                connection.execute(rename.format(Identifier(name_of(url)), Identifier(name)))
        return name

    def terminate_backends(self, url: str) -> int:
        """Ends all connections to a database, as an administrator may; how many there were."""
        statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {database}"
        return self._do(statement, values={"database": name_of(url)})


class OwnPostgres(Postgres):
    """One that nobody else has: it can be stopped. Its port and what is in it stay."""

    def stop(self, mode: str = "fast") -> None:
        """`smart` waits for all who are connected, `fast` rolls back, `immediate` as a crash; `kill` is SIGKILL."""
        self._forget()
        self._hold.ask(f"stop {mode}")

    def start(self) -> None:
        """It takes connections when this returns."""
        self._hold.ask("start")

    def restart(self, mode: str = "fast") -> None:
        """Stop and start."""
        self.stop(mode)
        self.start()

    def follow(self, primary: Postgres, port: int) -> None:
        """Becomes a standby of that one, which it reaches at that port: with all that it has, also its passwords."""
        self._forget()
        self.password, password = primary.password, primary._hold.facts["admin_password"]
        self._hold.ask(f"follow host={primary.host} port={port} user=postgres password={password}")
        self._hold.facts["admin_password"] = password

    def promote(self) -> None:
        """It takes writes when this returns."""
        with self.admin() as connection:
            connection.execute("SELECT pg_promote()")


def name_of(url: str) -> str:
    """The database's name."""
    return urlsplit(url).path.removeprefix("/")


@contextmanager
def own_server(settings: Mapping[str, str] | None = None) -> Iterator[OwnPostgres]:
    """A server for the block, and as long as this process lives. RuntimeError says what to install."""
    with OwnPostgres(_begun(settings or {})) as server:
        server.make_role()
        yield server


@contextmanager
def shared_server(place: Path) -> Iterator[Postgres]:
    """The server of all processes that name this directory: the first starts it, it ends when the last lets go."""
    told = place / "postgres.door"
    with (place / "postgres.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = _joined(told)
        if server is None:
            server = Postgres(_begun({}))
            server.make_role()
            told.write_text(server._hold.facts["door"])
    with server:
        yield server


def _joined(told: Path) -> Postgres | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(told.read_text())
        return Postgres(_Hold(connection))
    except (FileNotFoundError, ConnectionError):  # nobody had one, or it is on its way out
        connection.close()
        return None
