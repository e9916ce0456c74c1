"""A newer program beside the workers of a crew, and how it takes over from them as an orchestrator would have it."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from faults.account import WEBHOOKS
from faults.crew import NAMES, Crew
from faults.crew_files import Files
from faults.doors import PATHS, Doors
from faults.row import must, say
from notifier.store.postgres.migration import LOCK
from notifier.store.postgres.takeover import TURN
from notifier.store.sql.revision import revisions
from tests.acceptance.story import Story
from tests.acceptance.workplace import COMMAND
from tests.postgres.newer import REVISION

INSIDE: Final = Path(__file__).with_name("inside")
NEWEST: Final = "fourth"
"""The first of the newer program."""
OLDER: Final = "older version"
OF_AMBER: Final = 51
"""A sync of the first workspace."""
AT_WORK: Final = 1.0
"""Seconds in which a newer one that waits for nobody would have begun to migrate."""
SCHEMA: Final = "SELECT version_num FROM alembic_version"
MIGRATING: Final = (
    "SELECT FROM pg_stat_activity JOIN replicas ON application_name LIKE '%%migrates for ' || replicas.id "
    "WHERE name = %s AND state = 'idle in transaction' "
    "AND query LIKE 'ALTER TABLE deliveries ADD COLUMN of_the_newer%%'"
)
WAITS: Final = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"


@dataclass(slots=True)
class Scene:
    """What one story has, and what came of it."""

    crew: Crew
    files: Files
    doors: Doors
    newer: Path
    """The migrations of the newer program."""
    chance: random.Random
    story: Story
    done: dict[str, list[float]]
    """By what was done, after how many seconds all was well."""
    turn: float = 0.0
    """Until when the older ones give way to none, since one has failed (time.monotonic())."""


def start_newer(scene: Scene, name: str, takes: float) -> None:
    """From now on this name is the newer program's, and its migration takes so many seconds."""
    scene.crew.around[name] = {**scene.crew.around[name], **newer(scene, takes)}
    scene.crew.start(name)


def older_went_on(scene: Scene) -> None:
    """A newer one has failed."""
    scene.turn = time.monotonic() + TURN


def wait_for_a_turn(scene: Scene) -> None:
    """Until the older ones give way again."""
    time.sleep(max(0.0, scene.turn - time.monotonic()))


def start_amid_work(scene: Scene, takes: float) -> None:
    """The first newer one has a place when both webhooks were asked and have not answered: it waits until whoever sent
    to them has kept what they say in the end."""
    crew, sink = scene.crew, scene.crew.simulator.sink
    wait_for_a_turn(scene)
    with crew.server.admin(crew.database) as connection:
        connection.autocommit = False
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))  # upon which who joins waits
        start_newer(scene, NEWEST, takes)
        crew.wait_until(lambda: crew.look(WAITS, NEWEST))
        hooks, hanging = len(sink.received), sink.hang()
        run = crew.simulator.add_run(OF_AMBER, status="completed")
        scene.story.runs.append(run["id"])
        crew.wait_until(lambda: len(sink.received) >= hooks + len(WEBHOOKS))
        connection.rollback()
    crew.wait_until(lambda: NEWEST in dict(crew.lives()))
    time.sleep(AT_WORK)
    schema, migrating = crew.look(SCHEMA), crew.look(MIGRATING, NEWEST)
    hanging.clear()
    must(schema == [(revisions()[-1],)] and not migrating, f"it migrated while messages were under way: {schema}")


def newer(scene: Scene, takes: float = 0.0) -> dict[str, str]:
    """What makes a process the newer program, whose migration takes so many seconds."""
    return {"PYTHONPATH": str(INSIDE), "FAULTS_MIGRATIONS": str(scene.newer), "NEWER_TAKES": f"{takes:.1f}"}


def take_over(scene: Scene) -> None:
    """As an orchestrator upgrades: a newer one is started beside, then each of the older is replaced by a newer one."""
    began = time.monotonic()
    if scene.crew.look(SCHEMA) == [(REVISION,)]:
        start_newer(scene, NEWEST, 0)
    else:
        wait_for_a_turn(scene)
        began = time.monotonic()
        start_amid_work(scene, scene.chance.uniform(0, 2))
    must_have_taken_all(scene, began, "took all")


def must_have_taken_all(scene: Scene, began: float, what: str) -> None:
    """In time since then, and goes on with all of it."""
    scene.crew.wait_until(lambda: set(scene.crew.all_owned().values()) == {NEWEST})
    took = time.monotonic() - began
    must(took <= scene.crew.again, f"the newer one had all parts only after {took:.1f} s:\n{scene.crew.told(NEWEST)}")
    scene.crew.wait_until_polled()
    is_done(scene, what, took)


def must_stand_by(scene: Scene, names: Collection[str]) -> None:
    """These have places, say so where they are looked at, and are well."""
    scene.crew.wait_until(lambda: set(names) <= dict(scene.crew.lives()).keys())
    shown = json.loads(ask(scene, "status", "--json", **newer(scene)))["replicas"]
    why = {each["name"]: each["standing_by"] for each in shown if each["name"] in names}
    must(why == dict.fromkeys(names, OLDER), f"those of the older version are shown as {why}")
    for name in names:
        ask(scene, "status", "--healthy", NOTIFIER_REPLICA=name)


def replace_each(scene: Scene) -> None:
    """The older ones, one after the other: each has ended well when a newer one of its name begins."""
    for name in scene.chance.sample(NAMES, len(NAMES)):
        began = time.monotonic()
        stop(scene, name)
        start_newer(scene, name, 0)
        scene.crew.wait_until(lambda name=name: name in scene.crew.all_owned().values())  # type: ignore[misc]
        is_done(scene, "one more had parts", time.monotonic() - began)
        watch(scene, name, PATHS[:1])  # who takes a workspace is not ready before it has polled that


def stop(scene: Scene, name: str) -> None:
    """SIGTERM, and exit code 0."""
    scene.doors.leave(name)
    worker = scene.crew.workers.pop(name)
    worker.send_signal(signal.SIGTERM)
    code = worker.wait(timeout=30)
    must(code == 0, f"after SIGTERM {name} ended with {code}; its log:\n{scene.crew.told(name)}")


def watch(scene: Scene, name: str, paths: Collection[str] = PATHS) -> None:
    """From when this one is well, it is to stay so."""
    scene.crew.wait_until(lambda: scene.doors.are_well(name))
    scene.doors.watch(name, paths)


def ask(scene: Scene, *arguments: str, **environment: str) -> str:
    around = {**scene.crew.workplace.environment, **environment}
    ended = subprocess.run(
        [COMMAND, *arguments],
        cwd=scene.crew.workplace.directory,
        env=around,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    must(ended.returncode == 0, f"{' '.join(arguments)} ended with {ended.returncode}: {ended.stderr}")
    return ended.stdout


def is_done(scene: Scene, what: str, took: float) -> None:
    """For the figures."""
    scene.done[what].append(took)
    say(f"{what}: {took:.1f} s")
