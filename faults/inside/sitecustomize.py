"""Python imports this at its start where PYTHONPATH leads here: a command that dies at a statement of its SQL.

FAULTS_NOTE gets each statement before it runs, a line each; before the FAULTS_DIE_AT-th (0: none) the process dies.
"""

import os
import signal
from pathlib import Path
from sqlite3 import Connection

from sqlalchemy import Engine, event

NOTE = Path(os.environ["FAULTS_NOTE"])
DIE_AT = int(os.environ["FAULTS_DIE_AT"])
statements: list[str] = []


def about_to_run(statement: str) -> None:
    """SQLite's trace of one connection; the count is of all."""
    statements.append(" ".join(statement.split()))
    NOTE.write_text("\n".join(statements))
    if len(statements) == DIE_AT:
        os.kill(os.getpid(), signal.SIGKILL)


@event.listens_for(Engine, "connect")
def trace(connection: Connection, _record: object) -> None:
    """Every connection of the command."""
    connection.set_trace_callback(about_to_run)
