"""The watchlist's `checks`, and what it says about incidents: how they load, merge, and where mistakes are named."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from ruamel.yaml import YAML

from notifier.model.errors import WatchlistError
from notifier.model.incident import Check
from notifier.watchlist.checks import (
    SETTINGS,
    Checks,
    ChecksInForce,
    Failing,
    RecordCount,
    RejectedRecords,
    Reminders,
    SlowRun,
    Stale,
    UnreachableSettings,
    Unreadable,
    WatchChecks,
)
from notifier.watchlist.models import Route, Watch, Watchlist
from notifier.watchlist.reading.load import load_watchlist, watchlist_schema
from notifier.watchlist.receivers import SlackReceiver, SlackWebhookReceiver

GOOD = """\
version: 1
workspaces: {production: {api_key: abc}}
watches:
  - sync: 52
receivers:
  growth: {type: slack, token: xoxb-1, channel: C1}
  hook: {type: slack_webhook, url: "https://hooks.slack.com/x"}
  pipeline: {type: webhook, url: "https://example.com/hook"}
"""
FROM_THE_INTERFACE = """\
checks:                              # for every watch; a watch may carry its own `checks`, merged key by key
  failing: {runs: 1, of: 1, recovered_after: 1}
  rejected_records: {percent: 75, at_least: 1}
  record_count: {deviation_percent: 50, of_last: 10}      # off unless given
  slow_run: {after: 2h}                                   # off unless given
  stale: {after: 26h}                                     # off unless given
  unreachable: {after: 5m}                                # the workspace's API
  unreadable: {after: 30m}                                # one sync's runs
  reminders: {first: 24h, longest: 7d}                    # doubling; `false` turns any check off
"""
ON_OR_OFF = "must be a mapping with its settings, or false"
MENTION_FORMS = (
    'must be "@here", "@channel", "@everyone", a member as "<@U0123>" or a user group as "<!subteam^S0123>"; '
    "a member's ID is in the menu of their profile in Slack: Copy member ID"
)
KEYS_OF_CHECKS = "failing, record_count, rejected_records, reminders, slow_run, stale, unreachable, unreadable"

Load = Callable[..., Watchlist]
Lines = Callable[..., list[str]]


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)

    def load(text: str, env: Mapping[str, str] | None = None) -> Watchlist:
        Path("watchlist.yaml").write_text(text)
        return load_watchlist(Path("watchlist.yaml"), env or {})

    return load


@pytest.fixture
def lines(load: Load) -> Lines:
    """The lines of the error, without the file's name."""

    def lines(text: str, env: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(WatchlistError) as caught:
            load(text, env)
        return [line.removeprefix("watchlist.yaml:") for line in str(caught.value).splitlines()]

    return lines


def watch_checks(**checks: object) -> WatchChecks:
    return WatchChecks.model_validate(checks)


# --- loading ---


def test_the_interfaces_own_example_loads(load: Load) -> None:
    assert load(GOOD + FROM_THE_INTERFACE).checks == Checks(
        failing=Failing(runs=1, of=1, recovered_after=1),
        rejected_records=RejectedRecords(percent=75, at_least=1),
        record_count=RecordCount(deviation_percent=50, of_last=10),
        slow_run=SlowRun(after=hours(2)),
        stale=Stale(after=hours(26)),
        unreachable=UnreachableSettings(after=timedelta(minutes=5)),
        unreadable=Unreadable(after=timedelta(minutes=30)),
        reminders=Reminders(first=hours(24), longest=timedelta(days=7)),
    )


def test_every_key_of_checks_has_its_settings() -> None:
    assert set(SETTINGS) == set(Checks.model_fields) == {*Check, "reminders"}
    assert set(WatchChecks.model_fields) == set(SETTINGS) - {"unreachable"}


@pytest.mark.parametrize("added", ["", "checks: {}\n", "checks: {failing: {}, reminders: {}, unreachable: {}}\n"])
def test_five_are_on_unless_turned_off(load: Load, added: str) -> None:
    in_force = ChecksInForce.of(load(GOOD + added).checks)
    assert in_force == ChecksInForce(
        failing=Failing(),
        rejected_records=RejectedRecords(),
        unreachable=UnreachableSettings(after=timedelta(minutes=5)),
        unreadable=Unreadable(after=timedelta(minutes=30)),
        reminders=Reminders(first=hours(24), longest=hours(7 * 24)),
    )
    assert (in_force.record_count, in_force.slow_run, in_force.stale) == (None, None, None)


def test_each_can_be_turned_off(load: Load) -> None:
    text = GOOD + "checks:\n" + "".join(f"  {name}: false\n" for name in SETTINGS)
    assert ChecksInForce.of(load(text).checks) == ChecksInForce()


def test_what_is_given_in_the_environment_is_read_as_what_is_due(load: Load) -> None:
    text = GOOD + (
        'checks: {failing: {runs: "${N}", of: "${N}"}, rejected_records: "${OFF}", reminders: "${NO:-false}", '
        'record_count: {deviation_percent: "${P}"}, slow_run: {after: "${N}h"}}\n'
        'routes: [{checks: ["${CHECK}"], mentions: ["${WHO}"], mention_on: ["${WHEN}"], receivers: [growth]}]\n'
    )
    env = {"N": "3", "P": "12.5", "OFF": "false", "CHECK": "stale", "WHO": "<@U0123>", "WHEN": "incident.*"}
    watchlist = load(text.replace("channel: C1", 'channel: C1, messages: "${HOW:-each}"'), env)
    assert watchlist.checks == Checks(
        failing=Failing(runs=3, of=3),
        rejected_records=False,
        reminders=False,
        record_count=RecordCount(deviation_percent=12.5),
        slow_run=SlowRun(after=hours(3)),
    )
    assert watchlist.routes == (
        Route(checks=("stale",), mentions=("<@U0123>",), mention_on=("incident.*",), receivers=("growth",)),
    )
    growth = watchlist.receivers["growth"]
    assert isinstance(growth, SlackReceiver)
    assert growth.messages == "each"


def test_messages_and_mentions_have_the_documented_defaults(load: Load) -> None:
    watchlist = load(GOOD + "routes: [{receivers: [growth, hook]}]\n")
    growth, hook = watchlist.receivers["growth"], watchlist.receivers["hook"]
    assert isinstance(growth, SlackReceiver)
    assert isinstance(hook, SlackWebhookReceiver)
    assert (growth.messages, hook.messages) == ("living", "each")
    assert watchlist.routes is not None
    for one in (growth, hook, watchlist.routes[0]):
        assert (one.mentions, one.mention_on) == ((), ("incident.opened", "incident.reminder"))


@pytest.mark.parametrize("mention", ["@here", "@channel", "@everyone", "<@U0123>", "<@W0123ABCD>", "<!subteam^S0123>"])
def test_each_form_of_a_mention_is_taken(load: Load, mention: str) -> None:
    growth = load(GOOD.replace("channel: C1", f"channel: C1, mentions: ['{mention}']")).receivers["growth"]
    assert isinstance(growth, SlackReceiver)
    assert growth.mentions == (mention,)


# --- merging ---


def test_a_watchs_own_are_merged_key_by_key(load: Load) -> None:
    text = GOOD.replace("sync: 52", "{sync: 52, checks: {failing: {of: 5}, stale: {after: 3h}}}")
    watchlist = load(text + "checks: {failing: {runs: 2, recovered_after: 3}, slow_run: {after: 1h}}\n")
    in_force = ChecksInForce.of(watchlist.checks, [watchlist.watches[0].checks])
    assert in_force.failing == Failing(runs=2, of=5, recovered_after=3)
    assert (in_force.stale, in_force.slow_run) == (Stale(after=hours(3)), SlowRun(after=hours(1)))
    assert (in_force.rejected_records, in_force.reminders) == (RejectedRecords(), Reminders())


def test_a_default_that_is_written_out_is_given() -> None:
    in_force = ChecksInForce.of(Checks(failing=Failing(runs=3, of=4)), [watch_checks(failing={"runs": 1})])
    assert in_force.failing == Failing(runs=1, of=4)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([None, {"failing": {"runs": 2}}], Failing(runs=2)),
        ([{"failing": {"runs": 2}}, None], Failing(runs=2)),
        ([{"failing": {"runs": 2}}, {}], Failing(runs=2)),
        ([{"failing": {"runs": 2}}, {"failing": {}}], Failing(runs=2)),
        ([{"failing": {"runs": 2}}, {"failing": {"runs": 3}}], Failing(runs=3)),
        ([{"failing": {"runs": 2}}, {"failing": {"recovered_after": 4}}], Failing(runs=2, recovered_after=4)),
        ([{"failing": {"runs": 2}}, {"failing": False}], None),
        ([{"failing": False}, {}], None),
        ([{"failing": False}, {"failing": {}}], Failing()),
        ([{"failing": {"runs": 2}}, {"failing": False}, {"failing": {"of": 4}}], Failing(of=4)),
        ([{"failing": {"runs": 2}}, {"failing": {"of": 4}}, {"failing": False}], None),
    ],
)
def test_later_watches_win(layers: list[dict[str, object] | None], expected: Failing | None) -> None:
    watches = [None if layer is None else watch_checks(**layer) for layer in layers]
    assert ChecksInForce.of(None, watches).failing == expected


def test_a_watch_turns_on_with_its_defaults_what_the_watchlist_turned_off() -> None:
    off = Checks(failing=False, record_count=False, reminders=False)
    in_force = ChecksInForce.of(off, [watch_checks(failing={}, record_count={})])
    assert (in_force.failing, in_force.record_count, in_force.reminders) == (Failing(), RecordCount(), None)


def test_merging_changes_nothing_that_it_merges() -> None:
    given = Checks(failing=Failing(runs=2))
    ChecksInForce.of(given, [watch_checks(failing={"runs": 5})])
    assert given == Checks(failing=Failing(runs=2))
    assert ChecksInForce.of(None).failing == Failing()


@pytest.mark.parametrize(
    ("failing", "window"), [(Failing(), 1), (Failing(runs=3), 3), (Failing(runs=3, of=5), 5), (Failing(of=4), 4)]
)
def test_as_many_runs_are_looked_at_as_must_fail_unless_given(failing: Failing, window: int) -> None:
    assert failing.window == window


def test_a_merge_that_wants_more_failed_runs_than_it_looks_at_looks_at_as_many() -> None:
    in_force = ChecksInForce.of(Checks(failing=Failing(runs=1, of=2)), [watch_checks(failing={"runs": 3})])
    assert in_force.failing is not None
    assert in_force.failing.window == 3


# --- mistakes ---


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ("{failling: {}}", '9:10: checks.failling: unknown key; did you mean "failing"?'),
        ("{freshness: {}}", f"9:10: checks.freshness: unknown key; known are {KEYS_OF_CHECKS}"),
        ("{on: {}}", f"9:10: checks.on: unknown key; known are {KEYS_OF_CHECKS}"),
        ("", "9:1: checks: has no value; give one, or leave it out"),
        ("false", "9:9: checks: must be a mapping; false turns off one check, as in {failing: false}"),
        ("true", "9:9: checks: must be a mapping: key: value"),
        ("[failing]", "9:9: checks: must be a mapping: key: value"),
        ("{failing: }", "9:10: checks.failing: has no value; give one, or leave it out"),
        ("{failing: true}", f"9:19: checks.failing: {ON_OR_OFF}"),
        ("{failing: on}", f"9:19: checks.failing: {ON_OR_OFF}"),
        ("{failing: 0}", f"9:19: checks.failing: {ON_OR_OFF}"),
        ("{failing: 3}", f"9:19: checks.failing: {ON_OR_OFF}"),
        ("{failing: [1]}", f"9:19: checks.failing: {ON_OR_OFF}"),
        ("{failing: 'false'}", f"9:19: checks.failing: {ON_OR_OFF}; remove the quotes"),
        ("{slow_run: 2h}", f"9:20: checks.slow_run: {ON_OR_OFF}"),
        ("{stale: true}", f"9:17: checks.stale: {ON_OR_OFF}"),
        ("{unreachable: 5m}", f"9:23: checks.unreachable: {ON_OR_OFF}"),
        ("{reminders: daily}", f"9:21: checks.reminders: {ON_OR_OFF}"),
        ("{failing: {on: 1}}", "9:20: checks.failing.on: unknown key; known are of, recovered_after, runs"),
        ("{failing: {run: 1}}", '9:20: checks.failing.run: unknown key; did you mean "runs"?'),
        ("{failing: {runs: }}", "9:20: checks.failing.runs: has no value; give one, or leave it out"),
        ("{failing: {runs: 1.5}}", "9:26: checks.failing.runs: must be a whole number"),
        ("{failing: {runs: true}}", "9:26: checks.failing.runs: must be a whole number"),
        ("{failing: {runs: '2'}}", "9:26: checks.failing.runs: must be a whole number; remove the quotes"),
        ("{failing: {runs: 0}}", "9:26: checks.failing.runs: must be more than 0"),
        ("{failing: {runs: 51}}", "9:26: checks.failing.runs: must not be more than 50"),
        ("{failing: {runs: 3, of: 2}}", "9:33: checks.failing.of: must not be less than runs"),
        ("{failing: {recovered_after: -1}}", "9:37: checks.failing.recovered_after: must be more than 0"),
        ("{rejected_records: {percent: 0}}", "9:38: checks.rejected_records.percent: must be more than 0"),
        ("{rejected_records: {percent: 100.5}}", "9:38: checks.rejected_records.percent: must not be more than 100"),
        ("{rejected_records: {percent: 75 %}}", "9:38: checks.rejected_records.percent: must be a number"),
        ("{rejected_records: {percent: .nan}}", "9:38: checks.rejected_records.percent: must be a finite number"),
        ("{rejected_records: {at_least: 0}}", "9:39: checks.rejected_records.at_least: must be more than 0"),
        ("{record_count: {of_last: 2}}", "9:34: checks.record_count.of_last: must be at least 3"),
        ("{record_count: {of_last: 51}}", "9:34: checks.record_count.of_last: must not be more than 50"),
        ("{record_count: {deviation_percent: -1}}", "9:44: checks.record_count.deviation_percent: must be more than 0"),
        ("{slow_run: {}}", "9:10: checks.slow_run.after: is missing"),
        ("{slow_run: {aftr: 2h}}", '9:21: checks.slow_run.aftr: unknown key; did you mean "after"?'),
        (
            "{slow_run: {after: 2}}",
            "9:28: checks.slow_run.after: must be a duration with its unit, such as 10s or 5m",
        ),
        ("{stale: {after: 0h}}", "9:25: checks.stale.after: must be longer than nothing"),
        ("{unreachable: {for: 5m}}", "9:24: checks.unreachable.for: unknown key; known are after"),
        ("{reminders: {first: 2d, longest: 1d}}", "9:42: checks.reminders.longest: must not be shorter than first"),
        ("{reminders: {first: 8d}}", "9:10: checks.reminders.longest: must not be shorter than first"),
    ],
)
def test_a_mistake_in_the_checks_is_named_with_its_place_and_remedy(lines: Lines, checks: str, expected: str) -> None:
    assert lines(GOOD + f"checks: {checks}\n") == [expected]


@pytest.mark.parametrize(
    ("watch", "expected"),
    [
        ("{sync: 52, checks: {stale: {}}}", "4:25: watches[0].checks.stale.after: is missing"),
        ("{sync: 52, checks: {stal: {after: 1h}}}", '4:25: watches[0].checks.stal: unknown key; did you mean "stale"?'),
        ("{sync: 52, checks: {stale: yes}}", f"4:32: watches[0].checks.stale: {ON_OR_OFF}"),
        ("{sync: 52, checks: {failing: {runs: x}}}", "4:41: watches[0].checks.failing.runs: must be a whole number"),
        ("{sync: 52, checks: }", "4:16: watches[0].checks: has no value; give one, or leave it out"),
        (
            "{sync: 52, checks: {unreachable: {after: 1m}}}",
            "4:25: watches[0].checks.unreachable: belongs to the workspace, not to a sync; "
            "give it in the watchlist's own checks",
        ),
        (
            "{sync_run: 94, checks: {failing: false}}",
            "4:20: watches[0].checks: checks are about the runs of a sync, and this watch follows one run; "
            "give them to a watch of its sync",
        ),
    ],
)
def test_a_mistake_in_a_watchs_checks_is_named_too(lines: Lines, watch: str, expected: str) -> None:
    assert lines(GOOD.replace("sync: 52", watch)) == [expected]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("checks: [falling]", '10:14: routes[0].checks[0]: no check is named "falling"; did you mean "failing"?'),
        (
            "checks: [stale, fresh]",
            '10:21: routes[0].checks[1]: no check is named "fresh"; known: "failing", "rejected_records", '
            '"record_count", "slow_run", "stale", "unreachable", "unreadable"',
        ),
        ("checks: [5]", "10:14: routes[0].checks[0]: must be text; put it in quotes"),
        ("checks: failing", "10:13: routes[0].checks: must be a list"),
        (
            "checks: []",
            "10:13: routes[0].checks: must not be empty; give at least one, or leave it out where it is optional",
        ),
        ("check: [failing]", '10:5: routes[0].check: unknown key; did you mean "checks"?'),
        ("mentions: [here]", '10:16: routes[0].mentions[0]: is not a mention; did you mean "@here"?'),
        (
            "mention_on: [incident.open]",
            '10:18: routes[0].mention_on[0]: no event is named "incident.open"; did you mean "incident.opened"?',
        ),
        (
            "events: [incidents.*]",
            '10:14: routes[0].events[0]: no event is named "incidents.*"; did you mean "incident.*"?',
        ),
        (
            "mention_on: []",
            "10:17: routes[0].mention_on: must not be empty; give at least one, or leave it out where it is optional",
        ),
    ],
)
def test_a_mistake_in_a_routes_new_keys_is_named(lines: Lines, condition: str, expected: str) -> None:
    assert lines(GOOD + f"routes:\n  - {condition}\n    receivers: [growth]\n") == [expected]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "channel: C1",
            "channel: C1, messages: livng",
            '6:63: receivers.growth.messages: no kind of messages is named "livng"; did you mean "living"?',
        ),
        (
            "channel: C1",
            "channel: C1, messages: all",
            '6:63: receivers.growth.messages: no kind of messages is named "all"; known: "living", "each"',
        ),
        (
            "type: slack_webhook",
            "type: slack_webhook, messages: living",
            "7:41: receivers.hook.messages: must be each: an incoming webhook can't edit what it posted; "
            "living messages need type: slack",
        ),
        (
            "type: webhook",
            "type: webhook, messages: each",
            "8:29: receivers.pipeline.messages: unknown key; known are headers, secret, type, url",
        ),
        (
            "channel: C1",
            "channel: C1, mentions: ['@anna']",
            f"6:64: receivers.growth.mentions[0]: {MENTION_FORMS}",
        ),
        (
            "type: slack_webhook",
            "type: slack_webhook, mentions: ['@here', anna]",
            f"7:51: receivers.hook.mentions[1]: {MENTION_FORMS}",
        ),
        ("channel: C1", "channel: C1, mentions: '@here'", "6:63: receivers.growth.mentions: must be a list"),
        (
            "channel: C1",
            "channel: C1, mentions: [5]",
            "6:64: receivers.growth.mentions[0]: must be text; put it in quotes",
        ),
        (
            "channel: C1",
            "channel: C1, mention_on: [sync_run.fialed]",
            '6:66: receivers.growth.mention_on[0]: no event is named "sync_run.fialed"; '
            'did you mean "sync_run.failed"?',
        ),
        (
            "channel: C1",
            "channel: C1, mention: ['@here']",
            '6:53: receivers.growth.mention: unknown key; did you mean "mentions"?',
        ),
    ],
)
def test_a_mistake_in_a_receivers_new_keys_is_named(lines: Lines, old: str, new: str, expected: str) -> None:
    assert lines(GOOD.replace(old + ",", new + ",").replace(old + "}", new + "}")) == [expected]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("here", "@here"),
        ("@Channel", "@channel"),
        ("@here ", "@here"),
        ("<!everyone>", "@everyone"),
        ("U0123ABCD", "<@U0123ABCD>"),
        ("@W0123ABCD", "<@W0123ABCD>"),
        ("<@U0123ABCD|anna>", "<@U0123ABCD>"),
        ("S0123ABCD", "<!subteam^S0123ABCD>"),
        ("<!subteam^S0123ABCD|@team>", "<!subteam^S0123ABCD>"),
    ],
)
def test_what_was_probably_meant_by_a_mention_is_said(lines: Lines, given: str, meant: str) -> None:
    (line,) = lines(GOOD.replace("channel: C1", f"channel: C1, mentions: ['{given}']"))
    assert line == f'6:64: receivers.growth.mentions[0]: is not a mention; did you mean "{meant}"?'


@pytest.mark.parametrize("given", ["@anna", "SUSAN", "<@u0123>", "#data", "a@b.c", "", "<!subteam^U0123>x"])
def test_any_other_mention_is_answered_with_the_forms(lines: Lines, given: str) -> None:
    (line,) = lines(GOOD.replace("channel: C1", f"channel: C1, mentions: ['{given}']"))
    assert line == f"6:64: receivers.growth.mentions[0]: {MENTION_FORMS}"


def test_no_mistake_repeats_what_came_from_the_environment(lines: Lines) -> None:
    text = GOOD.replace("channel: C1", 'channel: C1, messages: "${X}", mentions: ["${X}"], mention_on: ["${X}"]')
    text += 'checks: {failing: "${X}", stale: {after: "${X}"}, record_count: {of_last: "${X}"}}\n'
    text += 'routes: [{checks: ["${X}"], mentions: ["${X}"], receivers: [growth]}]\n'
    found = lines(text, {"X": "here-canary"})
    assert [line.split(": ")[1] for line in found] == [
        "receivers.growth.messages",
        "receivers.growth.mentions[0]",
        "receivers.growth.mention_on[0]",
        "checks.failing",
        "checks.stale.after",
        "checks.record_count.of_last",
        "routes[0].checks[0]",
        "routes[0].mentions[0]",
    ]
    assert "canary" not in "".join(found)


@pytest.mark.parametrize("value", ["true", "0", "", "no", "off"])
def test_the_environment_can_say_false_and_nothing_else(lines: Lines, value: str) -> None:
    assert lines(GOOD + 'checks: {failing: "${X}"}\n', {"X": value}) == [f"9:19: checks.failing: {ON_OR_OFF}"]


def test_a_variable_that_is_not_set_is_the_only_mistake(lines: Lines) -> None:
    for checks in ("${X}", "{failing: '${X}'}", "{failing: {runs: '${X}'}}", "{slow_run: {after: '${X}'}}"):
        (line,) = lines(GOOD + f"checks: {checks}\n")
        assert "X is not set" in line


def test_mistakes_in_several_checks_are_reported_at_once_in_their_order(lines: Lines) -> None:
    text = GOOD + "checks:\n  failing: {runs: 0, off: 2}\n  stale: 1d\n  slow_run: {}\n"
    assert lines(text) == [
        "10:19: checks.failing.runs: must be more than 0",
        '10:22: checks.failing.off: unknown key; did you mean "of"?',
        f"11:10: checks.stale: {ON_OR_OFF}",
        "12:3: checks.slow_run.after: is missing",
    ]


def test_models_built_in_code_keep_the_rule_about_single_runs() -> None:
    with pytest.raises(ValidationError, match="checks of a sync_run"):
        Watch(sync_run=94, workspace="p", checks=WatchChecks())


# --- the schema ---

DATA: dict[str, Any] = YAML(typ="safe", pure=True).load(GOOD)
SLACK: dict[str, Any] = DATA["receivers"]["growth"]
INCOMING: dict[str, Any] = DATA["receivers"]["hook"]
RULES: dict[str, Any] = {"receivers": ["growth"]}
SAME = [
    (YAML(typ="safe", pure=True).load(FROM_THE_INTERFACE), True),
    *(({"checks": {name: False}}, True) for name in SETTINGS),
    *(({"checks": {name: "${OFF}"}}, True) for name in SETTINGS),
    *(({"checks": {name: True}}, False) for name in SETTINGS),
    *(({"checks": {name: None}}, False) for name in SETTINGS),
    *(({"checks": {name: "2h"}}, False) for name in SETTINGS),
    *(({"checks": {name: {"x": 1}}}, False) for name in SETTINGS),
    *(({"checks": {name: {}}}, name not in {"slow_run", "stale"}) for name in SETTINGS),
    ({"checks": None}, False),
    ({"checks": False}, False),
    ({"checks": {"failling": {}}}, False),
    ({"checks": {"failing": {"runs": "${A}"}}}, True),
    ({"checks": {"failing": {"runs": "3"}}}, False),
    ({"checks": {"failing": {"runs": 0}}}, False),
    ({"checks": {"rejected_records": {"percent": 100}}}, True),
    ({"checks": {"rejected_records": {"percent": 101}}}, False),
    ({"checks": {"record_count": {"of_last": 2}}}, False),
    ({"checks": {"stale": {"after": "${A}h"}}}, True),
    ({"checks": {"stale": {"after": "h"}}}, False),
    ({"watches": [{"sync": 1, "checks": {"stale": {"after": "1h"}, "failing": False}}]}, True),
    ({"watches": [{"syncs": "all", "checks": {}}]}, True),
    ({"watches": [{"sync": 1, "checks": {"unreachable": {}}}]}, False),
    ({"watches": [{"sync": 1, "checks": {"unreadable": {"after": "1h"}}}]}, True),
    ({"watches": [{"sync": 1, "checks": {"unreadable": False}}]}, True),
    ({"watches": [{"sync_run": 1, "checks": {}}]}, False),
    ({"receivers": {"growth": {**SLACK, "messages": "each"}}}, True),
    ({"receivers": {"growth": {**SLACK, "messages": "${EACH}"}}}, True),
    ({"receivers": {"growth": {**SLACK, "messages": "some"}}}, False),
    ({"receivers": {"growth": {**INCOMING, "messages": "each"}}}, True),
    ({"receivers": {"growth": {**INCOMING, "messages": "${EACH}"}}}, True),
    ({"receivers": {"growth": {**INCOMING, "messages": "living"}}}, False),
    ({"receivers": {"growth": {**SLACK, "mentions": []}}}, True),
    ({"receivers": {"growth": {**SLACK, "mentions": ["@here", "<@U0123>", "<!subteam^S0123>"]}}}, True),
    ({"receivers": {"growth": {**SLACK, "mentions": ["${WHO}"]}}}, True),
    ({"receivers": {"growth": {**SLACK, "mentions": ["@anna"]}}}, False),
    ({"receivers": {"growth": {**SLACK, "mentions": "@here"}}}, False),
    ({"receivers": {"growth": {**SLACK, "mention_on": ["incident.*"]}}}, True),
    ({"receivers": {"growth": {**SLACK, "mention_on": []}}}, False),
    ({"routes": [{**RULES, "checks": ["failing", "unreachable"]}]}, True),
    ({"routes": [{**RULES, "checks": ["${CHECK}"]}]}, True),
    ({"routes": [{**RULES, "checks": ["reminders"]}]}, False),
    ({"routes": [{**RULES, "checks": []}]}, False),
    ({"routes": [{**RULES, "mentions": ["@channel"], "mention_on": ["incident.opened"]}]}, True),
]
ENV = {"A": "3", "OFF": "false", "EACH": "each", "WHO": "@here", "CHECK": "stale"}


@pytest.mark.parametrize(("change", "good"), SAME)
def test_schema_and_loader_judge_alike(load: Load, change: dict[str, object], good: bool) -> None:
    data = {**DATA, **change}
    try:
        load(json.dumps(data), ENV)
    except WatchlistError:
        loads = False
    else:
        loads = True
    accepted = Draft202012Validator(watchlist_schema()).is_valid(data)
    assert (loads, accepted) == (good, good)


def test_the_schema_tells_an_editor_what_it_needs() -> None:
    definitions = watchlist_schema()["$defs"]
    for name in ("Checks", "WatchChecks", *(settings.__name__ for settings in SETTINGS.values())):
        assert all(key["description"] for key in definitions[name]["properties"].values()), name
    assert definitions["Reminders"]["properties"]["first"]["default"] == "24h"
    failing = definitions["Checks"]["properties"]["failing"]["anyOf"]
    assert failing[:2] == [{"$ref": "#/$defs/Failing"}, {"const": False, "type": "boolean"}]
    route = definitions["Route"]["properties"]
    assert route["checks"]["items"]["anyOf"][0]["enum"] == list(Check)
    assert {"incident.*", "incident.opened", "sync.paused"} <= set(route["events"]["items"]["examples"])
