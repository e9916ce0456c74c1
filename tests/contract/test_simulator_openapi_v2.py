"""The simulator's version 2 keeps to census-openapi-v2.yaml, whose every statement says where it comes from."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import jsonschema  # type: ignore[import-untyped, unused-ignore]
import pytest
import schemathesis
from hypothesis import settings
from ruamel.yaml import YAML

import notifier.simulator
from notifier.simulator import CensusSimulator, SimulatorThread
from tests.contract.openapi import BOUNDED, ask, has_key

OPENAPI = Path(notifier.simulator.__file__).with_name("census-openapi-v2.yaml")
DOCUMENT: dict[str, Any] = YAML(typ="safe").load(OPENAPI.read_text(encoding="utf-8"))
KNOWN = {"sync_id": "glimmering_donkey", "sync_run_id": "brave_otter"}
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]

schema = schemathesis.openapi.from_path(OPENAPI)
valid = schemathesis.openapi.from_path(OPENAPI)
valid.config.generation.update(modes=[schemathesis.GenerationMode.POSITIVE])  # no unknown methods, no missing keys


@pytest.fixture(scope="module")
def census() -> Iterator[SimulatorThread]:
    with SimulatorThread(versions="v2") as simulator:
        simulator.add_sync(id="glimmering_donkey", label="New Signups to Leads", group_id="wandering_aimlessly")
        simulator.add_sync(id=52, label="Accounts", group_id="another")
        for status in ("completed", "failed", "skipped", "queued", "preparing"):
            simulator.add_run("glimmering_donkey", status=status)
        simulator.add_run("glimmering_donkey", id="brave_otter", status="working", records_failed=3)
        simulator.set_records("brave_otter", [{"identifier": "1", "operation": "upsert", "status": "succeeded"}] * 30)
        yield simulator


@schema.parametrize()
@BOUNDED
def test_every_answer_to_a_generated_request_is_one_that_the_file_describes(
    case: schemathesis.Case[Any], census: SimulatorThread
) -> None:
    response = ask(case, census.base_url, census.token)
    assert response.status_code in ((200, 404) if has_key(response) else (401,))


@valid.parametrize()
@BOUNDED
def test_an_object_that_exists_is_answered_200_in_the_shape_that_the_file_describes(
    case: schemathesis.Case[Any], census: SimulatorThread
) -> None:
    case.path_parameters |= {name: KNOWN[name] for name in case.path_parameters}
    assert ask(case, census.base_url, census.token).status_code == 200


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_operation_of_the_file_answers_a_plain_request(
    operation: tuple[str, str], census: SimulatorThread
) -> None:
    path, method = operation
    known = {name: value for name, value in KNOWN.items() if f"{{{name}}}" in path}
    case = schema[path][method].Case(path_parameters=known)
    assert ask(case, census.base_url, census.token).status_code == 200


@schema.parametrize()
@settings(BOUNDED, max_examples=2)
def test_without_the_token_every_operation_answers_401(case: schemathesis.Case[Any], census: SimulatorThread) -> None:
    assert ask(case, census.base_url, census.api_key).status_code == 401


def get(url: str, key: str) -> tuple[int, Any]:
    try:
        with urlopen(Request(url, headers={"Authorization": f"Bearer {key}"})) as answer:  # noqa: S310 - our own URL
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error) if "json" in error.headers["Content-Type"] else None


def test_a_list_of_syncs_is_that_of_the_group_that_is_asked_for(census: SimulatorThread) -> None:
    def listed(query: str = "") -> set[int | str]:
        return {sync["id"] for sync in get(f"{census.base_url}/syncs{query}", census.token)[1]["data"]}

    assert listed() == {"glimmering_donkey", 52}
    assert listed("?group_id=wandering_aimlessly") == {"glimmering_donkey"}
    assert listed("?group_id=unknown") == set()


def test_version_1_ends_on_its_day_and_version_2_goes_on() -> None:
    with SimulatorThread() as simulator:
        simulator.add_sync(id=52)
        old, new = simulator.base_url, simulator.base_url.replace("/v1", "/v2")
        day = datetime.now(UTC) + timedelta(days=1)
        for status in (410, 404):
            simulator.retire_v1(day, status)
            assert get(f"{old}/syncs", simulator.api_key)[0] == 200
            simulator.retire_v1(day - timedelta(days=2), status)
            assert get(f"{old}/syncs", simulator.api_key)[0] == status
            assert get(f"{old}/syncs", "wrong")[0] == status  # whoever asks
            assert get(f"{new}/syncs", simulator.token)[0] == 200
        assert get(f"{new}/syncs", simulator.api_key)[0] == 401


def statements() -> list[tuple[str, Any]]:
    """What the file says, each by itself, with where it stands."""
    found = [("info", DOCUMENT["info"]), *((server["url"], server) for server in DOCUMENT["servers"])]
    for place, operations in (DOCUMENT["paths"] | DOCUMENT["webhooks"]).items():
        found += [(f"{method} {place}", operation) for method, operation in operations.items()]
    for kind in ("securitySchemes", "parameters", "responses", "schemas"):
        found += [(f"{kind} {name}", value) for name, value in DOCUMENT["components"][kind].items()]
    return found


@pytest.mark.parametrize(("place", "statement"), statements())
def test_every_statement_says_whether_it_is_the_vendors_or_assumed(place: str, statement: Any) -> None:
    assert statement.get("x-source") in ("vendor", "assumed"), place


@pytest.mark.parametrize("name", ["failed", "completed", "alert"])
def test_the_examples_of_a_lifecycle_webhook_follow_its_schema(name: str) -> None:
    content = DOCUMENT["webhooks"]["syncLifecycle"]["post"]["requestBody"]["content"]["application/json"]
    assert set(content["examples"]) == {"failed", "completed", "alert"}
    schema_of = {"$ref": "#/components/schemas/LifecycleEvent", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema_of).validate(content["examples"][name]["value"])


def test_a_run_and_a_sync_of_the_simulator_have_every_field_of_the_file() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    simulator = CensusSimulator()
    sync = simulator.add_sync(group_id="wandering_aimlessly")
    assert set(sync) == set(schemas["Sync"]["properties"])
    assert set(simulator.add_run(sync["id"], status="working")) == set(schemas["SyncRun"]["properties"])
