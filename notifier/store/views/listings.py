"""Each workspace's syncs as Census last listed them to the worker that watches it. Only PostgreSQL has the table."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select

from notifier.store.sql.listing import SyncAsListed, unpacked
from notifier.store.sql.replicas import listings
from notifier.store.views.database import open_database
from notifier.watchlist.database import DatabasePlace


def read_listings(place: DatabasePlace, workspaces: Collection[str]) -> Mapping[str, Sequence[SyncAsListed]]:
    """Those of these workspaces that were listed. Raises DatabaseUnusable."""
    with open_database(place, "reader") as connection:
        rows = connection.execute(select(listings).where(listings.c.workspace.in_(workspaces))).all()
    return {row.workspace: unpacked(row.workspace, row.body) for row in rows}
