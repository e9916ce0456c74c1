"""What a check found, as JSON beside the sentence. What an older version found has the sentence alone.

A released migration is never edited.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("measure", sa.String))
    # What is told once and not in a reminder is known by its kind.
    another = '{"kind": "another_error"}'
    op.execute(f"UPDATE incidents SET measure = '{another}' WHERE open AND summary = 'another error'")  # noqa: S608 - ours
