"""What each version of the API is asked, and what it makes of the answers."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from notifier.census.v1 import V1
from notifier.census.v2 import V2
from notifier.census.versions import version_of, versions_of
from notifier.model.errors import CensusError, NotFound, Unauthorized, Unusable
from notifier.watchlist.models import Workspace

KEY, TOKEN = SecretStr("the-key"), SecretStr("the-token")
HOST = "http://127.0.0.1:1"


def a_list(*items: dict[str, Any]) -> bytes:
    pagination = {"total_records": len(items), "per_page": 100, "page": 1, "last_page": 1, "next_page": None}
    return json.dumps({"status": "success", "data": items, "pagination": pagination}).encode()


@pytest.mark.parametrize(
    ("settings", "addresses"),
    [
        (Workspace(api_key=KEY), ["https://app.getcensus.com/api/v1"]),
        (Workspace(token=TOKEN), ["https://app.getcensus.com/api/v2"]),
        (Workspace(token=TOKEN, region="eu"), ["https://app-eu.getcensus.com/api/v2"]),
        (Workspace(api_key=KEY, region="au"), ["https://app-au.getcensus.com/api/v1"]),
        (Workspace(api_key=KEY, base_url=HOST + "/census/"), [HOST + "/census"]),
        (
            Workspace(token=TOKEN, api_key=KEY),
            ["https://app.getcensus.com/api/v2", "https://app.getcensus.com/api/v1"],
        ),
        (
            Workspace(token=TOKEN, api_key=KEY, base_url=HOST + "/v2proxy/api/v2/"),
            [HOST + "/v2proxy/api/v2", HOST + "/v2proxy/api/v1"],
        ),
        (Workspace(token=TOKEN, api_key=KEY, base_url=HOST + "/v2/api"), [HOST + "/v2/api", HOST + "/v1/api"]),
    ],
)
def test_the_version_in_use_comes_first_and_the_other_is_where_its_name_stands(
    settings: Workspace, addresses: list[str]
) -> None:
    assert [version.base_url for version in versions_of(settings)] == addresses
    assert version_of(settings).base_url == addresses[0]


def test_each_version_asks_with_its_own_key() -> None:
    both = versions_of(Workspace(token=TOKEN, api_key=KEY))
    assert [(version.NAME, version.authorization) for version in both] == [
        ("v2", "Bearer the-token"),
        ("v1", "Bearer the-key"),
    ]


def test_a_group_goes_with_each_list_and_with_nothing_else() -> None:
    version = version_of(Workspace(token=TOKEN, group="wandering aimlessly&x"))
    group = "&group_id=wandering%20aimlessly%26x"
    assert version.syncs_path(page=2, per_page=100) == "/syncs?page=2&per_page=100&order=asc" + group
    assert version.runs_path(52, page=1, per_page=5) == "/syncs/52/sync_runs?page=1&per_page=5&order=desc" + group
    assert version.run_path(93) == "/sync_runs/93"
    assert version.runs_path("a/b", page=1, per_page=5).startswith("/syncs/a%2Fb/sync_runs?")


@pytest.mark.parametrize("version", [V1(HOST, "k"), V2(HOST, "k")])
def test_without_a_group_none_is_asked_for_and_all_that_is_shown_is_of_the_workspace(version: V1 | V2) -> None:
    assert version.syncs_path(page=1, per_page=100) == "/syncs?page=1&per_page=100&order=asc"
    assert version.runs_path(52, page=3, per_page=5) == "/syncs/52/sync_runs?page=3&per_page=5&order=desc"
    page = version.syncs_page(a_list({"id": 1, "group_id": "g"}, {"id": 2}), 1)
    assert [sync.id for sync in page.syncs] == [1, 2]
    assert page.foreign == frozenset()


def test_a_sync_that_says_that_it_is_of_another_group_is_not_of_the_workspace() -> None:
    items: list[dict[str, Any]] = [
        {"id": 1, "group_id": "mine"},
        {"id": "theirs", "group_id": "other"},
        {"id": 3},
        {"id": 4, "group_id": None},
        {"label": "without an ID", "group_id": "other"},
    ]
    page = V2(HOST, "k", "mine").syncs_page(a_list(*items), 1)
    assert [sync.id for sync in page.syncs] == [1, 3, 4]
    assert page.foreign == {"theirs"}
    assert page.unreadable == 1


@pytest.mark.parametrize("group", [7, "7"])
def test_a_group_that_is_a_number_is_the_one_that_is_named_so(group: object) -> None:
    assert [sync.id for sync in V2(HOST, "k", "7").syncs_page(a_list({"id": 1, "group_id": group}), 1).syncs] == [1]


def test_two_groups_are_two_sources_and_so_are_two_versions_and_two_keys_where_no_group_is_named() -> None:
    versions: list[V1 | V2] = [
        V1(HOST + "/v1", "k"),
        V1(HOST + "/v1", "another"),
        V2(HOST + "/v2", "k"),
        V2(HOST + "/v2", "another"),
        V2(HOST + "/v2", "k", "a"),
        V2(HOST + "/v2", "k", "b"),
    ]
    assert len({version.source for version in versions}) == len(versions)
    assert V2(HOST, "k", "a").source == V2(HOST, "another", "a").source
    assert V1(HOST, "the-key").source == V1(HOST, "the-key").source
    assert not any("another" in version.source for version in versions), "a secret"


@pytest.mark.parametrize(
    ("status", "path", "kind", "words"),
    [
        (404, "/syncs?page=1", NotFound, ["HTTP 404 Not Found", "2027-01-15", "a token"]),
        (410, "/syncs?page=1", NotFound, ["HTTP 410 Gone", "2027-01-15", "a token"]),
        (301, "/syncs?page=1", Unusable, ["redirects are not followed", "2027-01-15", "a token"]),
        (308, "/sync_runs/93", Unusable, ["redirects are not followed", "2027-01-15", "a token"]),
        (401, "/syncs?page=1", Unauthorized, ["HTTP 401 Unauthorized: the API key is wrong or lacks access"]),
        (403, "/syncs?page=1", Unauthorized, ["HTTP 403 Forbidden: the API key is wrong or lacks access"]),
    ],
)
def test_version_1_says_that_it_ends_where_that_may_be_why(
    status: int, path: str, kind: type[CensusError], words: list[str]
) -> None:
    error = V1(HOST, "k").error_of(status, path)
    assert type(error) is kind
    assert all(word in str(error) for word in words)
    assert "version 1" in str(error) or kind is Unauthorized


@pytest.mark.parametrize("version", [V1(HOST, "k"), V2(HOST, "k")])
def test_one_object_that_is_not_found_is_no_end_of_a_version(version: V1 | V2) -> None:
    assert str(version.error_of(404, "/sync_runs/93")) == "HTTP 404 Not Found"
    assert str(version.error_of(404, "/syncs/52/sync_runs?page=1")) == "HTTP 404 Not Found"
    assert str(version.error_of(400, "/syncs?page=1")) == "HTTP 400 Bad Request"
    assert version.error_of(204, "/syncs?page=1") is None


def test_version_2_says_what_may_be_wrong_with_a_token() -> None:
    refused = V2(HOST, "k").error_of(401, "/syncs?page=1")
    assert isinstance(refused, Unauthorized)
    assert refused.credential == "token"
    assert "ends with its owner's access" in str(refused)
    assert "2027" not in str(V2(HOST, "k").error_of(410, "/syncs?page=1"))
    assert "region, base_url or group" in str(V2(HOST, "k", "g").error_of(404, "/syncs?page=1"))
