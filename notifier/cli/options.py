"""Options that several commands share, and the watchlist that they name."""

import os
from pathlib import Path
from typing import Annotated

import typer

from notifier.config.load import load_watchlist
from notifier.config.models import Watchlist

Config = Annotated[
    Path,
    typer.Option("--config", "-c", metavar="FILE", envvar="NOTIFIER_CONFIG", help="The watchlist.", show_default=True),
]
DEFAULT_CONFIG = Path("watchlist.yaml")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a pipe.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="At most so many; 50 otherwise, and all of them with --json."),
]


def load(config: Path) -> Watchlist:
    """Reads the watchlist with the process' environment. Raises WatchlistError."""
    return load_watchlist(config, os.environ)
