"""Libraries of ours between the worker and the C library."""

import os
import subprocess
from pathlib import Path

from faults.row import must


def built(source: Path, directory: Path) -> Path:
    """A library for LD_PRELOAD, made of C in that directory."""
    library = directory / source.with_suffix(".so").name
    compiler = os.environ.get("CC", "cc")
    ended = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", library, source, "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    must(ended.returncode == 0, f"{compiler} can't build {source.name} (apt-get install gcc): {ended.stderr}")
    return library
