"""A version of the notifier that is newer than this one by a migration, as far as the database is concerned."""

import shutil
from pathlib import Path
from typing import Final

from notifier.store.sql.revision import revisions, scripts_directory

REVISION: Final = "9001"
_SCRIPT: Final = '''"""Adds what this version does not know."""

import os
import time

from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE deliveries ADD COLUMN of_the_newer text")
    time.sleep(float(os.environ.get("NEWER_TAKES", "0")))
    op.execute("CREATE TABLE of_the_newer AS SELECT clock_timestamp() AS made_at")
'''


def make_newer(directory: Path) -> Path:
    """Migrations with one more, at a place that does not exist yet. Its table `of_the_newer` has a row for each time
    that it was run; it takes as many seconds as NEWER_TAKES of the environment says."""
    shutil.copytree(scripts_directory(), directory, ignore=shutil.ignore_patterns("__pycache__"))
    script = _SCRIPT.format(revision=REVISION, before=revisions()[-1])
    (directory / "versions" / f"{REVISION}_newer.py").write_text(script)
    return directory
