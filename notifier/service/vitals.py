"""Whether the worker is healthy (for probes and the watchdog), and whether all is well (for the heartbeat). Pure."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

SIGN_OF_LIFE_LASTS: Final = timedelta(minutes=3)  # the worker leaves one a minute; `status --healthy` waits as long
LONGEST_WRITE: Final = timedelta(seconds=30)  # one is begun every ten seconds at least; what takes longer hangs
MISSED_INTERVALS: Final = 3


@dataclass(frozen=True, slots=True)
class WorkspaceVitals:
    """How well one workspace is read."""

    name: str
    interval: timedelta
    """The longest that its API is left unasked on purpose."""
    answered_before: timedelta | None
    """How long ago a poll could be read; None where none has been since the worker's start."""
    unlisted: str | None = None
    """Why its syncs can't be listed; None where they can."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a worker knows of itself at one moment."""

    loops_alive: bool
    database_works: bool
    """Whether the last write succeeded."""
    written_before: timedelta
    """How long ago a write succeeded."""
    workspaces: tuple[WorkspaceVitals, ...]
    nobodys: tuple[str, ...] = ()
    """Parts of the work that no worker has."""


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
    if vitals.nobodys:
        return f"no worker has {', '.join(vitals.nobodys)}"
    for workspace in vitals.workspaces:
        if workspace.answered_before is None:
            return f"the workspace {workspace.name} was not read yet"
        if workspace.answered_before > MISSED_INTERVALS * workspace.interval:
            return f"the workspace {workspace.name} was not read for {workspace.answered_before.total_seconds():.0f} s"
        if workspace.unlisted is not None:
            return f"the workspace {workspace.name} can't be read: {workspace.unlisted}"
    return None
