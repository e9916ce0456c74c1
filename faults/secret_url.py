"""The password of a PostgreSQL URL, by all ways of saying it, in all kinds of trouble; and all that is said of it."""

import socketserver
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from psycopg.sql import SQL, Identifier, Literal

from faults.canaries import Canaries
from faults.crew import a_server
from faults.line import Line
from faults.place import a_workplace
from faults.protocol import MAY_WE_ENCRYPT
from faults.row import Size, fail, must
from faults.seen import must_stop, running
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace
from tests.postgres.server import ROLE, OwnPostgres, name_of

PATHS: Final = ("/", "/healthz", "/readyz", "/metrics", "/api/status", "/api/syncs", "/api/deliveries", "/nowhere")
AT_WORK: Final = ("status --json", "check", "migrate", "run --once")
AT_WORK_TOO: Final = (
    *("status", "status --healthy", "check --online", "events", "deliveries", "incidents", "syncs", "send-test hook"),
    *("deliveries retry 1", "migrate --from sqlite:///no.db"),
)
IN_TROUBLE: Final = ("status --json", "check", "migrate", "run")
IN_TROUBLE_TOO: Final = ("status", "check --online", "run --once", "events", "syncs", "send-test hook")
MOMENT: Final = 2.0
PASSWORD: Final = "DATABASE_PASSWORD"
WRONG: Final = "WRONG_PASSWORD"


class _Echo(socketserver.BaseRequestHandler):
    """A server that asks for the password, and refuses it by its text."""

    def handle(self) -> None:
        while self._read(4)[:4] and int.from_bytes(self._said[4:8]) in MAY_WE_ENCRYPT:
            self.request.sendall(b"N")
        self.request.sendall(b"R" + (8).to_bytes(4) + (3).to_bytes(4))  # in clear text, please
        password = self._read(5)[5:].rstrip(b"\0")
        said = b"SFATAL\0C28P01\0Mpassword authentication failed: " + password + b"\0D" + password + b"\0\0"
        self.request.sendall(b"E" + (4 + len(said)).to_bytes(4) + said)

    def _read(self, head: int) -> bytes:
        """A message whose length is in the last four bytes of its head."""
        self._said = self._exactly(head)
        if len(self._said) == head:
            self._said += self._exactly(int.from_bytes(self._said[-4:]) - 4)
        return self._said

    def _exactly(self, size: int) -> bytes:
        read = b""
        while len(read) < size and (more := self.request.recv(size - len(read))):
            read += more
        return read


@contextmanager
def _an_echo() -> Iterator[int]:
    """Its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


def of_a_server(canaries: Canaries, size: Size) -> dict[str, bytes]:
    """All that was said, by what said it."""
    with (
        a_server() as server,
        Line(server.port) as line,
        a_workplace() as (workplace, simulator),
        _an_echo() as echo,
        tempfile.TemporaryDirectory(prefix="faults.") as secrets,
    ):
        _set_password(server, canaries.environment[PASSWORD])
        with server.admin() as connection:
            connection.execute("ALTER SYSTEM SET log_statement = 'all'")
            connection.execute("ALTER SYSTEM SET log_line_prefix = '%a %d %u '")
            connection.execute("SELECT pg_reload_conf()")
        trial = _Trial(workplace, simulator, server, line, canaries, size, Path(secrets), server.create())
        trial.run(echo)
        return trial.seen


def _set_password(server: OwnPostgres, password: str) -> None:
    """Of the notifier's role; and what the URLs say."""
    with server.admin() as connection:
        connection.execute("SET log_statement = 'none'")
        connection.execute(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(ROLE), Literal(password)))
    server.password = password


@dataclass(slots=True)
class _Trial:
    """A worker whose database is a server, by a line."""

    workplace: Workplace
    simulator: SimulatorThread
    server: OwnPostgres
    line: Line
    canaries: Canaries
    size: Size
    secrets: Path
    """For files that hold them."""
    url: str
    seen: dict[str, bytes] = field(default_factory=dict)

    def run(self, echo: int) -> None:
        database = name_of(self.url)
        environment = self.workplace.environment | {"SERVER_TOKEN": self.canaries.plain["SERVER_TOKEN"]}
        environment["DATABASE_URL"] = self.server.url(database, self.line.port)
        self.workplace.environment, self.workplace.database = environment, "${DATABASE_URL}"
        self.workplace.write_watchlist(rest="server: {listen: '127.0.0.1:0', token: '${SERVER_TOKEN}'}")
        self._work()
        for trouble in (self._broken, self._refused, self._away):
            trouble()
            self._must_tell()
        self.seen["arguments"] = Path(f"/proc/{running(self.workplace).pid}/cmdline").read_bytes()
        must_stop(self.workplace)
        self._by_a_file()
        self._wrong_urls(database, echo)
        self._moved()
        for path in self.workplace.directory.rglob("*"):
            if path.is_file() and path.name != "watchlist.yaml":
                self.seen[f"with a server: {path.name}"] = path.read_bytes()
        self.seen["the server's log"] = (self.server.directory / "log").read_bytes()
        must(b"census-notifier" in self.seen["the server's log"], "the server has logged nothing of the notifier")

    # --- a worker ---

    def _work(self) -> None:
        self.simulator.add_sync(id=1)
        self.workplace.start("--log-level", "debug")
        self._wait(lambda: [r.path for r in self.simulator.requests].count("/syncs/1/sync_runs") >= 2, "a baseline")
        self._must_tell()
        self._look("at work", AT_WORK, AT_WORK_TOO)
        with self.server.admin() as connection:
            rows = connection.execute("SELECT pg_stat_activity::text FROM pg_stat_activity").fetchall()
        self.seen["pg_stat_activity"] = str(rows).encode()
        must("census-notifier" in str(rows), "no connection is the notifier's")

    def _broken(self) -> None:
        """Connections end, the line is cut, the server crashes."""
        self.line.close()
        self.line.cut()
        time.sleep(MOMENT)
        self._ask("cut", self.size.pick(PATHS[:4], PATHS))
        self.line.mend(lost=True)
        self.server.restart("immediate")

    def _refused(self) -> None:
        """The password is another one now."""
        right = self.server.password
        _set_password(self.server, "another")
        self.server.terminate_backends(self.url)
        self._look("refused", IN_TROUBLE, IN_TROUBLE_TOO)
        must(b"authentication failed" in self.workplace.log.read_bytes(), "the worker was not refused")
        _set_password(self.server, right)

    def _away(self) -> None:
        """There is no server."""
        self.server.stop()
        self._look("away", IN_TROUBLE[:2], ())
        time.sleep(MOMENT)
        self.server.start()

    def _must_tell(self) -> None:
        """The worker works: a change is told."""
        told = len(self.simulator.sink.accepted)
        self.simulator.add_run(1, status="completed")
        self._wait(lambda: len(self.simulator.sink.accepted) > told, "a message")

    def _wait(self, true: Callable[[], object], what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                fail(f"{what}: not in {seconds:g} s\n{self.workplace.log.read_text()[-3000:]}")
            time.sleep(0.1)

    # --- what is said ---

    def _look(self, when: str, commands: Sequence[str], in_the_long_form: Sequence[str]) -> None:
        self._ask(when)
        for command in (*commands, *self.size.pick((), in_the_long_form)):
            self._command(command, when)

    def _ask(self, when: str, paths: Sequence[str] = PATHS) -> None:
        """Each page; what fails is a page too."""
        started = [line for line in self.workplace.logged() if line["event"] == "notifier started"]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for path in paths:
            request = urllib.request.Request(f"http://{started[-1]['listen']}{path}")
            request.add_header("Authorization", f"Bearer {self.canaries.plain['SERVER_TOKEN']}")
            try:
                with opener.open(request, timeout=30) as answer:
                    said = answer.read()
            except urllib.error.HTTPError as error:
                said = error.read()
            self.seen[f"{when}: {path}"] = said

    def _command(self, command: str, when: str, environment: Mapping[str, str] | None = None) -> None:
        workplace = copy(self.workplace)
        workplace.environment = {**self.workplace.environment, **(environment or {})}
        ended = workplace.run(*command.split(), timeout=90)
        self.seen[f"{when}: {command.split('://')[0]}"] = (ended.stdout + ended.stderr).encode()

    # --- ways of saying it ---

    def _by_a_file(self) -> None:
        right, wrong = self.secrets / "right", self.secrets / "wrong"
        right.write_text(self.workplace.environment.pop("DATABASE_URL") + "\n")
        wrong.write_text(self._with(self.canaries.environment[WRONG]) + "\n")
        for path in (right, wrong):
            for command in IN_TROUBLE[:3]:
                self._command(command, f"by a file that is {path.name}", {"DATABASE_URL_FILE": str(path)})
        must(b"authentication failed" in self.seen["by a file that is wrong: migrate"], "the file was not read")

    def _with(self, password: str) -> str:
        """The URL with another password."""
        right, self.server.password = self.server.password, password
        url = self.server.url(name_of(self.url))
        self.server.password = right
        return url

    def _wrong_urls(self, database: str, echo: int) -> None:
        """Each for the watchlist's database, and for the one that is moved from."""
        password = self.canaries.environment[PASSWORD]
        wrong = {
            "a wrong password": self._with(self.canaries.environment[WRONG]),
            "a server that says it": self.server.url(database, echo),
            "no such database": self.server.url("nowhere"),
            "not escaped": f"postgresql://{ROLE}:{password}@127.0.0.1:{self.server.port}/{database}",
            "an option": f"postgresql://{ROLE}@127.0.0.1:{echo}/{database}?password={self.canaries.plain[PASSWORD]}",
            "an unknown option": f"{self.url}&pass={self.canaries.plain[PASSWORD]}".replace("&", "?"),
            "no server": self.server.url(database, 1),  # last: half a minute is waited for it
        }
        for name in list(wrong)[: self.size.pick(4, None)]:
            places = {"DATABASE_URL": wrong[name], "OLD_URL": wrong[name]}
            commands = [*IN_TROUBLE, *self.size.pick((), IN_TROUBLE_TOO)]
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(partial(self._command, when=name, environment=places), commands))
            for source in ("${OLD_URL}", wrong[name]):
                self._command(f"migrate --from {source}", name, places | {"DATABASE_URL": self.url})
        must(b"authentication failed" in self.seen["a wrong password: migrate"], "the server took a wrong password")
        must(b"failed" in self.seen["a server that says it: migrate"], "nobody said it")

    def _moved(self) -> None:
        """Into a file, which holds what the server held."""
        self.workplace.database = "sqlite:///moved.db"
        self.workplace.write_watchlist()
        self._command("migrate --from ${OLD_URL}", "moved", {"OLD_URL": self.url})
        must(b"holds all of that now" in self.seen["moved: migrate --from ${OLD_URL}"], "nothing was moved")
