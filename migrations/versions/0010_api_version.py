"""Which version of the API a workspace is read by and showed a run, and where the last list of its syncs came from.

A released migration is never edited.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("api", sa.String))
    op.add_column("workspaces", sa.Column("source", sa.String))
    op.add_column("snapshots", sa.Column("api", sa.String))
    op.execute("UPDATE workspaces SET api = 'v1'")  # until then there was no other
