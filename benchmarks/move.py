"""`notifier migrate --from`: a database with many events from SQLite to PostgreSQL, and back. Both write through."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.engines import DURABLE
from benchmarks.scene import Scene
from benchmarks.table import Figure
from benchmarks.upgrade import make
from notifier.store.migrate import migrate
from tests.postgres.programs import REMEDY, programs
from tests.postgres.server import own_server

_COUNT: Final = re.compile(r"^ *([\d,]+) \w+$", re.MULTILINE)


def measure(scene: Scene) -> list[Figure]:
    if programs() is None:
        return [Figure("a move between two engines", f"not measured: {REMEDY}")]
    syncs, events = scene.size(300, 30), scene.size(100_000, 1_000)
    scene.directory.mkdir(parents=True, exist_ok=True)
    path = scene.directory / "n.db"
    make(path, syncs, events)
    migrate(path)
    with own_server(DURABLE) as server, server.database() as url:
        there = _moved(scene.directory, f"sqlite:///{path}", url)
        back = _moved(scene.directory, url, f"sqlite:///{scene.directory}/back.db")
    size = path.with_name("n.db.moved").stat().st_size / 1e6
    return [
        Figure(f"a move of {events:,} events ({size:,.0f} MB) from SQLite to PostgreSQL", there, "shown"),
        Figure(f"a move of {events:,} events from PostgreSQL to SQLite", back, "shown"),
    ]


def _moved(directory: Path, source: str, target: str) -> str:
    (directory / "watchlist.yaml").write_text("version: 1\ndatabase: ${NEW}\n")
    command = [str(Path(sys.executable).with_name("notifier")), "migrate", "--from", "${OLD}"]
    around = {"PATH": os.environ["PATH"], "OLD": source, "NEW": target}
    began = time.monotonic()
    ended = subprocess.run(command, cwd=directory, env=around, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    if ended.returncode:
        raise RuntimeError(f"notifier migrate --from ended with {ended.returncode}: {ended.stderr}")
    rows = sum(int(count.replace(",", "")) for count in _COUNT.findall(ended.stdout))
    return f"{rows:,} rows in {took:.1f} s, {rows / took:,.0f} a second"
