"""The parts of the work, of which each has one worker at a time: their names, as the database and people know them.

What must be one is in one part: a workspace with its request budget, its health and its incidents; all receivers that
are paced together; each other receiver; and what is done for the database as a whole.
"""

from typing import Final

UPKEEP: Final = "upkeep"
"""Retention, forgetting what the watchlist no longer names, and the heartbeat."""
EVERYTHING: Final = "everything"
"""What the only worker at a file of SQLite has, as people are told."""


def workspace_part(workspace: str) -> str:
    """The part that watches a workspace."""
    return f"workspace:{workspace}"


def workspace_of(part: str) -> str:
    """The workspace that such a part watches."""
    return part.partition(":")[2]


def kind_of(part: str) -> str:
    """`workspace`, `upkeep`, or a kind of receiver."""
    return part.partition(":")[0]
