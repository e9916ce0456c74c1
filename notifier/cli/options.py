"""Options that several commands share, and the watchlist that they name."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from notifier.model.identity import NO_ID, Id, id_of
from notifier.watchlist.reading.place import Place, read_place

Config = Annotated[
    Path,
    typer.Option("--config", "-c", metavar="FILE", envvar="NOTIFIER_CONFIG", help="The watchlist.", show_default=True),
]
DEFAULT_CONFIG = Path("watchlist.yaml")
OURS_ALONE = 0o077
"""The umask: the database holds what went wrong with customers' records."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a pipe.")]


def _id(text: str) -> Id:
    identity = id_of(text)
    if identity is None:
        raise typer.BadParameter(NO_ID)
    return identity


SyncId = Annotated[Any, typer.Option("--sync", metavar="ID", parser=_id, help="Only of this sync.")]
"""An `Id`, or None; typer refuses unions."""
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="At most so many; 50 otherwise, and all of them with --json."),
]


def look_up(config: Path) -> Place:
    """What those who only look into the database need of the watchlist. Raises WatchlistError."""
    return read_place(config, os.environ)


def tell_what_lacks(lacks: str | None) -> None:
    """Says that not all is shown, for want of a watchlist that can be read."""
    if lacks is not None:
        first = lacks.splitlines()[0]
        typer.echo(f"notifier: this is what the database knows; the watchlist can't be read: {first}", err=True)
