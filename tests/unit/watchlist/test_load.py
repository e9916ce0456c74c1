"""Reading a watchlist: what a good one means, and where each mistake in a bad one is said to be."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from notifier.model.errors import WatchlistError
from notifier.model.identity import NO_ID
from notifier.watchlist.models import SyncSelector, Watchlist
from notifier.watchlist.reading.load import load_watchlist
from notifier.watchlist.receivers import SlackReceiver, WebhookReceiver

ROOT = Path(__file__).parents[3]
SIGNING_SECRET = "whsec_" + "QUJD" * 8  # 24 bytes
ENV = {
    "ACTIVATIONS_TOKEN": "token-of-fivetran",
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
    "HOOK_SECRET": SIGNING_SECRET,
}
GOOD = """\
version: 1
workspaces:
  production: {api_key: abc}
watches:
  - sync: 52
receivers:
  pipeline: {type: webhook, url: "https://example.com/hook"}
"""
VERSION_1 = "must be the number 1, the version of the format that this notifier reads"

Load = Callable[..., Watchlist]
Lines = Callable[..., list[str]]

SYNCS = 'must be all, or a mapping such as {label: "Salesforce *"}; for one sync by its ID, say sync'
QUOTES = "put quotes around an ID that looks like another kind of value"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)  # so that messages begin with "watchlist.yaml"

    def load(text: str | bytes, env: Mapping[str, str] | None = None) -> Watchlist:
        content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        Path("watchlist.yaml").write_bytes(content)
        return load_watchlist(Path("watchlist.yaml"), env or {})

    return load


@pytest.fixture
def lines(load: Load) -> Lines:
    """The lines of the error, without the file's name."""

    def lines(text: str | bytes, env: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(WatchlistError) as caught:
            load(text, env)
        assert caught.value.__context__ is None or caught.value.__suppress_context__
        return [line.removeprefix("watchlist.yaml:") for line in str(caught.value).splitlines()]

    return lines


def test_the_smallest_watchlist_has_the_documented_defaults(load: Load) -> None:
    watchlist = load(GOOD)
    assert watchlist.database_place == Path("notifier.db")
    assert watchlist.retention == timedelta(days=30)
    assert watchlist.delivery.first_retry == timedelta(seconds=5)
    assert watchlist.delivery.longest_retry == timedelta(minutes=10)
    assert watchlist.delivery.give_up_after == timedelta(days=3)
    assert watchlist.delivery.timeout == timedelta(seconds=15)
    assert watchlist.routes is None
    workspace = watchlist.workspaces["production"]
    assert workspace.app_url == "https://app.getcensus.com"
    assert (workspace.poll_interval, workspace.active_poll_interval) == (timedelta(seconds=60), timedelta(seconds=10))
    assert (workspace.max_requests_per_second, workspace.max_concurrent_requests) == (10, 16)
    assert watchlist.watches[0].workspace == "production"
    assert watchlist.watches[0].labels == {}


def test_the_example_loads_when_its_variables_are_set() -> None:
    watchlist = load_watchlist(ROOT / "watchlist.example.yaml", ENV)
    assert watchlist.workspaces["production"].token == SecretStr("token-of-fivetran")
    assert watchlist.workspaces["production"].api_key is None
    slack, pipeline = watchlist.receivers["growth"], watchlist.receivers["pipeline"]
    assert isinstance(slack, SlackReceiver)
    assert slack.token.get_secret_value() == "xoxb-1"
    assert isinstance(pipeline, WebhookReceiver)
    assert pipeline.headers["X-Team"].get_secret_value() == "growth"
    assert watchlist.watches[1].syncs == SyncSelector(label=("Salesforce *", "HubSpot: *"), exclude_label=("* (test)",))
    assert watchlist.routes is not None
    assert watchlist.routes[1].syncs == ("Salesforce *", 52)
    assert watchlist.routes[2].events is None


def test_the_example_names_every_variable_that_is_missing() -> None:
    with pytest.raises(WatchlistError) as caught:
        load_watchlist(ROOT / "watchlist.example.yaml", {})
    assert [problem.message.split()[0] for problem in caught.value.problems] == [
        "ACTIVATIONS_TOKEN",
        "SLACK_BOT_TOKEN",
        "SLACK_WEBHOOK_URL",
        "HOOK_SECRET",
    ]


@pytest.mark.parametrize(
    ("workspace", "app_url"),
    [
        ("{api_key: a, region: eu}", "https://app-eu.getcensus.com"),
        ("{api_key: a, region: au}", "https://app-au.getcensus.com"),
        ("{api_key: a, base_url: 'http://127.0.0.1:8700/api/v1/'}", "http://127.0.0.1:8700"),
        ("{token: a, base_url: 'https://proxy/census'}", "https://proxy"),
    ],
)
def test_a_workspace_knows_where_its_pages_are(load: Load, workspace: str, app_url: str) -> None:
    assert load(GOOD.replace("{api_key: abc}", workspace)).workspaces["production"].app_url == app_url


@pytest.mark.parametrize(
    ("database", "path"),
    [("sqlite:///data/notifier.db", "data/notifier.db"), ("sqlite:////var/lib/n.db", "/var/lib/n.db")],
)
def test_three_slashes_are_relative_and_four_absolute(load: Load, database: str, path: str) -> None:
    assert load(GOOD + f"database: {database}\n").database_place == Path(path)


def test_words_that_yaml_1_1_took_for_booleans_are_text(load: Load) -> None:
    watchlist = load(GOOD.replace("sync: 52", "sync: 52\n    labels: {on: yes, off: no, y: n}"))
    assert watchlist.watches[0].labels == {"on": "yes", "off": "no", "y": "n"}


def test_anchors_aliases_and_merge_keys_work(load: Load) -> None:
    text = GOOD.replace(
        "  - sync: 52\n",
        "  - &base {sync: 52, labels: &l {team: growth}}\n  - {sync: 53, labels: *l}\n  - {<<: *base, sync: 54}\n",
    )
    watches = load(text).watches
    assert [(watch.sync, watch.labels) for watch in watches] == [
        (52, {"team": "growth"}),
        (53, {"team": "growth"}),
        (54, {"team": "growth"}),
    ]


def test_one_glob_needs_no_list(load: Load) -> None:
    watch = load(GOOD.replace("sync: 52", 'syncs: {label: "a*", exclude_label: [b, c]}')).watches[0]
    assert watch.syncs == SyncSelector(label=("a*",), exclude_label=("b", "c"))


NO_KEY = "has neither token nor api_key; give a token, which docs/v2.md says how to make"
NO_GROUP = "group is of version 2 of the API; give a token, or remove it: an API key is that of its workspace"


def test_three_mistakes_in_one_file_give_three_lines_in_their_order(lines: Lines) -> None:
    text = """\
version: 1
workspaces:
  production:
    api_key: abc
    regoin: us
watches:
  - sync: "52 53"
receivers:
  growth: {type: slack_webhook, url: "https://hooks.slack.com/x"}
routes:
  - events: [sync_run.failed]
    receivers: [growth, growht]
"""
    assert lines(text) == [
        '5:5: workspaces.production.regoin: unknown key; did you mean "region"?',
        f'7:11: watches[0].sync: {NO_ID}; to watch syncs by their label, say syncs: {{label: "52 53"}}',
        '12:25: routes[0].receivers[1]: no receiver is named "growht"; did you mean "growth"?',
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 1", "version: 2", f"1:10: version: {VERSION_1}"),
        ("version: 1", "version: true", f"1:10: version: {VERSION_1}"),
        ("version: 1", "version: 1.0", f"1:10: version: {VERSION_1}"),
        ("version: 1\n", "", "1:1: version: is missing"),
        ("{api_key: abc}", "{}", f"3:15: workspaces.production: {NO_KEY}"),
        ("{api_key: abc}", "{region: eu}", f"3:15: workspaces.production: {NO_KEY}"),
        (
            "{api_key: abc}",
            "{tokn: abc}",
            '3:16: workspaces.production.tokn: unknown key; did you mean "token"?',
        ),
        ("{api_key: abc}", "{token: ''}", "3:23: workspaces.production.token: must not be empty"),
        ("{api_key: abc}", "{token: a, group: 7}", "3:33: workspaces.production.group: must be text; put it in quotes"),
        ("{api_key: abc}", "{token: a, group: ''}", "3:33: workspaces.production.group: must not be empty"),
        ("{api_key: abc}", "{api_key: a, group: g}", f"3:28: workspaces.production.group: {NO_GROUP}"),
        ("{api_key: abc}", "{group: g}", f"3:16: workspaces.production.group: {NO_GROUP}"),
        (
            "{api_key: abc}",
            "{api_kye: abc}",
            '3:16: workspaces.production.api_kye: unknown key; did you mean "api_key"?',
        ),
        (
            "{api_key: abc}",
            "{api_key: }",
            "3:16: workspaces.production.api_key: has no value; give one, or leave it out",
        ),
        ("{api_key: abc}", "{api_key: ''}", "3:25: workspaces.production.api_key: must not be empty"),
        ("{api_key: abc}", "{api_key: 5}", "3:25: workspaces.production.api_key: must be text; put it in quotes"),
        ("{api_key: abc}", "abc", "3:15: workspaces.production: must be a mapping: key: value"),
        (
            "{api_key: abc}",
            "{api_key: a, region: ue}",
            '3:36: workspaces.production.region: no region is named "ue"; known: "us", "eu", "au"',
        ),
        (
            "{api_key: abc}",
            "{api_key: a, region: EU}",
            '3:36: workspaces.production.region: no region is named "EU"; did you mean "eu"?',
        ),
        (
            "{api_key: abc}",
            "{api_key: a, region: us, base_url: 'http://h'}",
            "3:40: workspaces.production.base_url: base_url is given instead of region; remove one of them",
        ),
        (
            "{api_key: abc}",
            "{api_key: a, base_url: 'ftp://h'}",
            "3:38: workspaces.production.base_url: must be a URL that starts with http:// or https://",
        ),
        (
            "{api_key: abc}",
            "{api_key: a, poll_interval: 60}",
            "3:43: workspaces.production.poll_interval: must be a duration with its unit, such as 10s or 5m",
        ),
        (
            "{api_key: abc}",
            "{api_key: a, max_requests_per_second: 0}",
            "3:53: workspaces.production.max_requests_per_second: must be more than 0",
        ),
        (
            "{api_key: abc}",
            "{api_key: a, max_requests_per_second: .inf}",
            "3:53: workspaces.production.max_requests_per_second: must be a finite number",
        ),
        (
            "{api_key: abc}",
            "{api_key: a, max_concurrent_requests: 1.5}",
            "3:53: workspaces.production.max_concurrent_requests: must be a whole number",
        ),
        ("  - sync: 52", "  - sync: true", f"5:11: watches[0].sync: {NO_ID}; {QUOTES}"),
        ("  - sync: 52", "  - sync: 0", f"5:11: watches[0].sync: {NO_ID}"),
        ("  - sync: 52", "  - sync: -1", f"5:11: watches[0].sync: {NO_ID}"),
        ("  - sync: 52", "  - sync: ''", f"5:11: watches[0].sync: {NO_ID}"),
        ("  - sync: 52", f"  - sync: {'a' * 201}", f"5:11: watches[0].sync: {NO_ID}"),
        ("  - sync: 52", "  - sync: 1e5", f"5:11: watches[0].sync: {NO_ID}; {QUOTES}"),
        ("  - sync: 52", "  - sync_run: 1.5", f"5:15: watches[0].sync_run: {NO_ID}; {QUOTES}"),
        ("  - sync: 52", "  - sync_run: two words", f"5:15: watches[0].sync_run: {NO_ID}"),
        (
            "  - sync: 52",
            "  - sync: 'HubSpot: *'",
            f'5:11: watches[0].sync: {NO_ID}; to watch syncs by their label, say syncs: {{label: "HubSpot: *"}}',
        ),
        (
            "  - sync: 52",
            "  - syncs: glimmering_donkey",
            f"5:12: watches[0].syncs: {SYNCS}",
        ),
        ("  - sync: 52", "  - labels: {}", "5:5: watches[0]: says nothing to watch; give sync, syncs or sync_run"),
        (
            "  - sync: 52",
            "  - {sync: 52, syncs: all}",
            "5:5: watches[0]: has sync and syncs; make them watches of their own",
        ),
        (
            "  - sync: 52",
            "  - syncs: Sales*",
            f"5:12: watches[0].syncs: {SYNCS}",
        ),
        (
            "  - sync: 52",
            "  - syncs: 5",
            "5:12: watches[0].syncs: must be all, or a mapping with label or exclude_label",
        ),
        ("  - sync: 52", "  - syncs: {}", "5:12: watches[0].syncs: is empty; give label or exclude_label, or say all"),
        ("  - sync: 52", "  - syncs: {labl: a}", '5:13: watches[0].syncs.labl: unknown key; did you mean "label"?'),
        ("  - sync: 52", "  - snyc: 52", '5:5: watches[0].snyc: unknown key; did you mean "sync"?'),
        ("  - sync: 52", "  - {sync: 52, labels: {n: 5}}", "5:28: watches[0].labels.n: must be text; put it in quotes"),
        (
            "  - sync: 52",
            "  - {sync: 52, workspace: prod}",
            '5:27: watches[0].workspace: no workspace is named "prod"; known: "production"',
        ),
        (
            "  - sync: 52",
            "  []",
            "5:3: watches: must not be empty; give at least one, or leave it out where it is optional",
        ),
        (
            "type: webhook",
            "type: webhok",
            '7:20: receivers.pipeline.type: no type of receiver is named "webhok"; did you mean "webhook"?',
        ),
        ("type: webhook, ", "", "7:3: receivers.pipeline.type: is missing; give one of slack, slack_webhook, webhook"),
        (
            "type: webhook,",
            "type: webhook, headers: {Host: a},",
            "7:39: receivers.pipeline.headers.Host: is set by the notifier",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(lines: Lines, old: str, new: str, expected: str) -> None:
    assert GOOD.count(old) == 1
    assert lines(GOOD.replace(old, new)) == [expected]


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("retention: 0d\n", "8:12: retention: must be longer than nothing"),
        ("retention: 99999999999d\n", "8:12: retention: is too long: 36500d is the most"),
        ("delivery: {first_retry: 20m}\n", "8:1: delivery.longest_retry: must not be shorter than first_retry"),
        (
            "delivery: {first_retry: 2s, longest_retry: 1s}\n",
            "8:44: delivery.longest_retry: must not be shorter than first_retry",
        ),
        (
            "database: mysql://u:p@h/d\n",
            "8:11: database: must start with sqlite:///, as in sqlite:///notifier.db, or with postgresql://, "
            "as in postgresql://user:password@host:5432/name; no other database is supported",
        ),
        ("database: 'sqlite:///:memory:'\n", "8:11: database: must name a file, for example sqlite:///notifier.db"),
        ("database: sqlite:///\n", "8:11: database: must name a file, for example sqlite:///notifier.db"),
        ("routes: []\n", "8:9: routes: must not be empty; give at least one, or leave it out where it is optional"),
        ("routes:\n", "8:1: routes: has no value; give one, or leave it out"),
        ("heartbeat: {every: 60s}\n", "8:1: heartbeat.url: is missing"),
        ("heartbeat:\n", "8:1: heartbeat: has no value; give one, or leave it out"),
        ("heartbeat: https://h/ping\n", "8:12: heartbeat: must be a mapping: key: value"),
        (
            "heartbeat: {url: https://h/ping, evry: 60s}\n",
            '8:34: heartbeat.evry: unknown key; did you mean "every"?',
        ),
        (
            "heartbeat: {url: hc.example.com, every: 60}\n",
            "8:18: heartbeat.url: must be a URL that starts with http:// or https://\n"
            "8:41: heartbeat.every: must be a duration with its unit, such as 10s or 5m",
        ),
        (
            "routes:\n  - events: [sync_run.fialed]\n    receivers: [pipeline]\n",
            '9:14: routes[0].events[0]: no event is named "sync_run.fialed"; did you mean "sync_run.failed"?',
        ),
        (
            "routes:\n  - receivers: [pipeline]\n    workspaces: [prodaction]\n",
            '10:18: routes[0].workspaces[0]: no workspace is named "prodaction"; did you mean "production"?',
        ),
        (
            "routes:\n  - receivers: [pipeline]\n    syncs: [true]\n",
            "10:13: routes[0].syncs[0]: must be a sync's ID or a glob for its label",
        ),
        ("routes:\n  - events: ['sync_run.*']\n", "9:5: routes[0].receivers: is missing"),
        ("watches: []\n", "8:1: watches: this key is given twice; first in line 4"),
        ("3: a\n", "8:1: a key must be text; put it in quotes"),
        ("[a]: a\n", "8:1: a key must be text, not a list or a mapping"),
        (
            "retention: !!python/name:os.system x\n",
            "8:12: retention: tags (words after !) are not supported; put quotes around text",
        ),
    ],
)
def test_a_mistake_in_an_added_line_is_named_too(lines: Lines, added: str, expected: str) -> None:
    assert lines(GOOD + added) == expected.split("\n")


def test_a_heartbeat_is_sent_once_a_minute_unless_told_otherwise(load: Load) -> None:
    assert load(GOOD).heartbeat is None
    given = load(GOOD + "heartbeat: {url: '${PING}'}\n", {"PING": "https://hc.example.com/ping/1"}).heartbeat
    assert given is not None
    assert (given.url.get_secret_value(), given.every) == ("https://hc.example.com/ping/1", timedelta(seconds=60))
    assert "hc.example.com" not in repr(given)
    other = load(GOOD + "heartbeat: {url: 'https://hc.example.com/ping/1', every: 5m}\n").heartbeat
    assert other is not None
    assert other.every == timedelta(minutes=5)


def test_several_workspaces_want_every_watch_to_name_its_own(lines: Lines) -> None:
    text = GOOD.replace("{api_key: abc}", "{api_key: abc}\n  staging: {api_key: def}")
    assert lines(text) == [
        '6:5: watches[0].workspace: is missing; there are several workspaces: "production", "staging"'
    ]


def test_a_wrong_value_beside_it_does_not_hide_a_dangling_name(lines: Lines) -> None:
    text = GOOD.replace("sync: 52", "{sync: 0, workspace: nowhere}").replace("version: 1", "version: one")
    assert [line.split(": ")[1] for line in lines(text)] == ["version", "watches[0].sync", "watches[0].workspace"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "1:1: the file is empty; a watchlist has version, workspaces, watches and receivers"),
        ("# nothing\n", "1:1: the file is empty; a watchlist has version, workspaces, watches and receivers"),
        ("---\n~\n", "1:1: the file is empty; a watchlist has version, workspaces, watches and receivers"),
        ("\n- a\n", "2:1: a watchlist must be a mapping: lines of the form key: value"),
        ("word\n", "1:1: a watchlist must be a mapping: lines of the form key: value"),
        ("a: 1\n---\nb: 1\n", "2:1: a second document starts here; a watchlist is one document"),
        (b"a: 1\nb: x\xff\n", "2:5: not UTF-8 text"),
        ("a: 1\nb: \x07\n", "2:4: not valid YAML: a control character stands here"),
        (
            "a: 1\nb: c: d\n",
            '2:5: not valid YAML: a ":" is not allowed here; put quotes around a value that contains ": "',
        ),
        (
            "a:\n\t- b\n",
            "2:1: not valid YAML: no value can start with this character; use spaces to indent, quotes for text",
        ),
        ("a: *nowhere\n", "1:4: this alias (*) names no anchor (&) above it"),
        ("a: &x {b: *x}\n", "1:11: this alias (*) stands inside of what it names"),
        ("a: " + "[" * 60, "1:54: nested more than 50 levels deep"),
        ('"\\UFFFFFFFF": 1\n', "1:1: not valid YAML"),
    ],
)
def test_what_is_no_watchlist_at_all_gives_one_line(lines: Lines, content: str | bytes, expected: str) -> None:
    assert lines(content) == [expected]


def test_an_alias_bomb_is_refused_in_no_time(lines: Lines) -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))
    (line,) = lines(bomb)
    assert line.endswith("too large: more than 100,000 values, aliases counted each time")


def test_a_chain_of_aliases_is_no_way_to_nest_deeper(lines: Lines) -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
    (line,) = lines(chain)
    assert line.endswith("nested more than 50 levels deep")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(WatchlistError) as caught:
        load_watchlist(path, {})
    assert str(caught.value) == f"{path}:1:1: there is no such file; name the watchlist with --config"


@pytest.mark.parametrize(("name", "reason"), [(".", "is a directory, not a watchlist"), ("a\0b", "is not a file name")])
def test_what_can_not_be_read_is_one_line(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(WatchlistError, match=reason):
        load_watchlist(tmp_path / name, {})


def test_a_byte_order_mark_is_no_part_of_the_text(load: Load) -> None:
    assert load(b"\xef\xbb\xbf" + GOOD.encode()).version == 1


KEYS = st.sampled_from(
    [
        "version",
        "workspaces",
        "watches",
        "receivers",
        "routes",
        "delivery",
        "heartbeat",
        "checks",
        "failing",
        "mentions",
        "type",
        "url",
        "api_key",
        "sync",
        "syncs",
        "x",
        "<<",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["slack", "all", "${A}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(alphabet=st.sampled_from("ab:- \n\t{}[],&*!|>'\"#%@`?~<$\\x0\ud800é"), max_size=40)
    | st.text(max_size=30)
)
def test_any_text_gives_a_watchlist_or_a_watchlist_error(load: Load, text: str) -> None:
    with pytest.raises(WatchlistError):
        load(text)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_shape_of_data_gives_a_watchlist_or_a_watchlist_error(load: Load, data: dict[str, object]) -> None:
    with pytest.raises(WatchlistError):
        load(json.dumps(data))


COMMENT = 'has no value: after " #" all is a comment; put quotes around a value that begins with "#"'


@pytest.mark.parametrize(
    ("good", "wrong", "line"),
    [
        (
            '{type: webhook, url: "https://example.com/hook"}',
            "\n    type: slack\n    token: x\n    channel: #data-syncs",
            f"10:5: receivers.pipeline.channel: {COMMENT}",
        ),
        ("  - sync: 52\n", "  - sync: # 52\n", f"5:5: watches[0].sync: {COMMENT}"),
        ("version: 1\n", "version: 1\ndatabase:   #here\n", f"2:1: database: {COMMENT}"),
        ("version: 1\n", "version: 1\ndatabase:\n  # a comment that is one\n", None),
        ("version: 1\n", "version: # the number 1\n  1\n", ""),
    ],
)
def test_a_comment_in_the_place_of_a_value_is_named(
    load: Load, lines: Lines, good: str, wrong: str, line: str | None
) -> None:
    text = GOOD.replace(good, wrong)
    if line == "":
        assert load(text).version == 1
    else:
        assert lines(text) == [line or "2:1: database: has no value; give one, or leave it out"]
