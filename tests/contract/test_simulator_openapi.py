"""The simulator keeps to census-openapi.yaml, over a real socket; and the file's examples keep to its schemas."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped, unused-ignore]
import pytest
import schemathesis
from hypothesis import settings
from ruamel.yaml import YAML

import notifier.simulator
from notifier.simulator import CensusSimulator, SimulatorThread
from tests.contract.openapi import BOUNDED, ask, has_key

OPENAPI = Path(notifier.simulator.__file__).with_name("census-openapi.yaml")

schema = schemathesis.openapi.from_path(OPENAPI)
valid = schemathesis.openapi.from_path(OPENAPI)
valid.config.generation.update(modes=[schemathesis.GenerationMode.POSITIVE])  # no unknown methods, no missing keys

KNOWN = {"sync_id": 52, "sync_run_id": 94}
OPERATIONS = [
    (path, method)
    for path, methods in YAML(typ="safe").load(OPENAPI.read_text(encoding="utf-8"))["paths"].items()
    for method in methods
]


@pytest.fixture(scope="module")
def census() -> Iterator[SimulatorThread]:
    with SimulatorThread() as simulator:
        simulator.add_sync(id=52, label="New Signups to Leads")
        for status in ("completed", "failed", "skipped", "queued", "preparing"):
            simulator.add_run(52, status=status)
        simulator.add_run(52, id=94, status="working", error_detail="a detail", records_failed=3)
        simulator.set_records(94, [{"identifier": "1", "operation": "upsert", "status": "succeeded"}] * 30)
        yield simulator


@schema.parametrize()
@BOUNDED
def test_every_answer_to_a_generated_request_is_one_that_the_file_describes(
    case: schemathesis.Case[Any], census: SimulatorThread
) -> None:
    response = _ask(case, census)
    assert response.status_code in ((200, 404) if has_key(response) else (401,))


@valid.parametrize()
@BOUNDED
def test_an_object_that_exists_is_answered_200_in_the_shape_that_the_file_describes(
    case: schemathesis.Case[Any], census: SimulatorThread
) -> None:
    case.path_parameters |= {name: KNOWN[name] for name in case.path_parameters}
    response = _ask(case, census)
    assert response.status_code == 200


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_operation_of_the_file_answers_a_plain_request(
    operation: tuple[str, str], census: SimulatorThread
) -> None:
    """What is generated may come without a key; this one has it in any case."""
    path, method = operation
    known = {name: value for name, value in KNOWN.items() if f"{{{name}}}" in path}
    case = schema[path][method].Case(path_parameters=known)
    assert _ask(case, census).status_code == 200


@schema.parametrize()
@settings(BOUNDED, max_examples=2)
def test_without_the_key_every_operation_answers_401(case: schemathesis.Case[Any], census: SimulatorThread) -> None:
    response = _ask(case, census, key="wrong")
    assert response.status_code == 401


def test_an_answer_that_breaks_the_schema_is_noticed(census: SimulatorThread) -> None:
    """The checks above can fail: an answer of a wrong shape does not pass them."""
    handle = census.fault(notifier.simulator.Transform(lambda answer: answer | {"data": {"id": "not a number"}}))
    try:
        case = schema["/sync_runs/{sync_run_id}"]["GET"].Case(path_parameters={"sync_run_id": 94})
        with pytest.raises(BaseException, match="Response violates schema"):
            _ask(case, census)
    finally:
        handle.clear()
    assert handle.hits > 0


def _ask(case: schemathesis.Case[Any], census: SimulatorThread, *, key: str | None = None) -> schemathesis.Response:
    return ask(case, census.base_url, key or census.api_key)


def _document() -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(OPENAPI.read_text(encoding="utf-8"))
    return document


def _validator(document: dict[str, Any], pointer: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": pointer, "components": document["components"]})


@pytest.mark.parametrize("name", ["Completed", "Failed"])
def test_the_examples_of_a_run_follow_its_schema(name: str) -> None:
    document = _document()
    example = document["components"]["examples"][name]["value"]
    assert example["status"] == "success"
    _validator(document, "#/components/schemas/SyncRun").validate(example["data"])


def test_every_example_of_the_file_is_among_those_checked_here() -> None:
    document = _document()
    assert set(document["components"]["examples"]) == {"Completed", "Failed"}


@pytest.mark.parametrize("name", ["failed", "completed", "alert"])
def test_the_examples_of_a_lifecycle_webhook_follow_its_schema(name: str) -> None:
    document = _document()
    content = document["webhooks"]["syncLifecycle"]["post"]["requestBody"]["content"]["application/json"]
    assert set(content["examples"]) == {"failed", "completed", "alert"}
    _validator(document, "#/components/schemas/LifecycleEvent").validate(content["examples"][name]["value"])


def test_a_run_and_a_sync_of_the_simulator_have_every_field_of_the_file() -> None:
    schemas = _document()["components"]["schemas"]
    simulator = CensusSimulator()
    sync = simulator.add_sync()
    assert set(sync) == set(schemas["Sync"]["properties"])
    assert set(simulator.add_run(sync["id"], status="working")) == set(schemas["SyncRun"]["properties"])
