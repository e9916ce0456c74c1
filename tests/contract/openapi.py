"""How an answer of the simulator is held against an OpenAPI file."""

from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS: Final = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOUNDED: Final = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def ask(case: schemathesis.Case[Any], base_url: str, key: str) -> schemathesis.Response:
    """Sends the case with this key in place of a generated one, and checks the answer."""
    case.headers["Authorization"] = f"Bearer {key}"
    return case.call_and_validate(base_url=base_url, checks=CHECKS)


def has_key(response: schemathesis.Response) -> bool:
    """Whether the request went out with a key: schemathesis takes it away where it tries the API without."""
    return "Authorization" in response.request.headers
