"""Where a watchlist has its database, and the names of its receivers: all that most looks into the database need.

It takes none of the watchlist's models, whose making takes longer than such a look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from notifier.model.errors import WatchlistError
from notifier.watchlist.database import DEFAULT_DATABASE, DatabasePlace, database_place, database_url
from notifier.watchlist.reading.compose import compose
from notifier.watchlist.reading.interpolation import Resolver
from notifier.watchlist.reading.nodes import START, Entry, MappingNode, ScalarNode
from notifier.watchlist.reading.text import read_text

_BY_ENVIRONMENT: Final = f"database: ${{NOTIFIER_DATABASE:-{DEFAULT_DATABASE}}}"


@dataclass(frozen=True, slots=True)
class Place:
    """`lacks` says why the names of `receivers` are not known; None where they are."""

    database: DatabasePlace
    receivers: tuple[str, ...] = ()
    lacks: str | None = None


def read_place(path: Path, env: Mapping[str, str]) -> Place:
    """As much as can be read; the rest of the watchlist may be as wrong as it likes. Raises WatchlistError."""
    file = str(path)
    try:
        root, problems = compose(read_text(path, file), file)
        if not problems:
            return Place(database_of(Resolver(env, file).mapping(root)), names_of_receivers(root))
    except (WatchlistError, ValueError):
        pass
    # Something stands in the way: what it is, and whether it matters, the models know.
    from notifier.watchlist.reading.outline import read_outline

    outline = read_outline(path, env)
    return Place(outline.database, outline.receivers, outline.lacks)


def database_of(data: Mapping[str, object]) -> DatabasePlace:
    """The database of a watchlist's data. Raises ValueError where it names none."""
    url = data.get("database", DEFAULT_DATABASE)
    if not isinstance(url, str):
        raise ValueError("must be text")  # noqa: TRY004 - as all that is wrong with a value
    return database_place(database_url(url))


def names_of_receivers(root: MappingNode) -> tuple[str, ...]:
    """The names of the receivers, in their order."""
    receivers = root.entries["receivers"].value if "receivers" in root.entries else None
    return tuple(receivers.entries) if isinstance(receivers, MappingNode) else ()


def default_database(env: Mapping[str, str]) -> DatabasePlace | None:
    """Where the database is by the environment alone."""
    return database_of_line(_BY_ENVIRONMENT, env)


def database_of_line(line: str, env: Mapping[str, str]) -> DatabasePlace | None:
    """The database by a line `database: …` alone; None where it says none."""
    try:
        root, _ = compose(line, "")
        return database_of(Resolver(env, "").mapping(root))
    except (WatchlistError, ValueError):
        return None


def place_of(value: str, env: Mapping[str, str]) -> DatabasePlace:
    """The database by what could stand behind `database:` in a watchlist. Raises ValueError, which shows no secret."""
    resolver = Resolver(env, "")
    entry = Entry(START, ScalarNode(START, value, plain=False))
    data = resolver.mapping(MappingNode(START, {"database": entry}))
    if resolver.problems:
        raise ValueError(resolver.problems[0].message)
    return database_of(data)
