"""Two PostgreSQL servers: one that works, and a standby that follows it; whichever is which."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psycopg

from faults.line import Line
from faults.row import must
from tests.postgres.server import OwnPostgres

PATIENCE: Final = 60.0
STATE: Final = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
HAS_READ_ALL: Final = "SELECT pg_last_wal_replay_lsn() IS NOT DISTINCT FROM pg_last_wal_receive_lsn()"
ON_ITS_WAY: Final = 0.3
"""Seconds in which what a server that died had sent has arrived."""


class Pair:
    """`lines` lead to each of the two, in the order of the servers, for the other one to follow it by."""

    def __init__(self, servers: tuple[OwnPostgres, OwnPostgres], lines: tuple[Line, Line]) -> None:
        self.primary, self.standby = servers
        self._lines = dict(zip(servers, lines, strict=True))

    @property
    def line(self) -> Line:
        """By which the standby follows."""
        return self._lines[self.primary]

    def follow(self, *, synchronous: bool) -> None:
        """Makes the one that does not work a standby of the other; returns when it has all that there is."""
        self.line.mend(lost=True)
        wanted = "sync" if synchronous else "async"
        with self.primary.admin() as connection:
            _wait_for(connection, "")  # the standby gets a copy of the settings too, and has none when it is promoted
            self.standby.follow(self.primary, self.line.port)
            _wait_for(connection, "*" if synchronous else "")
            end = time.monotonic() + PATIENCE
            while (states := connection.execute(STATE.encode()).fetchall()) != [(wanted,)]:
                must(time.monotonic() < end, f"the standby does not follow as {wanted}: {states}")
                time.sleep(0.05)

    def freeze(self) -> None:
        """Stops all processes of the one that works: it says nothing more, and its connections stay."""
        processes = [self.primary.pid]
        os.kill(self.primary.pid, signal.SIGSTOP)  # first: it makes no more of them
        processes += _children(self.primary.pid)
        for process in processes[1:]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)

    def shoot(self, server: OwnPostgres) -> None:
        """Ends one whose processes are frozen: its connections end with it."""
        processes = _children(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        server.stop("kill")

    def wait_until_all_is_read(self) -> None:
        """Until the standby shows all that has come to it, when the other one can send nothing more."""
        time.sleep(ON_ITS_WAY)
        with self.standby.admin() as connection:
            end = time.monotonic() + PATIENCE
            while connection.execute(HAS_READ_ALL.encode()).fetchone() != (True,):
                must(time.monotonic() < end, "the standby does not come to the end of what was sent to it")
                time.sleep(0.02)

    def promote(self) -> None:
        """The standby is the one that works from now on."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait_for(connection: psycopg.Connection, standbys: str) -> None:
    """From now on each commit waits for these."""
    connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'".encode())
    connection.execute("SELECT pg_reload_conf()")
