"""Row 14: PostgreSQL itself is in trouble, under three workers; nobody is replaced for that."""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from faults.account import AT_ONCE, settle
from faults.crew import LIVES, NAMES, OWNERS, Asked, Crew, a_crew, a_server
from faults.line import Line
from faults.mounts import SmallDisk, leave_the_others_mounts
from faults.row import Figures, Row, Size, must, say
from tests.acceptance.story import Story
from tests.postgres.server import OwnPostgres

SYNCS = (51, 52, 53, 54, 55, 56)
CANT_WRITE = "database can't be written; nothing is lost, trying again"
MEGABYTE = 1024 * 1024


@dataclass(slots=True)
class Scene:
    """Three workers who meet the server by a line, and what goes on."""

    crew: Crew
    line: Line
    size: Size
    chance: random.Random
    said: dict[str, object] = field(default_factory=dict)


def restarts(scene: Scene) -> None:
    """As after a crash: nobody is told, and what was not committed is gone."""
    times = scene.size.pick(1, 10)
    for _ in range(times):
        time.sleep(scene.chance.uniform(0.2, 2))
        scene.crew.server.restart("immediate")
        _must_go_on(scene)
    scene.said["immediate restarts"] = times


def backends(scene: Scene) -> None:
    """All connections are ended, as an administrator ends them."""
    ended = 0
    for _ in range(scene.size.pick(3, 40)):
        time.sleep(scene.chance.uniform(0.1, 1.5))
        ended += scene.crew.server.terminate_backends(scene.crew.server.url(scene.crew.database))
    _must_go_on(scene)
    scene.said["backends terminated"] = ended


def swallowed(scene: Scene) -> None:
    """The server has committed, and its answer is lost, as the connection is."""
    wanted = scene.line.swallowed + scene.size.pick(8, 150)
    scene.line.swallow_commits(0.25, scene.chance)
    scene.crew.wait_until(lambda: scene.line.swallowed >= wanted)
    scene.line.swallow_commits(0, scene.chance)
    _must_go_on(scene)
    scene.said["answers to COMMIT swallowed"] = scene.line.swallowed


def read_only(scene: Scene) -> None:
    """As a standby to which the address leads after a fail-over."""
    seconds = scene.size.pick(4, 20)
    with scene.crew.server.admin() as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        try:
            _must_send_little(scene, seconds)
        finally:
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
    _must_go_on(scene)
    scene.said["read-only for"] = f"{seconds} s"


def away(scene: Scene) -> None:
    """Stopped, and started again."""
    seconds = scene.size.pick(20, 120)
    scene.crew.server.stop("fast")
    sent = _must_send_little(scene, seconds)
    scene.crew.server.start()
    _must_go_on(scene)
    scene.said["away for"] = f"{seconds} s; messages after the first second of it: {sent}"


TROUBLES: tuple[Callable[[Scene], None], ...] = (swallowed, restarts, backends, read_only, away)


def outages(size: Size) -> Figures:
    """One trouble after the other, under a story that goes on; in the long form a full disk too, on its own."""
    if not size.short:
        leave_the_others_mounts()
    with a_server() as server, Line(server.port) as line, a_crew(server, Asked((line.port,))) as crew:
        crew.simulator.sink.answer(delay=0.03)
        crew.start_watching(NAMES, SYNCS)
        crew.wait_until_settled()
        scene = Scene(crew, line, size, size.chance())
        lives, owners = crew.look(LIVES), crew.look(OWNERS)
        story = Story(crew.simulator, SYNCS, size.chance(1), pause=(0.05, 0.5))
        with story.told():
            for trouble in TROUBLES:
                trouble(scene)
                say(f"{trouble.__name__}: {scene.said}")
                _must_be_the_same(trouble.__name__, crew, lives, owners)
        _settle_all(crew, story, size)
        figures = settle(crew.recorded(), crew.simulator, story, [])
    full = {} if size.short else {"a full disk": a_full_disk(size)}
    kept = ("changes", "events", "delivered", "repeated")
    return {**{name: figures[name] for name in kept}, **scene.said, **full}


def a_full_disk(size: Size) -> str:
    """The tables are on a small disk of their own, the log of transactions is not: else the server itself would end."""
    with a_server() as server, _on_a_small_disk(server) as (crew, small):
        crew.start_watching(NAMES, SYNCS)
        crew.wait_until_settled()
        lives, owners = crew.look(LIVES), crew.look(OWNERS)
        story = Story(crew.simulator, SYNCS, size.chance(2), pause=(0.01, 0.05))
        with story.told():
            small.fill(leave=0)
            crew.wait_until(lambda: any(CANT_WRITE in crew.log(name).read_text() for name in NAMES))
            time.sleep(20)
            crew.must_live()
            _must_be_the_same("a full disk", crew, lives, owners)
            small.free()
            time.sleep(2)
        _settle_all(crew, story, size)
        events = settle(crew.recorded(), crew.simulator, story, [])["events"]
    return f"for 20 s, {events} events, none lost or repeated, and nobody was replaced"


@contextmanager
def _on_a_small_disk(server: OwnPostgres) -> Iterator[tuple[Crew, SmallDisk]]:
    place = Path(tempfile.mkdtemp(prefix="faults."))
    place.chmod(0o755)
    small = SmallDisk(place / "small", 64 * MEGABYTE)
    try:
        within = small.place / "space"
        within.mkdir()
        owner = (server.directory / "data").stat()
        os.chown(within, owner.st_uid, owner.st_gid)
        with server.admin() as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{within}'".encode())
        with a_crew(server) as crew:
            with server.admin() as connection:
                connection.execute(f"ALTER DATABASE {crew.database} SET TABLESPACE small".encode())
            yield crew, small
        server.stop()
    finally:
        small.detach()
        shutil.rmtree(place, ignore_errors=True)


def _must_send_little(scene: Scene, seconds: float) -> int:
    """Waits so long; whatever comes meanwhile was under way, or is of the moment before the trouble was noticed."""
    crew = scene.crew
    time.sleep(1)
    before = len(crew.simulator.sink.received)
    end = time.monotonic() + seconds - 1
    while time.monotonic() < end:
        crew.must_live()
        time.sleep(0.2)
    came = len(crew.simulator.sink.received) - before
    must(came <= AT_ONCE, f"{came} messages came while no outcome could be kept")
    return came


def _must_go_on(scene: Scene) -> None:
    """News come again: none of them was there before."""
    crew = scene.crew
    sent = len(crew.simulator.sink.accepted)
    crew.wait_until(lambda: len(crew.simulator.sink.accepted) > sent)


def _must_be_the_same(name: str, crew: Crew, lives: object, owners: object) -> None:
    crew.must_live()
    logs = "\n".join(crew.told(name) for name in NAMES)
    must(crew.look(LIVES) == lives, f"{name}: the lives were {lives}, and are {crew.look(LIVES)}; the logs:\n{logs}")
    must(crew.look(OWNERS) == owners, f"{name}: the parts were of {owners}, and are of {crew.look(OWNERS)}")


def _settle_all(crew: Crew, story: Story, size: Size) -> None:
    crew.wait_until(partial(crew.has_told_all, story), timeout=size.pick(240, 600))
    crew.must_stop_well()


ROW = Row(
    number=14,
    title="PostgreSQL crashes, drops connections, takes no writes, is away, swallows answers to COMMIT, has no room",
    criterion=(
        "no worker ends and none is replaced: the same lives before and after, with the same parts; nothing is "
        f"lost and nothing repeated; while no outcome can be kept at most {AT_ONCE} messages come, which were under way"
    ),
    run=outages,
    limits=(400, 1800),
)
