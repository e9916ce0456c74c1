"""What tests of polls share: what they look at."""

from typing import Any

from notifier.model.sync import Mark
from notifier.store.views.status import SyncView, read_status
from tests.integration.watching.kit import Scene

LIST = "/syncs/52/sync_runs"
GAP = "older runs were skipped: too many came at once, or the list could not be read back to the last one"
DROPPED = "sync run is no longer followed"


def changes(scene: Scene) -> list[list[tuple[str, Any, Any]]]:
    """Of each event, its changes."""
    return [[(c["field"], c["old"], c["new"]) for c in body["data"]["changes"]] for body in scene.bodies()]


async def mark_in_database(scene: Scene) -> Mark | None:
    (sync,) = await scene.store.watching.syncs("production")
    return sync.mark


def view_of_sync(scene: Scene) -> SyncView:
    (sync,) = read_status(scene.store.place, ()).syncs
    return sync
