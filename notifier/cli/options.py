"""Options that several commands share, and the watchlist that they name."""

import os
from pathlib import Path
from typing import Annotated

import typer

from notifier.config.load import load_watchlist
from notifier.config.models import Watchlist

Config = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="NOTIFIER_CONFIG", help="The watchlist.", show_default=True),
]
DEFAULT_CONFIG = Path("watchlist.yaml")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a pipe.")]


def load(config: Path) -> Watchlist:
    """Reads the watchlist with the process' environment. Raises WatchlistError."""
    return load_watchlist(config, os.environ)
