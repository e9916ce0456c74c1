"""What is read of a watchlist by those who only look into the database."""

from pathlib import Path

import pytest

from notifier.model.errors import WatchlistError
from notifier.watchlist.reading.outline import read_outline
from notifier.watchlist.reading.place import Place, default_database, read_place

GOOD = """version: 1
database: sqlite:///state/n.db
workspaces:
  production: {api_key: "${API_KEY}", base_url: "http://127.0.0.1:1/api/v1"}
  europe: {api_key: "${API_KEY}", region: eu}
watches: [{syncs: all, workspace: production}]
receivers:
  hook: {type: webhook, url: "https://example.com/x", secret: "${SECRET}"}
"""
DATABASE = Path("state/n.db")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "watchlist.yaml"
    path.write_text(text)
    return path


def test_no_secret_is_needed(tmp_path: Path) -> None:
    outline = read_outline(written(tmp_path, GOOD), {})
    assert (outline.database, outline.receivers, outline.lacks) == (DATABASE, ("hook",), None)
    assert {name: workspace.app_url for name, workspace in outline.workspaces.items()} == {
        "production": "http://127.0.0.1:1",
        "europe": "https://app-eu.getcensus.com",
    }


@pytest.mark.parametrize(
    ("good", "wrong"),
    [
        ("syncs: all", "syncs: al"),
        ("version: 1", "version: 7"),
        ("receivers:\n", "recievers:\n"),
        ("workspaces:\n", "routes: [{receivers: [growht]}]\nworkspaces:\n"),
        ("version: 1", "version: 1\nversion: 1"),
    ],
)
def test_no_correct_rest_is_needed(tmp_path: Path, good: str, wrong: str) -> None:
    assert read_outline(written(tmp_path, GOOD.replace(good, wrong)), {}).database == DATABASE


@pytest.mark.parametrize("rest", ["watches: [", "\t- x", "a: b: c", "receivers: 'open"])
def test_not_even_correct_yaml_is_needed_but_it_is_said_that_names_are_not_known(tmp_path: Path, rest: str) -> None:
    outline = read_outline(written(tmp_path, f"database: sqlite:///state/n.db  # here\n{rest}\n"), {})
    assert (outline.database, outline.receivers) == (DATABASE, ())
    assert "not valid YAML" in str(outline.lacks)


def test_a_workspace_whose_address_is_not_known_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    outline = read_outline(written(tmp_path, GOOD.replace("region: eu", 'region: "${REGION}"')), {})
    assert set(outline.workspaces) == {"production"}
    assert "API_KEY is not set" in str(outline.lacks)


@pytest.mark.parametrize(
    ("line", "env", "database"),
    [
        ("database: ${DB:-sqlite:///other.db}", {}, "other.db"),
        ("database: ${DB:-sqlite:///other.db}", {"DB": "sqlite:////data/n.db"}, "/data/n.db"),
        ("", {}, "notifier.db"),
    ],
)
def test_the_database_may_come_from_the_environment_or_be_the_default(
    tmp_path: Path, line: str, env: dict[str, str], database: str
) -> None:
    path = written(tmp_path, GOOD.replace("database: sqlite:///state/n.db", line))
    assert read_outline(path, env).database == Path(database)


@pytest.mark.parametrize("wrong", ["mysql://x", "${DB}", "5", ""])
def test_a_wrong_database_alone_is_reported(tmp_path: Path, wrong: str) -> None:
    path = written(tmp_path, GOOD.replace("sqlite:///state/n.db", wrong).replace("syncs: all", "syncs: al"))
    with pytest.raises(WatchlistError) as caught:
        read_outline(path, {})
    assert [problem.path for problem in caught.value.problems] == ["database"]


def test_a_watchlist_that_is_not_there_tells_no_database(tmp_path: Path) -> None:
    with pytest.raises(WatchlistError, match="there is no such file"):
        read_outline(tmp_path / "watchlist.yaml", {})


def test_without_a_watchlist_the_environment_says_where_the_database_is() -> None:
    assert default_database({}) == Path("notifier.db")
    assert default_database({"NOTIFIER_DATABASE": "sqlite:////data/n.db"}) == Path("/data/n.db")
    assert default_database({"NOTIFIER_DATABASE": "nonsense"}) is None


@pytest.mark.parametrize(
    ("good", "wrong"),
    [
        ("", ""),
        ("syncs: all", "syncs: al"),
        ("version: 1", "version: 1\nversion: 1"),
        ("region: eu", "region: mars"),
        ("database: sqlite:///state/n.db\n", "x: &d {database: sqlite:///state/n.db}\n<<: *d\n"),
    ],
)
def test_the_place_alone_is_that_of_the_outline_and_needs_no_correct_rest(
    tmp_path: Path, good: str, wrong: str
) -> None:
    path = written(tmp_path, GOOD.replace(good, wrong))
    outline = read_outline(path, {})
    assert read_place(path, {}) == Place(DATABASE, ("hook",))
    assert (outline.database, outline.receivers) == (DATABASE, ("hook",))


@pytest.mark.parametrize(
    "database", ["mysql://x", "7", "[sqlite:///n.db]", "", "${DATABASE}", "sqlite:///n.db\ndatabase: x"]
)
def test_what_is_wrong_with_the_place_is_told_in_the_outlines_words(tmp_path: Path, database: str) -> None:
    path = written(tmp_path, GOOD.replace("sqlite:///state/n.db", database))
    told = []
    for read in (read_outline, read_place):
        with pytest.raises(WatchlistError) as raised:
            read(path, {})
        told.append(str(raised.value))
    assert told[0] == told[1]


def test_a_place_in_what_is_no_yaml_is_found_all_the_same_and_lacks_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path, f"{GOOD}watches: [")
    place = read_place(path, {})
    assert (place.database, place.receivers) == (DATABASE, ())
    assert place.lacks is not None
