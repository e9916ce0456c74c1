"""Which database a watchlist may name, how a wrong one is explained, and that no text shows a password."""

import json
from pathlib import Path
from urllib.parse import quote

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from notifier.model.errors import WatchlistError
from notifier.watchlist.database import ServerUrl, database_place, database_url
from notifier.watchlist.reading.load import load_watchlist, watchlist_schema

SHAPE = (
    "must be postgresql://user:password@host:5432/name; "
    "in the user and the password write %40 for @, %2F for /, %3F for ?"
)
PORTS = "must have a number for each port, as in postgresql://user:password@host:5432/name"
SPACE = "must have no space and no control character; write %20 for a space"
PERCENT = "must have two hexadecimal digits after each %; write %25 for % itself"

GOOD = [
    ("postgresql://user:canary@host:5432/name", "postgresql://host:5432/name"),
    ("postgres://user:canary@host/name", "postgres://host/name"),
    ("postgresql://host/name", "postgresql://host/name"),
    ("postgresql://host", "postgresql://host/"),
    ("postgresql://host/", "postgresql://host/"),
    ("postgresql:///name", "postgresql:///name"),
    ("postgresql://", "postgresql:///"),
    ("postgresql://user@", "postgresql:///"),
    ("postgresql://user:canary@/name", "postgresql:///name"),
    ("postgresql://user:can%40ary%2F%3A%25@host/name", "postgresql://host/name"),
    ("postgresql://us%3Aer:canary:canary@host/name", "postgresql://host/name"),
    ("postgresql://user:canary@one:5432,two:5433/name", "postgresql://one:5432,two:5433/name"),
    ("postgresql://user:canary@one,two/name?target_session_attrs=any", "postgresql://one,two/name"),
    ("postgresql://user:canary@[::1]:5432/name", "postgresql://[::1]:5432/name"),
    ("postgresql://user:canary@[2001:db8::1],[::1]:5/name", "postgresql://[2001:db8::1],[::1]:5/name"),
    ("postgresql://user@%2Frun%2Fpostgresql/name", "postgresql://%2Frun%2Fpostgresql/name"),
    ("postgresql:///name?host=%2Frun%2Fpostgresql", "postgresql:///name"),
    ("postgresql:///name?host=/run/postgresql", "postgresql:///name"),
    ("postgresql://host/name?user=u&password=canary", "postgresql://host/name"),
    ("postgresql://host/name?password=can%40ary%26", "postgresql://host/name"),
    ("postgresql://host/name?sslmode=verify-full&sslrootcert=system", "postgresql://host/name"),
    ("postgresql://host/name?passfile=%2Fetc%2Fnotifier%2Fpgpass", "postgresql://host/name"),
    ("postgresql:///?service=notifier", "postgresql:///"),
    ("postgresql://host/name?sslpassword=canary", "postgresql://host/name"),
    ("postgresql://u:canary#x@host/name", "postgresql://host/name"),
]
WRONG = [
    ("postgresql://user:can@ary@host/name", SHAPE),
    ("postgresql://user:can/ary@host/name", SHAPE),
    ("postgresql://user:can?ary@host/name", SHAPE),
    ("postgresql://host/name?password=can@ary", SHAPE),
    ("postgresql://host/name/canary", SHAPE),
    ("postgresql://user:canary/name", PORTS),
    ("postgresql://user:canary@host:port/name", PORTS),
    ("postgresql://user:canary@::1/name", PORTS),
    ("postgresql://user:canary@[::1/name", PORTS),
    ("postgresql://user:can ary@host/name", SPACE),
    ("postgresql://user:can\x7fary@host/name", SPACE),
    ("postgresql://user:can%ary@host/name", PERCENT),
    ("postgresql://host/name?password=canary%", PERCENT),
    ("mysql://user:canary@host/name", "no other database is supported"),
    ("postgresql+psycopg://user:canary@host/name", "no other database is supported"),
    ("PostgreSQL://user:canary@host/name", "no other database is supported"),
    ("postgresql:user:canary", "no other database is supported"),
]


def loaded(directory: Path, url: str) -> ServerUrl:
    path = directory / "watchlist.yaml"
    path.write_text(
        "version: 1\ndatabase: ${DATABASE}\nworkspaces: {p: {api_key: k}}\nwatches: [{sync: 1}]\n"
        "receivers: {w: {type: webhook, url: 'https://h/x'}}\n"
    )
    place = load_watchlist(path, {"DATABASE": url}).database_place
    assert isinstance(place, ServerUrl)
    return place


@pytest.mark.parametrize(("url", "shown"), GOOD)
def test_what_libpq_reads_is_taken_and_shown_without_what_is_secret(tmp_path: Path, url: str, shown: str) -> None:
    place = loaded(tmp_path, url)
    assert (place.url, str(place)) == (url, shown)
    assert "canary" not in str(place) + repr(place)
    psycopg.conninfo.conninfo_to_dict(url)


@pytest.mark.parametrize(("url", "reason"), WRONG)
def test_what_can_not_be_meant_is_refused_with_the_remedy_and_not_shown(tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(WatchlistError) as raised:
        loaded(tmp_path, url)
    [problem] = raised.value.problems
    assert (problem.line, problem.column, problem.path) == (2, 11, "database")
    assert reason in problem.message
    assert "canary" not in str(raised.value) + repr(raised.value) + repr(problem)


@pytest.mark.parametrize("url", [url for url, _ in GOOD if url.rstrip("/") != "postgresql:"])
def test_the_schema_takes_what_the_loader_takes(url: str) -> None:
    validator = Draft202012Validator(watchlist_schema())
    assert validator.evolve(schema={**watchlist_schema()["properties"]["database"]}).is_valid(url)


def test_the_schema_holds_no_password_and_refuses_another_database() -> None:
    schema = watchlist_schema()
    assert "canary" not in json.dumps(schema)
    assert not Draft202012Validator(schema["properties"]["database"]).is_valid("mysql://user:canary@host/name")


@given(st.text(min_size=1).filter(lambda text: "\0" not in text), st.sampled_from(["user", "option"]))
def test_any_password_that_is_quoted_is_taken_and_none_is_shown(password: str, where: str) -> None:
    try:
        quoted = quote(f"canary{password}", safe="")
    except UnicodeEncodeError:  # half a character: no server has it
        return
    url = f"postgresql://user:{quoted}@host/name" if where == "user" else f"postgresql://host/name?password={quoted}"
    place = database_place(database_url(url))
    assert str(place) == "postgresql://host/name"
    assert "canary" not in repr(place)
    assert psycopg.conninfo.conninfo_to_dict(url)["password"] == f"canary{password}"


SYNTAX = st.text(alphabet="a:@/?%,[]=&#5\\", max_size=12)


@given(SYNTAX, SYNTAX)
def test_what_libpq_takes_for_a_secret_is_no_part_of_the_text(before: str, after: str) -> None:
    url = f"postgresql://{before}canary{after}"
    try:
        place = database_place(database_url(url))
        read = psycopg.conninfo.conninfo_to_dict(url)
    except (ValueError, psycopg.ProgrammingError):
        return
    secret = "canary" in f"{read.get('password')}{read.get('user')}"
    assert not (secret and "canary" in str(place))
