"""Python imports this at its start where PYTHONPATH leads here: what can't be seen, or done, from outside.

FAULTS_NOTE gets each statement of the command's SQL before it runs, a line each; before the FAULTS_DIE_AT-th (0: none)
the process dies. FAULTS_STEPS gets what a command does by the drivers of databases and to names of files, in the same
way; before the FAULTS_STOP_AT-th step the process stops. FAULTS_TASKS gets the number of asyncio tasks, once a second.
FAULTS_MIGRATIONS is where the migrations are: of a program that is newer than this one.
"""

import asyncio
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sized
from functools import wraps
from pathlib import Path
from sqlite3 import Connection, connect
from typing import Any

from sqlalchemy import Engine, event


def note_statements(note: Path, die_at: int) -> None:
    """The count is of all connections together."""
    statements: list[str] = []

    def about_to_run(statement: str) -> None:
        statements.append(" ".join(statement.split()))
        note.write_text("\n".join(statements))
        if len(statements) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(Engine, "connect")
    def trace(connection: Connection, _record: object) -> None:
        connection.set_trace_callback(about_to_run)


def note_steps(note: Path, die_at: int, stop_at: int) -> None:
    """Each statement of any connection, each row that goes to a server, each end of a transaction, each renaming."""
    import psycopg

    steps: list[str] = []

    def about_to(step: str) -> None:
        steps.append(" ".join(step.split())[:100])
        note.write_text("\n".join(steps))
        if len(steps) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(steps) == stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)

    def heard(event: str, given: tuple[Any, ...]) -> None:
        if event == "os.rename":
            about_to("rename")

    def connected(*given: Any, **named: Any) -> Connection:
        connection: Connection = connect(*given, **named)
        connection.set_trace_callback(about_to)
        return connection

    def noted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def noting(*given: Any, **named: Any) -> Any:
            about_to(f"{name} {given[1] if name == 'execute' else ''}")
            return method(*given, **named)

        return noting

    sys.addaudithook(heard)
    vars(sqlite3)["connect"] = connected  # before anybody has taken it from there
    for kind, names in (
        (psycopg.Cursor, ("execute", "copy")),
        (psycopg.ServerCursor, ("execute",)),
        (psycopg.Copy, ("write_row",)),
        (psycopg.Connection, ("commit", "rollback")),
    ):
        for name in names:
            setattr(kind, name, noted(name, getattr(kind, name)))


def be_newer(migrations: Path) -> None:
    """Before anybody has taken from these modules what they say."""
    import notifier
    from notifier.store.sql import revision

    vars(notifier)["__version__"] = "999.0.0"
    vars(revision)["scripts_directory"] = lambda: migrations


def count_tasks(note: Path) -> None:
    """For ever, in a thread."""
    known: Sized = vars(asyncio.tasks)["_all_tasks"]  # of every loop; asyncio.all_tasks() knows one, from inside
    draft = note.with_suffix(".draft")
    while True:
        draft.write_text(str(len(known)))
        draft.replace(note)
        time.sleep(1)


if "FAULTS_NOTE" in os.environ:
    note_statements(Path(os.environ["FAULTS_NOTE"]), int(os.environ["FAULTS_DIE_AT"]))
if "FAULTS_STEPS" in os.environ:
    note_steps(
        Path(os.environ["FAULTS_STEPS"]),
        int(os.environ.get("FAULTS_DIE_AT", "0")),
        int(os.environ.get("FAULTS_STOP_AT", "0")),
    )
if "FAULTS_MIGRATIONS" in os.environ:
    be_newer(Path(os.environ["FAULTS_MIGRATIONS"]))
if "FAULTS_TASKS" in os.environ:
    threading.Thread(target=count_tasks, args=(Path(os.environ["FAULTS_TASKS"]),), daemon=True).start()
