"""Whether the worker is healthy, and whether all is well: what probes, heartbeat and watchdog go by. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

SIGN_OF_LIFE_LASTS: Final = timedelta(minutes=3)  # the worker leaves one a minute; `status --healthy` waits as long
LONGEST_WRITE: Final = timedelta(seconds=30)  # one is begun every ten seconds at least; what takes longer hangs
MISSED_INTERVALS: Final = 3


@dataclass(frozen=True, slots=True)
class WorkspaceVitals:
    """`interval`: the longest that its API is left unasked on purpose. `answered_before`: how long ago a poll could be
    read; None where none has since the worker's start. `unlisted`: why its syncs can't be listed."""

    name: str
    interval: timedelta
    answered_before: timedelta | None
    unlisted: str | None = None


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a worker knows of itself at one moment.

    `database_works`: whether the last write succeeded. `written_before`: how long ago one did.
    """

    loops_alive: bool
    database_works: bool
    written_before: timedelta
    workspaces: tuple[WorkspaceVitals, ...]


def ailment(vitals: Vitals) -> str | None:
    """Why the worker is not healthy; None while every loop is alive and the database takes writes."""
    if not vitals.loops_alive:
        return "a loop of the worker has ended"
    if not vitals.database_works:
        return "the database takes no writes"
    if vitals.written_before > LONGEST_WRITE:
        return f"nothing was written to the database for {vitals.written_before.total_seconds():.0f} s"
    return None


def trouble(vitals: Vitals) -> str | None:
    """Why not all is well; None while the worker is healthy and each workspace was read within three intervals."""
    if (reason := ailment(vitals)) is not None:
        return reason
    for workspace in vitals.workspaces:
        if workspace.answered_before is None:
            return f"the workspace {workspace.name} was not read yet"
        if workspace.answered_before > MISSED_INTERVALS * workspace.interval:
            return f"the workspace {workspace.name} was not read for {workspace.answered_before.total_seconds():.0f} s"
        if workspace.unlisted is not None:
            return f"the workspace {workspace.name} can't be read: {workspace.unlisted}"
    return None
