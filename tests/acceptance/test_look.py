"""The commands that look: what they show of Census and of the database, to a person, to a program, to a shell."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest

from notifier.model.api_version import REMEDY
from notifier.simulator import SimulatorThread, Status, Transform

from .conftest import Workplace

COMMANDS = (
    *("run", "migrate", "demo", "init", "check", "schema", "send-test", "status"),
    *("syncs", "events", "deliveries", "deliveries retry"),
)
HOSTILE = "[red]Markup[/] \x1b[1m\x1b]0;a\x07 \u202eesrever\nsecond\x9b2J"
OBEYED = {"\x1b", "\x07", "\x9b", "\u202e"}


def two_workspaces(workplace: Workplace, *, other_key: str) -> None:
    """A watchlist of two workspaces at the same simulator; the key of the second may be wrong."""
    workplace.environment["OTHER_KEY"] = other_key
    other = f"\n  other: {{api_key: '${{OTHER_KEY}}', base_url: '{workplace.simulator.base_url}'}}"
    workplace.write_watchlist(
        workspace=other, watches="- {sync: 52, workspace: production}\n  - {syncs: all, workspace: other}"
    )


def with_events(workplace: Workplace, simulator: SimulatorThread) -> None:
    """Three events: run 1 of sync 52 failed, run 2 of sync 53 is queued, and is then canceled."""
    simulator.add_sync(id=52, label="New Signups to Leads")
    simulator.add_sync(id=53, label="Accounts")
    workplace.run("run", "--once")
    simulator.add_run(52, id=1, status="failed", error_code="JSON_ARRAY_ERROR")
    workplace.run("run", "--once")
    simulator.add_run(53, id=2, status="queued")
    workplace.run("run", "--once")
    simulator.update_run(2, status="completed", canceled=True)
    workplace.run("run", "--once")


def runs(events: Iterable[dict[str, dict[str, dict[str, int]]]]) -> list[int]:
    return [event["data"]["sync_run"]["id"] for event in events]


# --- syncs ---


def test_syncs_are_as_documented_and_say_what_is_watched(workplace: Workplace, simulator: SimulatorThread) -> None:
    assert workplace.json("syncs") == []
    assert workplace.run("syncs").stdout == "No syncs.\n"
    workplace.write_watchlist(watches='- syncs: {label: "Leads*"}\n  - sync: 54\n  - sync_run: 7')
    simulator.add_sync(id=53, label=None, paused=True)
    simulator.add_sync(id=52, label="Leads: all")
    simulator.add_sync(id=54, label="Accounts")
    listed = workplace.json("syncs")
    assert [list(sync) for sync in listed] == [["workspace", "id", "label", "status", "paused", "watched"]] * 3
    assert [(sync["id"], sync["label"], sync["paused"], sync["watched"]) for sync in listed] == [
        (52, "Leads: all", False, True),
        (53, None, True, False),
        (54, "Accounts", False, True),
    ]
    assert all(sync["workspace"] == "production" and isinstance(sync["status"], str) for sync in listed)
    header, first, second, third = workplace.run("syncs").stdout.splitlines()
    assert header.split() == ["sync", "label", "status", "paused", "watched"]
    assert first.split() == ["52", "Leads:", "all", listed[0]["status"], "watched"]
    assert second.split() == ["53", listed[1]["status"], "paused", "not", "watched"]
    assert third.split() == ["54", "Accounts", listed[2]["status"], "watched"]
    assert not (workplace.directory / "n.db").exists()


def test_a_workspace_that_can_not_be_read_is_one_sentence_and_the_others_are_shown(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    two_workspaces(workplace, other_key="a-canary-of-a-key")
    simulator.add_sync(id=52, label="Leads")
    ended = workplace.run("syncs", "--json")
    assert ended.returncode == 1
    assert [(sync["workspace"], sync["id"]) for sync in json.loads(ended.stdout)] == [("production", 52)]
    assert ended.stderr == (
        "notifier: the syncs of other can't be read: HTTP 401 Unauthorized: the API key is wrong or lacks access\n"
    )
    shown = workplace.run("syncs")
    assert (shown.returncode, shown.stderr) == (1, ended.stderr)
    assert shown.stdout.splitlines()[0].split()[0] == "workspace"


@pytest.mark.parametrize(
    ("code", "said"), [(500, "HTTP 500 Internal Server Error"), (429, "too many requests, asked to wait 600 s")]
)
def test_an_api_that_does_not_answer_is_told_at_once(
    workplace: Workplace, simulator: SimulatorThread, code: int, said: str
) -> None:
    simulator.fault(Status(code, headers={"Retry-After": "600"}))
    ended = workplace.run("syncs", timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "No syncs.\n")
    assert ended.stderr == f"notifier: the syncs of production can't be read: {said}\n"


def test_one_workspace_can_be_asked_alone_and_an_unknown_one_is_a_wrong_use(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    two_workspaces(workplace, other_key=simulator.api_key)
    simulator.add_sync(id=52, label="Leads")
    simulator.add_sync(id=53, label="Accounts")
    everything = workplace.json("syncs")
    assert [(sync["workspace"], sync["id"], sync["watched"]) for sync in everything] == [
        ("production", 52, True),
        ("production", 53, False),
        ("other", 52, True),
        ("other", 53, True),
    ]
    assert workplace.json("syncs", "--workspace", "other") == everything[2:]
    unknown = workplace.run("syncs", "--workspace", "producton")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert 'no workspace is named "producton"; did you mean "production"?' in in_one_line(unknown.stderr)


def in_one_line(panel: str) -> str:
    """The text of an error's panel, which wraps at the terminal's width."""
    return " ".join(panel.replace("│", " ").split())


def test_a_list_that_may_lack_syncs_says_so(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52, label="Leads")
    simulator.fault(Transform(lambda answer: {**answer, "data": [*answer["data"], {"id": None}]}), path="/syncs")
    ended = workplace.run("syncs", "--json")
    assert [sync["id"] for sync in json.loads(ended.stdout)] == [52]
    assert (ended.returncode, ended.stderr) == (
        0,
        "notifier: the syncs of production may not be all: Census' list is not complete\n",
    )


# --- status ---


def test_status_names_the_workspaces_whose_api_version_ends_until_they_are_switched(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52, label="Leads")
    workplace.run("run", "--once")
    shown = " ".join(workplace.run("status").stdout.split())
    assert "API version 1 " in shown
    assert "on 2027-01-15" in shown or "until 2027-01-15" in shown  # by the day on which this runs
    assert f"(production): {REMEDY}." in shown

    watchlist = workplace.directory / "watchlist.yaml"
    workplace.environment["TOKEN"] = simulator.token
    old = watchlist.read_text()
    watchlist.write_text(old.replace("api_key: ${API_KEY}", "token: ${TOKEN}").replace("/v1", "/v2"))
    assert workplace.run("run", "--once").returncode == 0
    assert "API version" not in workplace.run("status").stdout
    (workspace,) = workplace.json("status")["workspaces"]
    assert (workspace["ok"], workspace["api"], workspace["retires_on"]) == (True, "v2", None)


# --- events ---


def test_events_are_what_the_webhook_got_newest_first_with_their_id(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    none = workplace.run("events")
    assert (none.returncode, none.stdout) == (1, "")
    assert "no database there yet" in none.stderr
    workplace.migrated()
    assert workplace.json("events") == []
    assert workplace.run("events").stdout == "No events.\n"
    with_events(workplace, simulator)
    told = [{"id": hook.headers["webhook-id"], **json.loads(hook.body)} for hook in simulator.sink.received]
    events = workplace.json("events")
    assert events == told[::-1]
    assert [list(event) for event in events] == [["id", "type", "timestamp", "data"]] * 3
    assert runs(events) == [2, 2, 1]


def test_events_are_chosen_by_sync_type_and_number(workplace: Workplace, simulator: SimulatorThread) -> None:
    with_events(workplace, simulator)
    everything = workplace.json("events")
    for options, found in (
        (("--sync", "53"), everything[:2]),
        (("--sync", "9"), []),
        (("--type", "sync_run.failed"), everything[2:]),
        (("--type", "sync_run.[cq]*"), everything[:2]),
        (("--type", "*"), everything),
        (("--limit", "1"), everything[:1]),
        (("--sync", "53", "--type", "sync_run.queued", "--limit", "9"), everything[1:2]),
    ):
        assert workplace.json("events", *options) == found, options


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("sync_run.faild", 'did you mean "sync_run.failed"?'),
        ("failed", 'did you mean "sync_run.failed"?'),
        ("nothing*", "there are sync_run.canceled, sync_run.queued,"),
    ],
)
def test_a_type_that_no_event_can_have_is_a_wrong_use(workplace: Workplace, wrong: str, remedy: str) -> None:
    ended = workplace.run("events", "--type", wrong)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f'no event has the type "{wrong}"; {remedy}' in in_one_line(ended.stderr)


def test_a_person_sees_what_changed_and_that_there_is_more(workplace: Workplace, simulator: SimulatorThread) -> None:
    with_events(workplace, simulator)
    workplace.environment["COLUMNS"] = "120"
    header, *lines = workplace.run("events").stdout.splitlines()
    assert header.split() == ["when", "type", "sync", "label", "run", "change"]
    assert [line.partition("ago")[2].split(maxsplit=2)[:2] for line in lines] == [
        ["canceled", "53"],
        ["queued", "53"],
        ["failed", "52"],
    ]
    assert [line.rpartition("  ")[2].strip() for line in map(str.rstrip, lines)] == [
        "queued → completed, canceled",
        "new → queued",
        "new → failed, JSON_ARRAY_ERROR",
    ]
    assert "New Signups to Leads" in lines[2]
    newest = workplace.run("events", "--limit", "2").stdout.splitlines()
    assert len(newest) == 4
    assert newest[3] == "The newest 2; --limit shows more, --json all."
    assert "--limit" not in workplace.run("events", "--limit", "3").stdout
    assert "--limit shows more" in workplace.run("deliveries", "--limit", "1").stdout


# --- what a terminal gets ---


def test_text_of_the_api_is_neither_markup_nor_obeyed_by_a_terminal(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52, label=HOSTILE)
    workplace.run("run", "--once")
    simulator.add_run(52, id=1, status=f"odd{HOSTILE}", error_code=HOSTILE)
    workplace.run("run", "--once")
    workplace.environment["COLUMNS"] = "500"
    for command in ("syncs", "status", "events"):
        shown = workplace.run(command).stdout
        assert "[red]Markup[/] �esrever second" in shown
        assert not OBEYED & set(shown)
    for command in ("syncs", "status", "events", "deliveries"):
        assert not OBEYED & set(workplace.run(command, "--json").stdout)
    assert workplace.json("syncs")[0]["label"] == HOSTILE
    assert workplace.json("events")[0]["data"]["sync"]["label"] == HOSTILE


def test_every_table_fits_80_columns_whatever_the_labels_and_errors(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(receivers=workplace.hooks("the-receiver-of-a-team"))
    simulator.sink.answer(404)
    simulator.add_sync(id=1_000_052, label="Snowflake analytics.marts.product_usage_daily to Intercom companies" * 3)
    workplace.run("run", "--once")
    simulator.add_run(1_000_052, id=9_000_001, status="failed", error_code="A_RATHER_LONG_CODE_OF_AN_ERROR" * 2)
    workplace.run("run", "--once")
    workplace.environment["COLUMNS"] = "80"
    for command in ("syncs", "status", "events", "deliveries"):
        shown = workplace.run(command).stdout
        assert max(len(line) for line in shown.splitlines()) <= 80
        assert "1000052" in shown or command == "deliveries"


def test_colors_are_for_terminals_and_as_the_environment_wants_them(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52)
    green = "\x1b[32m"
    assert "\x1b" not in workplace.run("syncs").stdout
    workplace.environment |= {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    forced = workplace.run("syncs")
    assert green in forced.stdout
    assert forced.stderr == ""  # no progress in a pipe
    workplace.environment["NO_COLOR"] = "1"
    assert green not in workplace.run("syncs").stdout


@pytest.mark.installed  # Python reads the variable at its start
def test_a_terminal_that_lacks_the_letters_of_a_label_shows_the_rest(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52, label="Ünï 顧客")
    workplace.environment["PYTHONIOENCODING"] = "ascii"
    assert "?n? ??" in workplace.run("syncs").stdout
    assert workplace.json("syncs")[0]["label"] == "Ünï 顧客"


# --- help and completion ---


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_of_every_command_fits_80_columns_and_its_examples_are_whole(
    workplace: Workplace, command: str
) -> None:
    workplace.environment["COLUMNS"] = "80"
    ended = workplace.run(*command.split(), "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert max(len(line) for line in ended.stdout.splitlines()) <= 80
    before, examples = ended.stdout.split("\n Examples")
    assert "[bold]" not in ended.stdout
    assert "`" not in before
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert lines
    assert all(line.startswith("notifier ") and "  " in line for line in lines), lines


def test_the_overview_has_a_line_for_each_command(workplace: Workplace) -> None:
    shown = workplace.run("--help").stdout
    for command in COMMANDS:
        assert f"│ {command.split()[0]} " in shown


def complete(workplace: Workplace, line: str) -> list[str]:
    """What bash offers at the end of this line."""
    words = shlex.split(line)
    workplace.environment |= {
        "_NOTIFIER_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) if line.endswith(" ") else len(words) - 1),
    }
    ended = workplace.run()
    assert ended.stderr == ""
    return ended.stdout.split()


def test_the_shell_completes_commands_types_and_the_names_of_a_watchlist(workplace: Workplace) -> None:
    script = workplace.run("--show-completion", "bash")
    assert script.returncode == 0
    assert "_NOTIFIER_COMPLETE=complete_" in script.stdout
    workplace.write_watchlist(receivers=workplace.hooks("growth", "pipeline"))
    for name in ("API_KEY", "SECRET"):  # an interactive shell seldom has them
        del workplace.environment[name]
    assert complete(workplace, "notifier ev") == ["events"]
    assert complete(workplace, "notifier events --type sync_run.c") == ["sync_run.canceled", "sync_run.completed"]
    assert complete(workplace, "notifier deliveries --receiver ") == ["growth", "pipeline"]
    assert complete(workplace, "notifier deliveries retry --receiver p") == ["pipeline"]
    assert complete(workplace, "notifier syncs --workspace ") == ["production"]


@pytest.mark.parametrize("content", [None, "receivers: [", "receivers: growth", "\0", "other: 1"], ids=repr)
def test_completion_never_fails_whatever_the_watchlist(workplace: Workplace, content: str | None) -> None:
    watchlist: Path = workplace.directory / "watchlist.yaml"
    watchlist.unlink()
    if content is not None:
        watchlist.write_text(content)
    assert complete(workplace, "notifier deliveries --receiver ") == []
