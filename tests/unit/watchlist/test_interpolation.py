"""`${NAME}` in values: where it comes from, what it is read as, and that nothing of it is ever shown."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from notifier.model.errors import WatchlistError
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import doubts, load_watchlist

TEXT = """\
version: 1
workspaces:
  production: {api_key: abc, %s}
watches:
  - sync: 52
    labels:
      team: %s
receivers:
  hook: {type: webhook, url: "https://example.com/hook"}
"""


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, env: Mapping[str, str]) -> Watchlist:
    Path("watchlist.yaml").write_text(text)
    return load_watchlist(Path("watchlist.yaml"), env)


def label(value: str, env: Mapping[str, str]) -> str:
    return load(TEXT % ("region: us", value), env).watches[0].labels["team"]


def mistake(value: str, env: Mapping[str, str]) -> str:
    with pytest.raises(WatchlistError) as caught:
        label(value, env)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${A}", "one"),
        ("'${A}'", "one"),
        ("${A}-${B}${A}", "one-twoone"),
        ("${NONE:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("'${EMPTY}'", ""),
        ("'${NONE:-}'", ""),
        ("${A:-x}", "one"),
        ("${NONE:-a:-b $ c}", "a:-b $ c"),
        ("$${A}", "${A}"),
        ("a$${b}${A}", "a${b}one"),
        ("$A $ $$", "$A $ $$"),
        ("'${YAML}'", "a: [1, 2]\nb: 3"),
        ("${SELF}", "${A}"),
        ("${NUMBER}", "007"),
    ],
)
def test_a_variable_is_filled_in_and_not_read_again(value: str, expected: str) -> None:
    env = {"A": "one", "B": "two", "EMPTY": "", "YAML": "a: [1, 2]\nb: 3", "SELF": "${A}", "NUMBER": "007"}
    assert label(value, env) == expected


@pytest.mark.parametrize(
    "value", ["'${'", "'${}'", "'${1A}'", "'${A'", "'${A-x}'", "'${A:x}'", "'${A:-${B}}'", "'${ A }'"]
)
def test_a_malformed_variable_is_an_error(value: str) -> None:
    assert mistake(value, {"A": "one", "B": "two"}) == (
        'watchlist.yaml:7:13: watches[0].labels.team: after "${" comes a name and "}", '
        'as in ${NAME} or ${NAME:-default}; a literal "${" is written "$${"'
    )


def test_a_variable_that_is_set_nowhere_is_an_error_with_the_remedy() -> None:
    assert mistake("x${NONE}", {}) == (
        "watchlist.yaml:7:13: watches[0].labels.team: "
        "NONE is not set: set NONE or NONE_FILE, or give a default: ${NONE:-…}"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("s3cret", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3cret\n\n", "s3cret\n"),
        ("a\r\n", "a"),
        ("\n", ""),
        (" a ", " a "),
    ],
)
def test_a_file_is_read_less_one_trailing_newline(content: str, expected: str) -> None:
    Path("file").write_bytes(content.encode())
    assert label("'${A}'", {"A_FILE": "file"}) == expected


def test_the_variable_wins_over_the_file_and_a_file_over_the_default() -> None:
    Path("file").write_text("from the file\n")
    assert label("${A:-default}", {"A": "variable", "A_FILE": "file"}) == "variable"
    assert label("${A:-default}", {"A_FILE": "file"}) == "from the file"
    assert label("${A:-default}", {"A_FILE": ""}) == "default"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/hidden-canary/none", "can't be read: No such file or directory"),
        (".", "can't be read: Is a directory"),
        ("canary\0", "can't be read: not a file name"),
        ("latin", "is not UTF-8"),
        ("large", "is larger than 64 KiB"),
    ],
)
def test_a_file_that_can_not_be_read_is_named_by_its_variable_only(name: str, reason: str) -> None:
    Path("latin").write_bytes(b"canary\xff")
    Path("large").write_bytes(b"x" * 65_537)
    told = mistake("${A}", {"A_FILE": name})
    assert told == f"watchlist.yaml:7:13: watches[0].labels.team: the file that A_FILE names {reason}"


def test_numbers_durations_and_words_are_read_from_text_where_they_are_due() -> None:
    text = TEXT % (
        "region: '${REGION}', max_requests_per_second: '${RATE}', "
        "max_concurrent_requests: '${N}', poll_interval: '${D}'",
        "x",
    )
    text = (
        text.replace("version: 1", "version: ${V}")
        .replace("sync: 52", "sync: ${ID}")
        .replace("type: webhook", "type: '${T}'")
    )
    env = {"REGION": "eu", "RATE": "2.5", "N": "3", "D": "5m", "V": "1", "ID": "77", "T": "webhook"}
    watchlist = load(text, env)
    workspace = watchlist.workspaces["production"]
    assert (workspace.region, workspace.max_requests_per_second, workspace.max_concurrent_requests) == ("eu", 2.5, 3)
    assert workspace.poll_interval.total_seconds() == 300
    assert (watchlist.version, watchlist.watches[0].sync) == (1, 77)


@pytest.mark.parametrize("text", ["canary", "1.5", "", "true", "1 2", "9" * 5_000])
def test_text_that_is_no_whole_number_is_refused_unseen(text: str) -> None:
    with pytest.raises(WatchlistError) as caught:
        load((TEXT % ("max_concurrent_requests: '${N}'", "x")), {"N": text})
    assert str(caught.value) == (
        "watchlist.yaml:3:55: workspaces.production.max_concurrent_requests: must be a whole number"
    )


def test_a_quoted_number_that_was_not_interpolated_stays_an_error() -> None:
    with pytest.raises(WatchlistError, match="must be a whole number; remove the quotes"):
        load((TEXT % ("max_concurrent_requests: '3'", "x")), {})


def test_a_variable_without_quotes_in_braces_is_no_yaml_and_the_error_says_what_to_do() -> None:
    with pytest.raises(WatchlistError) as caught:
        load((TEXT % ("region: us", "x")).replace("abc", "${A}"), {"A": "one"})
    assert "inside of { } and [ ] put quotes around ${NAME}" in str(caught.value)


def test_keys_are_not_interpolated() -> None:
    watchlist = load((TEXT % ("region: us", "x")).replace("team", "'${A}'"), {"A": "one"})
    assert watchlist.watches[0].labels == {"${A}": "x"}


def test_an_aliased_value_that_is_not_set_is_reported_once() -> None:
    text = (TEXT % ("region: us", "&a '${NONE}'")).replace(
        "receivers:", "  - {sync: 53, labels: {team: *a}}\nreceivers:"
    )
    with pytest.raises(WatchlistError) as caught:
        load(text, {})
    assert len(caught.value.problems) == 1


def test_a_type_that_is_not_set_brings_no_other_error() -> None:
    with pytest.raises(WatchlistError) as caught:
        load((TEXT % ("region: us", "x")).replace("type: webhook", "type: '${NONE}'"), {})
    assert [problem.path for problem in caught.value.problems] == ["receivers.hook.type"]


CANARY = "cAnArY-7f3e"
FULL = {
    "version": 1,
    "database": "sqlite:///n.db",
    "delivery": {"first_retry": "1s"},
    "workspaces": {"p": {"api_key": "k", "region": "us", "poll_interval": "1s", "max_requests_per_second": 1}},
    "watches": [{"sync": 1, "workspace": "p", "labels": {"a": "b"}}, {"syncs": {"label": ["x"]}}],
    "receivers": {
        "s": {"type": "slack", "token": "t", "channel": "c", "api_url": "https://h/api/"},
        "i": {"type": "slack_webhook", "url": "https://h/x"},
        "w": {"type": "webhook", "url": "https://h/x", "secret": "whsec_x", "headers": {"X-A": "v"}},
    },
    "heartbeat": {"url": "https://h/ping", "every": "60s"},
    "routes": [{"events": ["sync_run.*"], "workspaces": ["p"], "syncs": [1], "labels": {"a": "b"}, "receivers": ["s"]}],
}


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [path] * bool(path) + [leaf for key, child in value.items() for leaf in leaves(child, (*path, key))]
    if isinstance(value, list):
        return [path] + [leaf for index, child in enumerate(value) for leaf in leaves(child, (*path, index))]
    return [path]


def planted(path: tuple[str | int, ...], value: object) -> str:
    data = json.loads(json.dumps(FULL))
    target = data
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return json.dumps(data)


SHAPES = [
    "%s",
    "https://u:%s@h/",
    "postgres://%s",
    "whsec_%s",
    "%s\n",
    "\0%s",
    "é%s",
    "[%s",
    "http://[%s",
    "sqlite:///%s\t",
]


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(leaves(FULL)),
    shape=st.sampled_from(SHAPES),
    frame=st.sampled_from(["${A}", "${B}", "x${A}", "${NONE:-}${A}"]),
    as_list=st.booleans(),
)
def test_nothing_from_the_environment_is_ever_shown(
    path: tuple[str | int, ...], shape: str, frame: str, as_list: bool
) -> None:
    Path("secret").write_text(shape % CANARY)
    with pytest.raises(WatchlistError) as caught:
        load(planted(path, [frame] if as_list else frame), {"A": shape % CANARY, "B_FILE": "secret"})
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert caught.value.__context__ is None


SECRET_PATHS = [
    ("workspaces", "p", "api_key"),
    ("receivers", "s", "token"),
    ("receivers", "i", "url"),
    ("receivers", "w", "url"),
    ("receivers", "w", "secret"),
    ("receivers", "w", "headers"),
    ("receivers", "w", "headers", "X-A"),
    ("receivers", "s", "api_url"),
    ("database",),
]


@pytest.mark.parametrize("path", SECRET_PATHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_written_into_the_file_is_not_shown_either(path: tuple[str | int, ...], shape: str) -> None:
    text = planted(path, shape % CANARY).replace('"routes"', '"unknown": 1, "routes"')
    with pytest.raises(WatchlistError) as caught:
        load(text, {})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        f"  hook: {{type: webhook, url: 'https://h', headers: {{Authorization Bearer {CANARY}}}}}",
        f"  hook: {{type: webhook, url: 'https://h', headers: {{Bearer {CANARY}: '${{NONE}}'}}}}",
        f"  hook: {{type: webhook, url: 'https://h', headers: {{Bearer {CANARY}: a, Bearer {CANARY}: b}}}}",
        f"  hook: {{type: &x {CANARY}, url: *x}}",
        f"  hook: {{type: webhook, url: 'https://h', secret: *{CANARY}}}",
        f"  hook: {{type: webhook, url: 'https://h', secret: !{CANARY} x}}",
        f"  hook: {{type: webhook, url: 'https://h', secret: '{CANARY}",
        f"  hook: {{type: webhook, url: 'https://h', secret: \"\\q{CANARY}\"}}",
        f"  hook: {{type: webhook, url: 'https://h', secret: @{CANARY}}}",
        f"  hook: {{type: webhook, url: 'https://h', secret: a: {CANARY}: b}}",
        f"  hook: {{type: webhook, url: 'https://h', secret: !<{CANARY}}}",
        f"  hook: {{type: webhook, url: 'https://h', secret: !x!{CANARY}}}",
    ],
)
def test_a_secret_that_broke_the_yaml_is_not_shown(line: str) -> None:
    text = (TEXT % ("region: us", "x")).splitlines()
    with pytest.raises(WatchlistError) as caught:
        load("\n".join([*text[:-1], line]), {})
    assert CANARY not in str(caught.value)


def test_the_values_do_not_show_their_secrets() -> None:
    watchlist = load((TEXT % ("region: us", "x")).replace("abc", "'${A}'"), {"A": CANARY})
    assert CANARY not in repr(watchlist)
    assert watchlist.workspaces["production"].api_key == SecretStr(CANARY)


# --- what can hardly be meant ---


def doubted(value: str, env: Mapping[str, str]) -> list[str]:
    path = Path("watchlist.yaml")
    path.write_text(TEXT % ("region: us", value))
    return [f"{doubt.path}: {doubt.message}" for doubt in doubts(path, env)]


def test_an_empty_variable_that_hides_its_file_is_an_error_that_names_both() -> None:
    Path("file").write_text("one")
    assert "A is set to nothing, and hides A_FILE: unset A, or give it a value" in mistake(
        "'${A}'", {"A": "", "A_FILE": "file"}
    )
    assert label("'${A:-x}'", {"A": "", "A_FILE": "file"}) == "x"
    assert label("'${A}'", {"A": ""}) == ""


@pytest.mark.parametrize("quoted", ['"abc"', "'abc'", '""'])
def test_quotes_around_a_value_of_the_environment_are_doubted_and_not_shown(quoted: str) -> None:
    expected = ["watches[0].labels.team: the value of {} has quotes around it, and they are part of it"]
    Path("file").write_text(quoted + "\n")
    assert doubted("${A}", {"A": quoted}) == [expected[0].format("A")]
    assert doubted("${A}", {"A_FILE": "file"}) == [expected[0].format("A_FILE")]
    assert label("${A}", {"A": quoted}) == quoted


@pytest.mark.parametrize(
    ("value", "doubtful"),
    [
        ("$A", True),
        ("$NOT_SET", True),
        ("x-$A", True),
        ("x-$NOT_SET", False),
        ("$5", False),
        ("a$", False),
        ("'$A'", True),
    ],
)
def test_a_variable_without_braces_is_doubted(value: str, doubtful: bool) -> None:
    remedy = "watches[0].labels.team: looks like a variable, which is written ${NAME}; as it stands, it is text"
    assert doubted(value, {"A": "one"}) == ([remedy] if doubtful else [])


@pytest.mark.parametrize("value", ["a'b", "'", "it's", 'say "x" twice'])
def test_other_values_are_not_doubted(value: str) -> None:
    assert doubted("${A}", {"A": value}) == []
