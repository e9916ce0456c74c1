"""Facts that Dockerfile, docker-compose.yml and the project must agree on; .ci/container runs what they say."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from ruamel.yaml import YAML

from notifier.service.ending import HARD_END
from notifier.service.vitals import SIGN_OF_LIFE_LASTS
from notifier.watchlist.durations import parse_duration
from notifier.web.socket import MOST_CONNECTIONS, SHARE_OF_FILES
from tests.databases import new_database

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

PROTECTS: dict[str, tuple[Any, str]] = {
    "restart": ("unless-stopped", "a crash or a reboot ends the watching"),
    "stop_grace_period": ("20s", "Docker's own 10 s: killed while it ends"),
    "ports": (["127.0.0.1:8080:8080"], "8080:8080 is open to every network, past the host's firewall"),
    "read_only": (True, "whoever gets in can leave a program behind"),
    "tmpfs": ("/tmp", "SQLite can't sort"),
    "cap_drop": (["ALL"], "a program that it starts can get Docker's fourteen capabilities"),
    "security_opt": (["no-new-privileges:true"], "a setuid program of the base image makes it root"),
    "ulimits": ({"nofile": {"soft": 4096, "hard": 4096}}, "the engine's own: a few files or a billion"),
    "pids_limit": (256, "threads without end take the host's last"),
    "mem_limit": ("1g", "a flood takes the host's memory, and another process is killed for it"),
    "logging": ({"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}, "logs fill the host's disk"),
}
"""Of the compose file's service: what opens, or breaks, without the line."""

WORKS = {"build", "image", "environment", "secrets", "volumes"}
"""What it is; the tests below look at each."""


@pytest.fixture(scope="module")
def image() -> dict[str, list[str]]:
    """What .ci/container is told of the image; its `environment` holds the compose file's too."""
    told = subprocess.run([sys.executable, ROOT / ".ci/image.py"], capture_output=True, text=True, check=True)
    parts: dict[str, list[str]] = json.loads(told.stdout)
    return parts


@pytest.fixture(scope="module")
def steps(image: dict[str, list[str]]) -> list[tuple[str, str]]:
    """The Dockerfile's instructions in their order, each with its arguments."""
    return [(instruction, arguments) for instruction, _, arguments in (step.partition("\t") for step in image["steps"])]


@pytest.fixture(scope="module")
def environment(image: dict[str, list[str]]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in image["environment"])


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
    return document


@pytest.fixture(scope="module")
def worker(compose: dict[str, Any]) -> dict[str, Any]:
    service: dict[str, Any] = compose["services"]["notifier"]
    return service


@pytest.fixture(scope="module")
def mounts(worker: dict[str, Any]) -> dict[str, list[str]]:
    """By its place in the container: what is mounted there, and how."""
    volumes = [volume.split(":") for volume in worker["volumes"]]
    return {target: [source, *mode] for source, target, *mode in volumes}


def test_all_stages_have_one_python_and_it_is_one_that_the_project_names(image: dict[str, list[str]]) -> None:
    base, *stages = image["from"]
    named = re.fullmatch(r"python:(3\.\d+)-slim@sha256:[0-9a-f]{64}", base)
    assert named is not None, "without a digest another build has another base"
    assert f"Programming Language :: Python :: {named[1]}" in PROJECT["classifiers"]
    assert set(stages) == {"base"}


def test_the_build_gets_what_the_dockerfile_copies_and_nothing_else(image: dict[str, list[str]]) -> None:
    everything, *rules = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert everything == "*"
    assert sorted(rule.removeprefix("!") for rule in rules if rule.startswith("!")) == sorted(image["copied"])


def test_the_commands_are_ones_that_the_project_installs(image: dict[str, list[str]]) -> None:
    assert image["command"] == ["notifier", "run"]
    assert image["healthcheck"] == ["notifier", "status", "--healthy"]
    assert "notifier" in PROJECT["scripts"]


def test_the_dockerfile_does_nothing_that_no_test_looks_at(steps: list[tuple[str, str]]) -> None:
    """No ARG above all: what it is given stays in the image's history."""
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "EXPOSE", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {instruction for instruction, _ in steps} == known


def test_the_image_brings_no_secret_in_its_environment(steps: list[tuple[str, str]]) -> None:
    brought = [pair for instruction, pairs in steps if instruction == "ENV" for pair in shlex.split(pairs)]
    assert brought == [
        "PATH=/opt/notifier/bin:$PATH",
        "NOTIFIER_CONFIG=/etc/notifier/watchlist.yaml",
        "NOTIFIER_LISTEN=0.0.0.0:8080",
        "PYTHONDONTWRITEBYTECODE=1",
    ]


def test_docker_notices_a_dead_worker_about_when_the_worker_calls_itself_dead(steps: list[tuple[str, str]]) -> None:
    (check,) = [arguments for instruction, arguments in steps if instruction == "HEALTHCHECK"]
    options = dict(re.findall(r"--([\w-]+)=(\S+)", check.partition(" CMD ")[0]))
    assert set(options) == {"interval", "timeout", "retries", "start-period"}
    assert parse_duration(options["timeout"]) < parse_duration(options["interval"])
    assert parse_duration(options["interval"]) * int(options["retries"]) < SIGN_OF_LIFE_LASTS
    assert parse_duration(options["start-period"]) <= SIGN_OF_LIFE_LASTS


@pytest.mark.parametrize("key", PROTECTS)
def test_what_protects_the_host_is_there(worker: dict[str, Any], key: str) -> None:
    value, without = PROTECTS[key]
    assert worker.get(key) == value, f"without {key}: {value}: {without}"


def test_every_line_of_the_service_has_its_reason_above(compose: dict[str, Any], worker: dict[str, Any]) -> None:
    assert set(worker) == set(PROTECTS) | WORKS
    assert set(compose) == {"name", "services", "volumes", "secrets"}
    assert set(compose["services"]) == {"notifier"}
    assert (worker["build"], worker["image"]) == (".", "census-notifier")


def test_every_connection_of_the_server_is_within_the_limit_of_open_files(worker: dict[str, Any]) -> None:
    assert worker["ulimits"]["nofile"]["soft"] // SHARE_OF_FILES >= MOST_CONNECTIONS


def test_the_published_port_is_the_one_that_the_worker_listens_on(
    environment: dict[str, str], steps: list[tuple[str, str]], worker: dict[str, Any]
) -> None:
    (exposed,) = [arguments for instruction, arguments in steps if instruction == "EXPOSE"]
    assert environment["NOTIFIER_LISTEN"] == f"0.0.0.0:{exposed}"
    assert [port.rpartition(":")[2] for port in worker["ports"]] == [exposed]


def test_the_worker_is_not_root_and_writes_only_to_its_volume_and_tmp(
    image: dict[str, list[str]], worker: dict[str, Any], mounts: dict[str, list[str]]
) -> None:
    user, group = map(int, image["user"])
    assert user > 0 < group
    assert worker["read_only"] is True
    assert [place for place, (_, *mode) in mounts.items() if mode != ["ro"]] == image["workdir"]


def test_the_database_is_on_the_volume(
    environment: dict[str, str], compose: dict[str, Any], mounts: dict[str, list[str]]
) -> None:
    database = PurePosixPath(environment["NOTIFIER_DATABASE"].removeprefix("sqlite:///"))
    assert database.is_absolute()
    (volume,) = compose["volumes"]
    assert mounts[str(database.parent)] == [volume]


def test_the_directory_of_the_watchlist_is_mounted_read_only(
    environment: dict[str, str], mounts: dict[str, list[str]]
) -> None:
    watchlist = PurePosixPath(environment["NOTIFIER_CONFIG"])
    assert watchlist.name == "watchlist.yaml"
    assert mounts[str(watchlist.parent)] == ["./config", "ro"]


def test_each_secret_is_a_file_that_the_watchlist_can_name(
    environment: dict[str, str], compose: dict[str, Any], worker: dict[str, Any]
) -> None:
    files = {name: value for name, value in environment.items() if name.endswith("_FILE")}
    assert files == {f"{secret.upper()}_FILE": f"/run/secrets/{secret}" for secret in worker["secrets"]}
    assert compose["secrets"] == {secret: {"file": f"./secrets/{secret}"} for secret in worker["secrets"]}


def test_secrets_and_watchlist_stay_out_of_git() -> None:
    assert {"/config/", "/secrets/"} <= set((ROOT / ".gitignore").read_text().splitlines())


def test_docker_waits_longer_for_the_worker_than_it_takes_to_end(worker: dict[str, Any]) -> None:
    assert parse_duration(worker["stop_grace_period"]) > timedelta(seconds=HARD_END)


@pytest.mark.slow
def test_the_build_leaves_byte_code_of_all_of_python_that_a_health_check_loads(
    steps: list[tuple[str, str]], tmp_path: Path
) -> None:
    """The base image has none, and what runs in it may write none."""
    run = [arguments for instruction, arguments in steps if instruction == "RUN"][-1]
    at_build = re.search(r'python -c "([^"]+)"', run)
    assert at_build is not None
    new_database(tmp_path / "n.db")
    (tmp_path / "watchlist.yaml").write_text(f"database: sqlite:///{tmp_path}/n.db\n")
    check = "from notifier.__main__ import main\ntry:\n    main()\nexcept SystemExit:\n    pass"
    compiled, needed = (
        loaded(statements, "status", "--healthy", "--config", str(tmp_path / "watchlist.yaml"))
        for statements in (at_build[1], check)
    )
    assert "sqlite3.dbapi2" in needed
    assert {name for name in needed - compiled if not name.startswith("encodings.")} == set()  # which are a few lines


def loaded(statements: str, *arguments: str) -> set[str]:
    """The modules of Python's own that are loaded when these have been executed."""
    look = f"import sys\n{statements}\nprint(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", look, *arguments], capture_output=True, text=True, check=True)
    return {name for name in ended.stdout.split() if name.partition(".")[0] in sys.stdlib_module_names}
