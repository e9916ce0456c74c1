"""Which syncs and runs the watchlist covers, and with which labels. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from notifier.model.identity import Id
from notifier.model.sync import Labels
from notifier.watchlist.models import SyncSelector, Watch


def watches_of(workspace: str, watches: Iterable[Watch]) -> tuple[Watch, ...]:
    """The watches of one workspace, in the watchlist's order."""
    return tuple(watch for watch in watches if watch.workspace == workspace)


def named_syncs(watches: Iterable[Watch]) -> set[Id]:
    """Syncs that are watched by their ID, whether or not a listing shows them."""
    return {watch.sync for watch in watches if watch.sync is not None}


def named_runs(watches: Iterable[Watch]) -> set[Id]:
    """Runs that are watched by their ID."""
    return {watch.sync_run for watch in watches if watch.sync_run is not None}


def covers(watch: Watch, sync_id: Id, label: str | None) -> bool:
    """Whether the watch is for this sync. A sync without a label has the label ""."""
    if watch.sync is not None:
        return watch.sync == sync_id
    if isinstance(watch.syncs, SyncSelector):
        return _selects(watch.syncs, label or "")
    return watch.syncs == "all"


def _selects(selector: SyncSelector, label: str) -> bool:
    wanted = not selector.label or any(fnmatchcase(label, pattern) for pattern in selector.label)
    return wanted and not any(fnmatchcase(label, pattern) for pattern in selector.exclude_label)


class Coverage:
    """The watches of a workspace, as a question about a sync. Those that name one are found by its ID: of thousands
    of watches, only the globs are tried for each of thousands of syncs."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches
        self._by_id: dict[Id, list[int]] = {}
        self._others: list[int] = []
        for place, watch in enumerate(watches):
            (self._others if watch.sync is None else self._by_id.setdefault(watch.sync, [])).append(place)

    def places(self, sync_id: Id, label: str | None) -> tuple[int, ...]:
        """The places of the watches that are for a sync."""
        found = [place for place in self._others if covers(self._watches[place], sync_id, label)]
        return tuple(sorted([*found, *self._by_id.get(sync_id, ())]))

    def labels_of(self, syncs: Mapping[Id, str | None]) -> dict[Id, Labels]:
        """Each covered sync with the merged labels of its watches, later ones winning. `syncs`: their own labels."""
        covered: dict[Id, Labels] = {}
        shared: dict[tuple[int, ...], dict[str, str]] = {}  # thousands of syncs have the labels of the same few watches
        for sync_id, label in syncs.items():
            found = self.places(sync_id, label)
            if found:
                if found not in shared:
                    shared[found] = _merged(self._watches[place] for place in found)
                covered[sync_id] = shared[found]
        return covered


def covered_syncs(watches: Sequence[Watch], labels_of_syncs: Mapping[Id, str | None]) -> dict[Id, Labels]:
    """As `Coverage.labels_of`, for who asks once."""
    return Coverage(watches).labels_of(labels_of_syncs)


def labels_of_run(watches: Sequence[Watch], sync_id: Id, label: str | None, run_id: Id) -> Labels:
    """The labels of a run that is watched by its ID: its own, merged with those of its sync's watches."""
    return _merged(watch for watch in watches if watch.sync_run == run_id or covers(watch, sync_id, label))


def _merged(watches: Iterable[Watch]) -> dict[str, str]:
    return {key: value for watch in watches for key, value in watch.labels.items()}
