"""What a workspace's list of syncs is worth as a hint, and how many requests it takes to watch it.

A released migration is never edited.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("hints", sa.String))
    op.add_column("workspaces", sa.Column("announced", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("workspaces", sa.Column("requests_per_minute", sa.Integer))
