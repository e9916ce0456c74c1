"""What Slack needs: when an attempt began whose end is unknown, and what a receiver's sender wants remembered.

A released migration is never edited. Times are microseconds since 1970 in UTC.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("maybe_sent_at", sa.BigInteger))
    op.add_column("receivers", sa.Column("note", sa.String))
