"""What was read and what was not: the newest complete listing, syncs that can't be read, receivers that take nothing.

A run's story is named by its workspace and sync too: two workspaces count their runs by themselves.

A released migration is never edited. Times are microseconds since 1970 in UTC.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("listed_at", sa.BigInteger))
    op.add_column("workspaces", sa.Column("unlisted_since", sa.BigInteger))
    op.add_column("workspaces", sa.Column("doubted_since", sa.BigInteger))
    op.add_column("workspaces", sa.Column("refusals", sa.Integer, nullable=False, server_default=sa.text("0")))
    # Whoever polled it has listed it not long before; what is younger by an hour is looked at twice in any case.
    op.execute("UPDATE workspaces SET listed_at = coalesce(last_polled_at, first_listed_at) WHERE first_listed_at > 0")
    op.add_column("syncs", sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.text("0")))
    op.add_column("syncs", sa.Column("unread_since", sa.BigInteger))
    op.add_column("syncs", sa.Column("last_error", sa.String))
    op.add_column("run_watches", sa.Column("misses", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("run_watches", sa.Column("missing_since", sa.BigInteger))
    op.add_column("receivers", sa.Column("failed_since", sa.BigInteger))
    op.add_column("receivers", sa.Column("failing", sa.Boolean, nullable=False, server_default=sa.text("0")))
    op.add_column("snapshots", sa.Column("counts", sa.String))
    op.add_column("incidents", sa.Column("wrong", sa.String))
    op.add_column("incidents", sa.Column("counted_run_id", sa.BigInteger))
    op.execute("UPDATE incidents SET wrong = summary WHERE open AND summary IS NOT NULL")
    op.create_index(
        "ix_deliveries_lane",
        "deliveries",
        ["receiver", "workspace", "sync_id", "id"],
        sqlite_where=sa.text("state = 'pending'"),
    )
    op.execute(
        "UPDATE deliveries SET story = story || ':' || sync_id || ':' || workspace"
        " WHERE story LIKE 'run:%' AND state <> 'delivered'"
    )
    op.execute(
        "UPDATE posted SET story ="
        " (SELECT story || ':' || sync_id || ':' || workspace FROM events WHERE events.id = posted.event_id)"
        " WHERE story LIKE 'run:%' AND EXISTS"
        " (SELECT 1 FROM events WHERE events.id = posted.event_id AND posted.story = 'run:' || events.run_id)"
    )
