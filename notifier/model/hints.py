"""How far a workspace's list of syncs is trusted to announce what becomes of them."""

from enum import StrEnum


class Hints(StrEnum):
    """What the list of syncs is worth as a hint."""

    LEARNING = "learning"
    """Who is announced is polled at once, and everybody else as often as if there were no hints."""
    TRUSTED = "trusted"
    """It announced the last changes, all of them: it is read often, and syncs at rest are polled seldom."""
    OFF = "off"
    """By the watchlist."""
