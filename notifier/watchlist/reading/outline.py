"""As much of a watchlist as can be read, for those who only look into the database: where it is, and some names.

No secret is needed for that, nor a correct rest: an administrator's shell seldom has the secrets of the service, and a
wrong edit must not keep anybody from seeing how the worker fares, which goes on with what it had. Who needs no
workspaces asks place.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from notifier.model.errors import WatchlistError
from notifier.watchlist.database import DatabasePlace
from notifier.watchlist.models import Workspace
from notifier.watchlist.reading.compose import compose
from notifier.watchlist.reading.interpolation import Resolver
from notifier.watchlist.reading.load import load_watchlist
from notifier.watchlist.reading.place import database_of, database_of_line, names_of_receivers
from notifier.watchlist.reading.text import read_text

_ADDRESS: Final = "region", "base_url"


@dataclass(frozen=True, slots=True)
class Outline:
    """`lacks` says why the names of `receivers`, or some of `workspaces`, are not known; None where they are."""

    database: DatabasePlace
    receivers: tuple[str, ...] = ()
    workspaces: Mapping[str, Workspace] = field(default_factory=dict)
    lacks: str | None = None


def read_outline(path: Path, env: Mapping[str, str]) -> Outline:
    """As much as can be read. Raises WatchlistError where that can't tell the database."""
    try:
        watchlist = load_watchlist(path, env)
    except WatchlistError as error:
        problem = error
    else:
        return Outline(watchlist.database_place, tuple(watchlist.receivers), watchlist.workspaces)
    if wrong := tuple(each for each in problem.problems if each.path == "database"):
        raise WatchlistError(wrong)
    text, file = read_text(path, str(path), whole=False), str(path)
    try:
        root, _ = compose(text, file)
    except WatchlistError as not_yaml:
        found = re.search(r"^database[ \t]*:.*$", text, re.MULTILINE)
        database = database_of_line(found[0], env) if found is not None else None
        if database is None:
            raise
        return Outline(database, lacks=str(not_yaml))
    data = Resolver(env, file).mapping(root)
    workspaces, lacks = _workspaces(data.get("workspaces"), str(problem.problems[0]))
    return Outline(database_of(data), names_of_receivers(root), workspaces, lacks)


def _workspaces(given: object, problem: str) -> tuple[dict[str, Workspace], str | None]:
    """By their address alone, which links for people are made of."""
    workspaces: dict[str, Workspace] = {}
    if not isinstance(given, dict):
        return workspaces, problem
    for name, settings in given.items():
        address = {key: settings[key] for key in _ADDRESS if key in settings} if isinstance(settings, dict) else {}
        try:
            workspaces[name] = Workspace.model_validate({"token": "unread", **address})
        except ValidationError:
            continue
    return workspaces, None if len(workspaces) == len(given) else problem
