"""Which of Census' own alerts were told: each once, however often its webhook comes.

A released migration is never edited. Times are microseconds since 1970 in UTC.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "census_alerts",
        sa.Column("workspace", sa.String, primary_key=True),
        sa.Column("alert_id", sa.String, primary_key=True),
        sa.Column("type", sa.String, primary_key=True),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
    )
