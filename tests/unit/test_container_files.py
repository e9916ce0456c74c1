"""Facts that Dockerfile, docker-compose.yml and the project must agree on; .ci/container runs what they say."""

import json
import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from ruamel.yaml import YAML

from notifier.config.durations import parse_duration
from notifier.ending import HARD_END

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def image() -> dict[str, list[str]]:
    """What .ci/container is told of the image; its `environment` holds the compose file's too."""
    told = subprocess.run([sys.executable, ROOT / ".ci/image.py"], capture_output=True, text=True, check=True)
    parts: dict[str, list[str]] = json.loads(told.stdout)
    return parts


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
    named = re.fullmatch(r"python:(3\.\d+)-slim", base)
    assert named is not None
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


def test_the_worker_is_not_root_and_writes_only_to_its_volume_and_tmp(
    image: dict[str, list[str]], worker: dict[str, Any], mounts: dict[str, list[str]]
) -> None:
    user, group = map(int, image["user"])
    assert user > 0 < group
    assert worker["read_only"] is True
    assert worker["tmpfs"] == "/tmp"
    assert worker["cap_drop"] == ["ALL"]
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
