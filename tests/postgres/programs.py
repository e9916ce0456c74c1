"""Where this machine's PostgreSQL is. Without psycopg, so that a test session that wants none loads none."""

import os
import shutil
from pathlib import Path
from typing import Final

REMEDY: Final = "PostgreSQL is missing; install it (Debian: postgresql)"
PLACE: Final = "NOTIFIER_TEST_POSTGRESQL"
"""An environment variable: the directory of the programs, whatever else there is. `.ci/bare` names one without."""
OLDEST: Final = 15


def programs() -> Path | None:
    """The directory of `initdb` and `postgres`: Debian's newest, which are not in the PATH, or those of the PATH."""
    if named := os.environ.get(PLACE):
        places = [Path(named)]
    else:
        versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal()]
        places = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
        places = [path for path in places if int(path.parent.name) >= OLDEST]
        if initdb := shutil.which("initdb"):
            places.append(Path(initdb).resolve().parent)
    return next((path for path in places if (path / "initdb").exists() and (path / "postgres").exists()), None)
