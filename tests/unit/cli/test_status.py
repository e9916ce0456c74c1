"""What `status` says of workspaces whose API version ends."""

from datetime import date

import pytest

from notifier.cli.status import endings
from notifier.model.api_version import ApiVersion
from notifier.store.views.overview import WorkspaceView

TODAY = date(2026, 11, 27)
REMEDY = "give the workspace a token, as docs/v2.md says"


def a_workspace(name: str, api: ApiVersion | None = ApiVersion.V1) -> WorkspaceView:
    return WorkspaceView(name, api=api)


def test_one_line_names_the_workspaces_until_when_and_what_to_do() -> None:
    others = [a_workspace("new", ApiVersion.V2), a_workspace("unknown", None)]
    assert endings([a_workspace("production"), *others, a_workspace("staging")], TODAY) == [
        f"API version 1 until 2027-01-15, 49 days left (production, staging): {REMEDY}."
    ]


@pytest.mark.parametrize("api", [ApiVersion.V2, None])
def test_nothing_is_said_where_no_end_is_known(api: ApiVersion | None) -> None:
    assert endings([a_workspace("production", api)], TODAY) == []


def test_of_many_workspaces_the_first_are_named() -> None:
    def names(number: int) -> str:
        (line,) = endings([a_workspace(f"w{each}") for each in range(number)], TODAY)
        return line.partition("(")[2].partition(")")[0]

    assert names(5) == "w0, w1, w2, w3, w4"
    assert names(6) == "w0, w1, w2, w3, w4 and 1 more"


def test_after_the_end_it_says_so() -> None:
    assert endings([a_workspace("production")], date(2027, 1, 15)) == [
        f"API version 1 retired on 2027-01-15 (production): {REMEDY}."
    ]


def test_a_name_can_not_say_anything_to_the_terminal() -> None:
    (line,) = endings([a_workspace("a\x1b[1m\nb")], TODAY)
    assert "\x1b" not in line
    assert "\n" not in line
