"""`notifier init`: a first watchlist, by questions on a terminal, or by options without one."""

import pytest

from notifier.simulator import SimulatorThread, Status

from .conftest import SECRET, Workplace
from .terminal import Terminal

TOKEN = "xoxb-simulated"
FILE = "watchlist.yaml"


@pytest.fixture
def desk(workplace: Workplace, simulator: SimulatorThread) -> Workplace:
    """A directory without a watchlist; a workspace with three syncs and a Slack with one channel."""
    (workplace.directory / FILE).unlink()
    workplace.environment = {"PATH": workplace.environment["PATH"]}
    simulator.slack.add_channel("data-syncs")
    for sync_id, label in ((52, "New Signups to Leads"), (53, "Salesforce: Accounts"), (54, 'Odd "${X}" \\ label')):
        simulator.add_sync(id=sync_id, label=label)
    return workplace


def places(simulator: SimulatorThread, *, version: str = "v2") -> tuple[str, ...]:
    return ("--base-url", address(simulator, version), "--slack-api-url", simulator.slack.api_url)


def address(simulator: SimulatorThread, version: str = "v2") -> str:
    return simulator.base_url.replace("/v1", f"/{version}")


def written(desk: Workplace) -> str:
    return (desk.directory / FILE).read_text()


def test_questions_lead_to_a_watchlist_that_works_and_holds_no_secret(
    desk: Workplace, simulator: SimulatorThread
) -> None:
    with Terminal(desk, "init", *places(simulator)) as terminal:
        terminal.answers("Activations personal access token", simulator.token)
        terminal.answers("Which to watch", "52, Salesforce*")
        terminal.answers("Who is told", "")
        terminal.answers("Bot token", TOKEN)
        terminal.answers("Channel", "#data-syncs")
        assert terminal.ends() == 0, terminal.shown
    for label in ("New Signups to Leads", "Salesforce: Accounts"):
        assert label in terminal.shown
    assert terminal.shown.endswith(
        """\
watchlist.yaml is written. It has the names of these variables; set them where the notifier runs:

  export ACTIVATIONS_TOKEN='…'
  export SLACK_BOT_TOKEN='…'

Then check it, try it, run it:

  notifier check --online
  notifier send-test data
  notifier run
"""
    )
    for secret in (simulator.token, TOKEN):
        assert secret not in written(desk)
        assert secret not in terminal.shown
    assert "  - sync: 52                            # New Signups to Leads\n" in written(desk)
    assert '  - syncs: {label: ["Salesforce*"]}\n' in written(desk)
    desk.environment |= {"ACTIVATIONS_TOKEN": simulator.token, "SLACK_BOT_TOKEN": TOKEN}
    checked = desk.run("check", "--online")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
    assert "3 syncs, 2 watched" in checked.stdout
    assert desk.run("send-test", "data").returncode == 0


def test_what_is_wrong_is_told_and_can_be_corrected(desk: Workplace, simulator: SimulatorThread) -> None:
    with Terminal(desk, "init", *places(simulator)) as terminal:
        terminal.answers("Tokens are made in Fivetran: account settings", "wr ong")
        terminal.answers("That must not contain spaces", "wrong")
        terminal.answers("The syncs can't be read: HTTP 401 Unauthorized: the token is wrong", simulator.token)
        terminal.answers("The API's address", address(simulator))
        terminal.answers("Which to watch", "99")
        terminal.answers("That fits nothing: the workspace has no sync 99.", "Sales?orce: A*")
        terminal.answers("Who is told", "mail")
        terminal.answers("That must be one of slack, slack_webhook, webhook.", "slack")
        terminal.answers("Bot token", TOKEN)
        terminal.answers("Channel", "#nowhere")
        terminal.answers("Slack can't be told", TOKEN)
        terminal.answers("Channel", "#data-syncs")
        assert terminal.ends() == 0, terminal.shown
    assert '  - syncs: {label: ["Sales?orce: A*"]}\n' in written(desk)
    assert '    channel: "#data-syncs"' in written(desk)


def test_the_region_is_asked_for_and_whoever_gives_up_leaves_no_file(desk: Workplace) -> None:
    with Terminal(desk, "init") as terminal:
        terminal.answers("Region of the Census workspace", "uk")
        terminal.answers("That must be us, eu or au", "au")
        terminal.answers("Activations personal access token", "\x04")
        assert terminal.ends() == 1
    assert not (desk.directory / FILE).exists()


def test_without_a_terminal_options_and_the_environment_say_it_all(desk: Workplace, simulator: SimulatorThread) -> None:
    desk.environment |= {"ACTIVATIONS_TOKEN": simulator.token, "SLACK_BOT_TOKEN": TOKEN}
    ended = desk.run("init", "--yes", "--channel", "#data-syncs", *places(simulator))
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("Slack: #data-syncs (")
    assert "  export ACTIVATIONS_TOKEN='…'  # is set in this shell\n" in ended.stdout
    assert "  - syncs: all                          # new ones too, as they appear\n" in written(desk)
    assert desk.run("check", "--online").returncode == 0
    some = ("--watch", "54", "--watch", 'Odd "${X}"*', "--channel", "#data-syncs", *places(simulator))
    ended = desk.run("init", "--config", "some.yaml", *some)
    assert ended.returncode == 0, ended.stderr
    assert "  notifier send-test data -c some.yaml\n" in ended.stdout
    assert "3 syncs, 1 watched" in desk.run("check", "--online", "-c", "some.yaml").stdout


def test_a_secret_may_come_from_a_file(desk: Workplace, simulator: SimulatorThread) -> None:
    (desk.directory / "key").write_text(f"{simulator.token}\n")
    desk.environment |= {"ACTIVATIONS_TOKEN_FILE": "key", "WEBHOOK_URL": f"{simulator.sink_url}/canary"}
    ended = desk.run("init", "--yes", "--to", "webhook", "--base-url", address(simulator))
    assert ended.returncode == 0, ended.stderr
    assert "    # secret: ${WEBHOOK_SECRET}" in written(desk)
    assert desk.run("send-test", "pipeline").returncode == 0
    desk.environment["WEBHOOK_SECRET"] = SECRET
    ended = desk.run("init", "--force", "--yes", "--to", "webhook", "--base-url", address(simulator))
    assert ended.returncode == 0, ended.stderr
    assert "    secret: ${WEBHOOK_SECRET} " in written(desk)
    assert "export WEBHOOK_SECRET='…'" in ended.stdout
    assert desk.run("send-test", "pipeline").returncode == 0
    assert "webhook-signature" in simulator.sink.received[-1].headers
    assert "canary" not in written(desk) + ended.stdout + ended.stderr


def test_an_incoming_webhook_is_told(desk: Workplace, simulator: SimulatorThread) -> None:
    path = simulator.slack.add_webhook(simulator.slack.add_channel("alerts"))
    desk.environment |= {"ACTIVATIONS_TOKEN": simulator.token, "SLACK_WEBHOOK_URL": simulator.slack.webhook_url(path)}
    ended = desk.run("init", "--yes", "--to", "slack_webhook", "--base-url", address(simulator))
    assert ended.returncode == 0, ended.stderr
    assert path not in written(desk) + ended.stdout
    assert desk.run("send-test", "data").returncode == 0


def test_without_a_terminal_all_that_is_missing_is_named_at_once(desk: Workplace) -> None:
    ended = desk.run("init")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "notifier: nobody can be asked here, and these are missing: the environment variable ACTIVATIONS_TOKEN, "
        "--watch (or --yes for all syncs), the environment variable SLACK_BOT_TOKEN, --channel\n"
    )
    assert "the environment variable WEBHOOK_URL\n" in desk.run("init", "--yes", "--to", "webhook").stderr
    assert not (desk.directory / FILE).exists()


def test_a_file_that_is_there_is_left_alone_unless_forced(desk: Workplace, simulator: SimulatorThread) -> None:
    (desk.directory / FILE).write_text("mine")
    ended = desk.run("init")
    assert ended.returncode == 2
    assert ended.stderr == "notifier: watchlist.yaml is there already; --force overwrites it, --config names another\n"
    assert written(desk) == "mine"


@pytest.mark.parametrize(
    ("key", "token", "channel", "said"),
    [
        ("wrong", TOKEN, "#data-syncs", "notifier: The syncs can't be read: HTTP 401 Unauthorized"),
        ("", "xoxb-wrong", "#data-syncs", "notifier: Slack can't be told: invalid_auth"),
        ("", TOKEN, "#nowhere", "notifier: Slack can't be told: channel_not_found"),
    ],
)
def test_a_key_or_channel_that_does_not_work_is_told_and_nothing_is_written(
    desk: Workplace, simulator: SimulatorThread, key: str, token: str, channel: str, said: str
) -> None:
    desk.environment |= {"ACTIVATIONS_TOKEN": key or simulator.token, "SLACK_BOT_TOKEN": token}
    ended = desk.run("init", "--yes", "--channel", channel, *places(simulator))
    assert ended.returncode == 1
    assert ended.stderr.startswith(said)
    assert not (desk.directory / FILE).exists()


def test_an_api_that_is_down_and_a_wrong_use_are_sentences(desk: Workplace, simulator: SimulatorThread) -> None:
    desk.environment |= {"ACTIVATIONS_TOKEN": simulator.token, "SLACK_BOT_TOKEN": TOKEN}
    given = ("--yes", "--channel", "#data-syncs", *places(simulator))
    assert desk.run("init", *given, "--region", "eu").returncode == 2
    nothing_fits = desk.run("init", *given, "--watch", "99")
    assert nothing_fits.returncode == 2
    assert "no sync 99" in nothing_fits.stderr
    not_a_url = desk.run("init", "--yes", "--channel", "#data-syncs", "--base-url", "nowhere")
    assert not_a_url.returncode == 2
    assert "workspaces.production.base_url: must be a URL that starts with http:// or https://" in not_a_url.stderr
    other_version = desk.run("init", "--yes", "--channel", "#data-syncs", *places(simulator, version="v1"))
    assert other_version.returncode == 1
    assert other_version.stderr.endswith(" With a token the address should end with /v2.\n")
    simulator.fault(Status(500))
    down = desk.run("init", *given)
    assert down.returncode == 1
    assert down.stderr.startswith("notifier: The syncs can't be read: HTTP 500")
    assert not (desk.directory / FILE).exists()


# --- which version ---


def test_an_empty_token_is_an_api_key_of_version_1_and_the_file_says_when_that_ends(
    desk: Workplace, simulator: SimulatorThread
) -> None:
    with Terminal(desk, "init", "--to", "webhook", *places(simulator, version="v1")) as terminal:
        terminal.answers("Activations personal access token", "")
        terminal.answers("API key of the Census workspace", "wrong")
        terminal.answers("The syncs can't be read: HTTP 401 Unauthorized: the API key", "")
        terminal.answers("API key of the Census workspace", simulator.api_key)
        terminal.answers("The API's address", address(simulator, "v1"))
        terminal.answers("Which to watch", "all")
        terminal.answers("URL of the webhook", f"{simulator.sink_url}/hook")
        assert terminal.ends() == 0, terminal.shown
    assert terminal.shown.count("Tokens are made in Fivetran: account settings") == 1
    assert "\n  export CENSUS_API_KEY='…'\n" in terminal.shown
    assert "It uses version 1 of the Census API: " in terminal.shown
    assert "api_key: ${CENSUS_API_KEY}          # version 1 of the API, which Census ends on 2027-01-15" in written(
        desk
    )
    assert "token" not in written(desk)


@pytest.mark.parametrize(("variables", "version"), [(("key",), "v1"), (("key", "token"), "v2"), (("token",), "v2")])
def test_a_token_of_the_environment_wins_over_an_api_key_and_neither_is_asked_for(
    desk: Workplace, simulator: SimulatorThread, variables: tuple[str, ...], version: str
) -> None:
    given = {"key": {"CENSUS_API_KEY": simulator.api_key}, "token": {"ACTIVATIONS_TOKEN": simulator.token}}
    for name in variables:
        desk.environment |= given[name]
    desk.environment["WEBHOOK_URL"] = f"{simulator.sink_url}/hook"
    with Terminal(desk, "init", "--to", "webhook", *places(simulator, version=version)) as terminal:
        terminal.answers("Which to watch", "all")
        assert terminal.ends() == 0, terminal.shown
    without = desk.run("init", "--yes", "--to", "webhook", "--force", *places(simulator, version=version))
    assert without.returncode == 0, without.stderr
    variable = {"v1": "CENSUS_API_KEY", "v2": "ACTIVATIONS_TOKEN"}[version]
    for shown in (terminal.shown, without.stdout):
        assert [name for name in ("CENSUS_API_KEY", "ACTIVATIONS_TOKEN") if name in shown] == [variable]
    assert {request.version for request in simulator.requests} == {version}


def test_a_group_is_written_and_asked_for_by_and_needs_a_token(desk: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id="glimmering_donkey", label="Ours", group_id="mine")
    simulator.update_sync(54, group_id="other")
    desk.environment |= {"CENSUS_API_KEY": simulator.api_key, "WEBHOOK_URL": f"{simulator.sink_url}/hook"}
    given = ("--yes", "--to", "webhook", "--group", "mine", *places(simulator))
    refused = desk.run("init", *given)
    assert refused.returncode == 2
    assert refused.stderr.endswith("these are missing: the environment variable ACTIVATIONS_TOKEN\n")
    desk.environment["ACTIVATIONS_TOKEN"] = simulator.token
    ended = desk.run("init", *given, "--watch", "glimmering_donkey", "--watch", "52")
    assert ended.returncode == 0, ended.stderr
    assert '    group: "mine"  ' in written(desk)
    assert '  - sync: "glimmering_donkey"           # Ours\n' in written(desk)
    assert "  - sync: 52  " in written(desk)
    assert {request.query.get("group_id") for request in simulator.requests} == {"mine"}
    assert "3 syncs, 2 watched" in desk.run("check", "--online").stdout
    foreign = desk.run("init", *given, "--force", "--watch", "54")
    assert foreign.returncode == 2
    assert "no sync 54" in foreign.stderr
