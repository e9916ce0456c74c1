"""deploy/docker-compose.postgresql.yml: two replicas as the worker of docker-compose.yml, and a server to rely on."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from ruamel.yaml import YAML

from notifier.watchlist.durations import parse_duration
from tests.unit.repository.test_container_files import PROTECTS, WORKS

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "deploy/docker-compose.postgresql.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
REPLICAS = {name: service for name, service in SERVICES.items() if name != "postgres"}
SERVER = SERVICES["postgres"]


@pytest.mark.parametrize("key", sorted(PROTECTS.keys() - {"ports"}))
def test_each_replica_protects_the_host_as_the_one_worker_does(key: str) -> None:
    assert [replica.get(key) for replica in REPLICAS.values()] == [PROTECTS[key][0]] * 2, PROTECTS[key][1]


def test_replicas_differ_in_their_names_and_ports_and_in_nothing_else() -> None:
    named = {name: replica["environment"]["NOTIFIER_REPLICA"] for name, replica in REPLICAS.items()}
    assert named == {f"notifier-{name}": name for name in "ab"}
    assert {replica["ports"][0] for replica in REPLICAS.values()} == {"127.0.0.1:8080:8080", "127.0.0.1:8081:8080"}
    one, other = (
        {**replica, "environment": {**replica["environment"], "NOTIFIER_REPLICA": ""}, "ports": []}
        for replica in REPLICAS.values()
    )
    assert one == other
    assert set(one) == set(PROTECTS) | WORKS | {"depends_on"}


def test_a_replica_is_started_once_the_server_answers_where_replicas_ask_it() -> None:
    """The image's entrypoint has one for itself while it makes the database, which listens on the socket alone."""
    assert all(replica["depends_on"] == {"postgres": {"condition": "service_healthy"}} for replica in REPLICAS.values())
    kind, command = SERVER["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert "--host 127.0.0.1" in command


def test_no_secret_is_in_the_environment_and_each_file_is_one_that_is_given() -> None:
    for name, service in SERVICES.items():
        files = {key: value for key, value in service["environment"].items() if key.endswith("_FILE")}
        places = {PurePosixPath("/run/secrets") / secret for secret in service["secrets"]}
        assert {PurePosixPath(value) for value in files.values()} == places, name
        plain = service["environment"].keys() - files.keys()
        assert not [key for key in plain if any(word in key for word in ("PASSWORD", "TOKEN", "URL", "KEY"))], name
    assert {secret for service in SERVICES.values() for secret in service["secrets"]} == COMPOSE["secrets"].keys()


def test_the_server_comes_back_has_time_to_end_keeps_its_data_and_fills_no_disk_with_logs() -> None:
    assert SERVER["restart"] == "unless-stopped"
    assert parse_duration(SERVER["stop_grace_period"]).total_seconds() >= 60  # a checkpoint; after SIGKILL it recovers
    assert SERVER["logging"] == PROTECTS["logging"][0]
    assert SERVER["volumes"] == ["postgres:/var/lib/postgresql/data"]
    assert "postgres" in COMPOSE["volumes"]
    assert "ports" not in SERVER
    assert {"--encoding=UTF8", "--data-checksums"} <= set(SERVER["environment"]["POSTGRES_INITDB_ARGS"].split())
