"""The watchlist, all of it: for commands that do more than look into the database."""

import os
from pathlib import Path

from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import load_watchlist
from notifier.watchlist.reading.outline import Outline, read_outline


def load(config: Path) -> Watchlist:
    """Reads the watchlist with the process' environment. Raises WatchlistError."""
    return load_watchlist(config, os.environ)


def outline_of(config: Path) -> Outline:
    """What can be read of it. Raises WatchlistError."""
    return read_outline(config, os.environ)
