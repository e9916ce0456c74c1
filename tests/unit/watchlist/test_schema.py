"""The JSON Schema: committed as it is generated, and of one mind with the loader."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from notifier.model.errors import WatchlistError
from notifier.watchlist.reading.load import load_watchlist, watchlist_schema

ROOT = Path(__file__).parents[3]
GOOD: dict[str, Any] = {
    "version": 1,
    "workspaces": {"p": {"api_key": "k"}},
    "watches": [{"sync": 1}],
    "receivers": {"w": {"type": "webhook", "url": "https://h/x"}},
}


def accepts(data: object) -> bool:
    return bool(Draft202012Validator(watchlist_schema()).is_valid(data))


def test_the_committed_schema_is_the_generated_one() -> None:
    """After a change of the models: notifier schema > watchlist.schema.json"""
    assert json.loads((ROOT / "watchlist.schema.json").read_text()) == watchlist_schema()


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(watchlist_schema())


def test_the_schema_accepts_the_example() -> None:
    assert accepts(YAML(typ="safe", pure=True).load(ROOT / "watchlist.example.yaml"))


SAME = [
    ({}, True),
    ({"version": 2}, False),
    ({"checks": {}}, True),
    ({"retention": "1h30m"}, True),
    ({"retention": "30m1h"}, False),
    ({"retention": "30"}, False),
    ({"retention": 30}, False),
    ({"retention": None}, False),
    ({"routes": []}, False),
    ({"routes": None}, False),
    ({"routes": [{"receivers": ["w"]}]}, True),
    ({"routes": [{"receivers": ["w"], "events": None}]}, False),
    ({"routes": [{"receivers": ["w"], "syncs": [1, "a*"]}]}, True),
    ({"routes": [{"receivers": ["w"], "syncs": [0]}]}, False),
    ({"database": "postgres://h"}, True),
    ({"database": "mysql://h"}, False),
    ({"delivery": {"first_retry": "1s"}}, True),
    ({"delivery": {"first_try": "1s"}}, False),
    ({"heartbeat": {"url": "https://h/ping"}}, True),
    ({"heartbeat": {"url": "https://h/${A}", "every": "5m"}}, True),
    ({"heartbeat": {"every": "5m"}}, False),
    ({"heartbeat": {"url": "h/ping"}}, False),
    ({"heartbeat": {"url": "https://h/ping", "every": 60}}, False),
    ({"heartbeat": None}, False),
    ({"watches": []}, False),
    ({"watches": [{"sync": 1, "sync_run": 2}]}, False),
    ({"watches": [{"labels": {}}]}, False),
    ({"watches": [{"sync": "1"}]}, True),
    ({"watches": [{"sync": "glimmering_donkey"}, {"sync_run": "007"}]}, True),
    *(({"watches": [{"sync": value}]}, False) for value in ("0", "-1", "", "two words", "..", 0, -1, 1.5, "a" * 201)),
    ({"watches": [{"sync": "${A}"}]}, True),
    ({"watches": [{"sync": True}]}, False),
    ({"watches": [{"syncs": "all"}]}, True),
    ({"watches": [{"syncs": "some"}]}, False),
    ({"watches": [{"syncs": {}}]}, False),
    ({"watches": [{"syncs": {"label": "a"}}, {"syncs": {"exclude_label": ["a"]}}]}, True),
    ({"watches": [{"sync": 1, "labels": {"a": 1}}]}, False),
    ({"watches": [{"syncs": "${ALL}"}]}, True),
    ({"routes": [{"receivers": ["w"], "syncs": ["${A}"]}]}, True),
    ({"workspaces": {"p": {"api_key": "k", "region": "eu"}}}, True),
    ({"workspaces": {"p": {"api_key": "k", "region": "au"}}}, True),
    ({"workspaces": {"p": {"api_key": "k", "region": "${R}"}}}, True),
    ({"workspaces": {"p": {"api_key": "k", "region": "uk"}}}, False),
    ({"workspaces": {"p": {"api_key": "k", "region": "us", "base_url": "http://h"}}}, False),
    ({"workspaces": {"p": {"api_key": "k", "max_requests_per_second": 0.5}}}, True),
    ({"workspaces": {"p": {"api_key": "k", "max_requests_per_second": "${A}"}}}, True),
    ({"workspaces": {"p": {"api_key": "k", "max_requests_per_second": 0}}}, False),
    ({"workspaces": {}}, False),
    ({"receivers": {"s": {"type": "slack", "token": "t", "channel": "c"}}}, True),
    ({"receivers": {"s": {"type": "slack", "token": "t"}}}, False),
    ({"receivers": {"s": {"type": "slak", "token": "t", "channel": "c"}}}, False),
    ({"receivers": {"w": {"type": "webhook", "url": "https://h", "secret": "whsec_" + "QUJD" * 8}}}, True),
    ({"receivers": {"w": {"type": "webhook", "url": "https://h", "secret": "abc"}}}, False),
    ({"receivers": {"w": {"type": "webhook", "url": "https://h", "headers": {"A": "b"}}}}, True),
    ({"receivers": {"w": {"type": "webhook", "url": "ftp://h"}}}, False),
    ({"server": {}}, True),
    ({"server": {"listen": "127.0.0.1:8080", "token": "t"}}, True),
    ({"server": {"listen": "[::1]:8080"}}, True),
    ({"server": {"listen": "localhost:0"}}, True),
    ({"server": {"listen": 8080}}, False),
    ({"server": {"listen": ":8080"}}, False),
    ({"server": {"listen": "notifier.example.com:8080"}}, False),
    ({"server": {"token": ""}}, False),
    ({"workspaces": {"p": {"api_key": "k", "lifecycle_webhook": {"secret": "s"}}}}, True),
    ({"workspaces": {"p": {"api_key": "k", "lifecycle_webhook": {}}}}, False),
]


@pytest.mark.parametrize(("change", "good"), SAME)
def test_schema_and_loader_judge_alike(tmp_path: Path, change: dict[str, object], good: bool) -> None:
    data = {**GOOD, **change}
    path = tmp_path / "watchlist.yaml"
    path.write_text(json.dumps(data))
    try:
        load_watchlist(path, {"A": "3", "R": "eu", "ALL": "all"})
    except WatchlistError:
        loads = False
    else:
        loads = True
    assert (loads, accepts(data)) == (good, good)
