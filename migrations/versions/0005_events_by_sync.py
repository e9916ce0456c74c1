"""The events of one sync are found without reading all others.

A released migration is never edited. Times are microseconds since 1970 in UTC.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_sync", "events", ["sync_id", "workspace"])
