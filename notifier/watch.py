"""Which syncs and runs the watchlist covers, and with which labels. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from notifier.config.models import SyncSelector, Watch
from notifier.model import Labels


def watches_of(workspace: str, watches: Iterable[Watch]) -> tuple[Watch, ...]:
    """The watches of one workspace, in the watchlist's order."""
    return tuple(watch for watch in watches if watch.workspace == workspace)


def named_syncs(watches: Iterable[Watch]) -> set[int]:
    """Syncs that are watched by their ID, whether or not a listing shows them."""
    return {watch.sync for watch in watches if watch.sync is not None}


def named_runs(watches: Iterable[Watch]) -> set[int]:
    """Runs that are watched by their ID."""
    return {watch.sync_run for watch in watches if watch.sync_run is not None}


def covers(watch: Watch, sync_id: int, label: str | None) -> bool:
    """Whether the watch is for this sync. A sync without a label has the label ""."""
    if watch.sync is not None:
        return watch.sync == sync_id
    if isinstance(watch.syncs, SyncSelector):
        return _selects(watch.syncs, label or "")
    return watch.syncs == "all"


def _selects(selector: SyncSelector, label: str) -> bool:
    wanted = not selector.label or any(fnmatchcase(label, pattern) for pattern in selector.label)
    return wanted and not any(fnmatchcase(label, pattern) for pattern in selector.exclude_label)


def covered_syncs(watches: Sequence[Watch], labels_of_syncs: Mapping[int, str | None]) -> dict[int, Labels]:
    """Each covered sync with the merged labels of its watches, later ones winning."""
    covered: dict[int, Labels] = {}
    shared: dict[tuple[int, ...], dict[str, str]] = {}  # thousands of syncs have the labels of the same few watches
    for sync_id, label in labels_of_syncs.items():
        found = covering(watches, sync_id, label)
        if found:
            if found not in shared:
                shared[found] = _merged(watches[place] for place in found)
            covered[sync_id] = shared[found]
    return covered


def covering(watches: Sequence[Watch], sync_id: int, label: str | None) -> tuple[int, ...]:
    """The places of the watches that are for a sync."""
    return tuple(place for place, watch in enumerate(watches) if covers(watch, sync_id, label))


def labels_of_run(watches: Sequence[Watch], sync_id: int, label: str | None, run_id: int) -> Labels:
    """The labels of a run that is watched by its ID: its own, merged with those of its sync's watches."""
    return _merged(watch for watch in watches if watch.sync_run == run_id or covers(watch, sync_id, label))


def _merged(watches: Iterable[Watch]) -> dict[str, str]:
    return {key: value for watch in watches for key, value in watch.labels.items()}
