"""What who only looks is told of the workers at a server."""

from datetime import UTC, datetime, timedelta

from rich.console import Console

from notifier.cli.status import _replicas_table
from notifier.store.sql.revision import revisions
from notifier.store.views.status import ReplicaView, Status, read_status
from notifier.watchlist.database import ServerUrl
from tests.integration.store.builders import NOW
from tests.integration.store.postgres.kit import change_at


def test_a_replica_is_silent_by_the_servers_clock_whatever_that_of_who_looks_says(url: str) -> None:
    change_at(
        url,
        "INSERT INTO replicas (id, name, pid, version, revision, watchlist, joined_at, seen_at) "
        "SELECT name, name, 1, '0', %s, '', now, now + sight FROM "
        "(VALUES ('alive', 3600000000), ('gone', -3600000000)) AS them (name, sight), "
        "(SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS clock",
        revisions()[-1],
    )
    view = read_status(ServerUrl(url), ())
    console = Console(width=100)
    with console.capture() as shown:
        console.print(_replicas_table(view, datetime.now(UTC) + timedelta(days=1)))
    alive, gone = (line.split() for line in shown.get().splitlines() if line.startswith(("alive", "gone")))
    assert alive[:3] == ["alive", "stands", "by"]
    assert gone[:2] == ["gone", "silent"]


def test_the_worker_is_there_as_soon_as_one_has_a_place(url: str) -> None:
    """Though the one that is to leave its sign of life once a minute has not yet."""
    change_at(
        url,
        "INSERT INTO replicas (id, name, pid, version, revision, watchlist, joined_at, seen_at) "
        "VALUES ('1', 'a', 1, '1.0', '', '', 1000000, 5000000), ('2', 'b', 1, '2.0', '', '', 3000000, 9000000)",
    )
    worker = read_status(ServerUrl(url), ()).worker
    assert worker is not None
    assert (worker.version, worker.started_at.timestamp(), worker.last_seen_at.timestamp()) == ("1.0", 1, 9)


def test_of_many_workspaces_of_a_replica_people_are_told_how_many(url: str) -> None:
    change_at(url, "INSERT INTO replicas VALUES ('1', 'one', 1, '0', '', '', 0, 0, 0, 0)")
    change_at(url, "INSERT INTO replicas VALUES ('2', 'two', 1, '0', '', '', 0, 0, 0, 0)")
    change_at(url, "INSERT INTO parts SELECT 'workspace:' || n, '1', 0 FROM generate_series(1, 6) AS n")
    change_at(url, "INSERT INTO parts VALUES ('upkeep', '1', 0), ('workspace:a', '2', 0), ('slack', '2', 0)")
    one, two = read_status(ServerUrl(url), ()).replicas
    assert one.parts_in_words == ("upkeep", "6 workspaces")
    assert two.parts_in_words == ("slack", "workspace:a")


def a_replica(name: str, *parts: str, standing_by: str | None = None) -> ReplicaView:
    return ReplicaView(name, "0.1.0", NOW, NOW, timedelta(0), parts, standing_by)


def lines_of(width: int, *replicas: ReplicaView) -> list[str]:
    console = Console(width=width)
    with console.capture() as shown:
        console.print(_replicas_table(Status(None, replicas, (), (), ()), NOW))
    return [line.rstrip() for line in shown.get().splitlines()]


def test_no_part_is_torn_on_a_narrow_terminal_though_one_stands_by() -> None:
    lines = lines_of(
        80,
        a_replica("worker-1", "upkeep", "webhook:pager", "workspace:marketing"),
        a_replica("worker-2", "webhook:warehouse", "workspace:production"),
        a_replica("worker-3", standing_by="other watchlist"),
    )
    assert lines[2:] == [
        "name      state                version  last sign of life  parts",
        "worker-1  works                0.1.0    0 s ago            upkeep,",
        "                                                           webhook:pager,",
        "                                                           workspace:marketing",
        "worker-2  works                0.1.0    0 s ago            webhook:warehouse,",
        "                                                           workspace:production",
        "worker-3  stands by: other     0.1.0    0 s ago            -",
        "          watchlist",
    ]


def test_what_tells_the_pods_of_one_deployment_apart_stays_on_its_line() -> None:
    pods = [f"notifier-7d9c5b8f6-{end}" for end in ("4xk2p", "9qwzt")]
    lines = lines_of(80, *(a_replica(pod, "upkeep", *(f"workspace:{n}" for n in range(6))) for pod in pods))
    assert [line.split()[0] for line in lines if line.startswith("notifier")] == pods
