"""What the commands and the server say as JSON."""

import json
from datetime import UTC, datetime

import pytest

from notifier.model.api_version import ApiVersion
from notifier.model.hints import Hints
from notifier.store.views.overview import WorkspaceView
from notifier.store.views.status import Status
from notifier.web.documents import status_document

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("api", "told"),
    [
        (ApiVersion.V1, {"api": "v1", "retires_on": "2027-01-15"}),
        (ApiVersion.V2, {"api": "v2", "retires_on": None}),
        (None, {"api": None, "retires_on": None}),  # no worker that knows versions has run yet
    ],
)
def test_a_workspace_says_by_which_version_it_is_read_and_when_that_ends(
    api: ApiVersion | None, told: dict[str, str | None]
) -> None:
    workspace = document_of(WorkspaceView("production", True, None, NOW, api=api))
    known = {"name": "production", "ok": True, "last_error": None, "last_polled_at": "2026-11-24T12:00:00.000Z"}
    assert workspace == {**known, **told, "hints": None, "requests_per_minute": None}


def test_a_workspace_says_how_many_requests_it_takes_and_how_far_its_list_is_trusted() -> None:
    workspace = document_of(WorkspaceView("production", hints=Hints.TRUSTED, requests_per_minute=164))
    assert (workspace["hints"], workspace["requests_per_minute"]) == ("trusted", 164)


def document_of(workspace: WorkspaceView) -> dict[str, object]:
    """A workspace in the JSON of `status`."""
    document = json.loads(json.dumps(status_document(Status(None, (), (workspace,), (), ()), running=True)))
    (found,) = document["workspaces"]
    return dict(found)
