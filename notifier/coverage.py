"""What a watchlist would do with a workspace's syncs: watches that match nothing, syncs that no route serves. Pure."""

from collections.abc import Mapping

from notifier.config.models import Watchlist
from notifier.model import EventType
from notifier.route import Subject, receivers_of
from notifier.watch import covered_syncs, covers, watches_of


def idle_watches(watchlist: Watchlist, workspace: str, labels_of_syncs: Mapping[int, str | None]) -> tuple[int, ...]:
    """Places in the watchlist of watches of syncs that match none of these."""
    return tuple(
        place
        for place, watch in enumerate(watchlist.watches)
        if watch.workspace == workspace
        and watch.sync_run is None
        and not any(covers(watch, sync_id, label) for sync_id, label in labels_of_syncs.items())
    )


def unserved_syncs(watchlist: Watchlist, workspace: str, labels_of_syncs: Mapping[int, str | None]) -> tuple[int, ...]:
    """Watched syncs none of whose events would go anywhere."""
    covered = covered_syncs(watches_of(workspace, watchlist.watches), labels_of_syncs)
    return tuple(
        sync_id
        for sync_id, labels in covered.items()
        if not any(
            receivers_of(
                Subject(kind, workspace, sync_id, labels_of_syncs[sync_id], labels),
                watchlist.routes,
                tuple(watchlist.receivers),
            )
            for kind in EventType
        )
    )
