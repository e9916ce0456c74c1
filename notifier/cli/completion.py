"""What the shell's completion offers as values of options. It never fails: it runs at every press of a key."""

from pathlib import Path

import typer

from notifier.cli.options import DEFAULT_CONFIG
from notifier.model.errors import WatchlistError
from notifier.model.event import EventType
from notifier.watchlist.reading.compose import compose
from notifier.watchlist.reading.nodes import MappingNode


def receivers(context: typer.Context) -> list[str]:
    """Names of the watchlist's receivers."""
    return _names(context, "receivers")


def workspaces(context: typer.Context) -> list[str]:
    """Names of the watchlist's workspaces."""
    return _names(context, "workspaces")


def event_types() -> list[str]:
    """All types that an event can have."""
    return [*EventType]


def _names(context: typer.Context, section: str) -> list[str]:
    """Read past the loader: a shell seldom has the secrets that a watchlist needs to be good."""
    path = Path(context.params.get("config") or DEFAULT_CONFIG)
    try:
        root, _ = compose(path.read_text(encoding="utf-8-sig"), str(path))
    except (WatchlistError, OSError, ValueError):
        return []
    entry = root.entries.get(section)
    return list(entry.value.entries) if entry is not None and isinstance(entry.value, MappingNode) else []
