"""Python imports this at its start where PYTHONPATH leads here: what can't be seen, or done, from outside.

FAULTS_NOTE gets each statement of the command's SQL before it runs, a line each; before the FAULTS_DIE_AT-th (0: none)
the process dies. FAULTS_TASKS gets the number of asyncio tasks, once a second.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Sized
from pathlib import Path
from sqlite3 import Connection

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
if "FAULTS_TASKS" in os.environ:
    threading.Thread(target=count_tasks, args=(Path(os.environ["FAULTS_TASKS"]),), daemon=True).start()
