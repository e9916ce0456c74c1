"""Which database a watchlist may name. Apart from the other values: who only looks into the database needs no more."""

from pathlib import Path
from typing import Final

from notifier.watchlist.scalars import CONTROL

DEFAULT_DATABASE: Final = "sqlite:///notifier.db"
_PREFIX: Final = "sqlite:///"


def database_url(value: str) -> str:
    """The same, where it names a file of SQLite. Raises ValueError with what it must be."""
    path = value.removeprefix(_PREFIX)
    if not value.startswith(_PREFIX):
        raise ValueError("must start with sqlite:///, as in sqlite:///notifier.db; no other database is supported")
    if not path.strip("/") or path.endswith("/") or path == ":memory:" or path.startswith("file:"):
        raise ValueError("must name a file, for example sqlite:///notifier.db")
    if CONTROL.search(path) or "?" in path:
        raise ValueError("must be sqlite:/// and a file's path, without options")
    return value


def database_path(url: str) -> Path:
    """The file behind `sqlite:///relative` or `sqlite:////absolute`."""
    return Path(url.removeprefix(_PREFIX))
