"""Where Census' own pages of a workspace are: what its last events link to, once the watchlist no longer names it.

A released migration is never edited.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Of the rows that are grouped, SQLite takes the one with the greatest seq.
TOLD = sa.text(
    "SELECT incidents.workspace AS workspace, events.body AS body, max(events.seq)"
    " FROM incidents JOIN events ON events.incident_id = incidents.id"
    " WHERE incidents.open AND incidents.sync_id <> 0 GROUP BY incidents.workspace"
)
KNOWN = sa.text("UPDATE workspaces SET app_url = :app_url WHERE name = :workspace")


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("app_url", sa.String))
    connection = op.get_bind()
    for told in connection.execute(TOLD).all():
        sync = json.loads(told.body)["data"].get("sync") or {}
        app_url, found, _ = sync.get("url", "").partition("/syncs/")
        if found:
            connection.execute(KNOWN, {"app_url": app_url, "workspace": told.workspace})
