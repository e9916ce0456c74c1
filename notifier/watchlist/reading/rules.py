"""Rules about more than one value: names that must exist, keys that exclude each other.

They look at the raw data, which may be wrong in every other way, so that all mistakes are reported at once.
"""

from collections.abc import Iterator, Mapping
from typing import TypeGuard

from notifier.watchlist.models import Watch, Workspace
from notifier.watchlist.reading.nodes import Path
from notifier.watchlist.reading.wording import Mistake, Quotes, closest

Data = Mapping[str, object]


def mistakes(data: Data, quotes: Quotes) -> Iterator[Mistake]:
    """All that is wrong across values."""
    yield from _workspaces(data)
    for path, watch in _mappings(data, "watches"):
        yield from _selector(watch, path)
        yield from _workspace_of(watch, path, data, quotes)
    for path, route in _mappings(data, "routes"):
        for key in ("workspaces", "receivers"):
            yield from _names(route, path, key, data, quotes)


def _workspaces(data: Data) -> Iterator[Mistake]:
    for name, workspace in _named(data, "workspaces").items():
        if _is_mapping(workspace) and {"region", "base_url"} <= workspace.keys():
            path = ("workspaces", name, "base_url")
            yield Mistake(path, "base_url is given instead of region; remove one of them", at_key=True)
        if _is_mapping(workspace):
            yield from _keys_of(workspace, ("workspaces", name))


def _keys_of(workspace: Data, path: Path) -> Iterator[Mistake]:
    """What the API is asked with."""
    if "token" in workspace:
        return
    if "group" in workspace:
        message = "group is of version 2 of the API; give a token, or remove it: an API key is that of its workspace"
        yield Mistake((*path, "group"), message, at_key=True)
    elif "api_key" not in workspace and not any(
        closest(key, Workspace.KEYS) for key in workspace.keys() - Workspace.model_fields.keys()
    ):
        yield Mistake(path, "has neither token nor api_key; give a token, which docs/v2.md says how to make")


def _selector(watch: Data, path: Path) -> Iterator[Mistake]:
    given = [key for key in Watch.SELECTORS if key in watch]
    if len(given) > 1:
        yield Mistake(path, f"has {' and '.join(given)}; make them watches of their own")
    if not given and not any(closest(key, Watch.SELECTORS) for key in watch.keys() - Watch.model_fields.keys()):
        yield Mistake(path, "says nothing to watch; give sync, syncs or sync_run")
    if watch.get("syncs") == {}:
        yield Mistake((*path, "syncs"), "is empty; give label or exclude_label, or say all")
    if given == ["sync_run"] and "checks" in watch:
        message = (
            "checks are about the runs of a sync, and this watch follows one run; give them to a watch of its sync"
        )
        yield Mistake((*path, "checks"), message, at_key=True)


def _workspace_of(watch: Data, path: Path, data: Data, quotes: Quotes) -> Iterator[Mistake]:
    workspaces = _named(data, "workspaces")
    path = (*path, "workspace")
    if "workspace" in watch:
        yield from _dangling(watch["workspace"], path, "workspace", workspaces, quotes)
    elif len(workspaces) > 1 and not any(closest(key, ["workspace"]) for key in watch.keys() - Watch.model_fields):
        names = ", ".join(f'"{name}"' for name in workspaces)
        yield Mistake(path, f"is missing; there are several workspaces: {names}")


def _names(route: Data, path: Path, key: str, data: Data, quotes: Quotes) -> Iterator[Mistake]:
    names = route.get(key)
    if isinstance(names, tuple):
        for index, name in enumerate(names):
            yield from _dangling(name, (*path, key, index), key.removesuffix("s"), _named(data, key), quotes)


def _dangling(name: object, path: Path, kind: str, known: Data, quotes: Quotes) -> Iterator[Mistake]:
    """Only where some are known: an absent or empty mapping of them is a mistake of its own."""
    if isinstance(name, str) and name and known and name not in known:
        yield Mistake(path, quotes.unknown(kind, name, known))


def _named(data: Data, key: str) -> Data:
    named = data.get(key)
    return named if _is_mapping(named) else {}


def _mappings(data: Data, key: str) -> Iterator[tuple[Path, Data]]:
    items = data.get(key)
    if isinstance(items, tuple):
        for index, item in enumerate(items):
            if _is_mapping(item):
                yield (key, index), item


def _is_mapping(value: object) -> TypeGuard[Data]:
    return isinstance(value, dict)
