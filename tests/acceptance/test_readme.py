"""The README, followed to the letter: every command in it is run here, but for those that CI runs itself, and Docker's.

There is no Docker where the tests run: .ci/container runs what the image would run, and what can be told of the
commands without it is tested here.
"""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from notifier.simulator import SimulatorThread

from .conftest import COMMAND, Workplace

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RUN_BY_CI = {"make demo", "make test"}
BACKUP = "import sqlite3; sqlite3.connect('notifier.db').execute(\"VACUUM INTO 'backup.db'\")"


def blocks(language: str, text: str = README) -> list[str]:
    fences = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in fences]


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


def dockers() -> list[list[str]]:
    return [shlex.split(command) for command in commands() if command.startswith("docker ")]


def test_ci_runs_the_two_commands_that_set_everything_up() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    assert set(commands()) >= RUN_BY_CI
    assert all(command in ci for command in RUN_BY_CI)


def test_every_other_command_works_on_the_watchlist_shown(workplace: Workplace, simulator: SimulatorThread) -> None:
    watchlist = blocks("yaml")[0]
    channel = simulator.slack.add_channel("data-syncs")
    for place, local in {
        "    api_key: ${CENSUS_API_KEY}": f"    base_url: {simulator.base_url}\n    poll_interval: 1s",
        '    channel: "#data-syncs"': f"    api_url: {simulator.slack.api_url}",
    }.items():
        assert place in watchlist
        watchlist = watchlist.replace(place, f"{place}\n{local}")
    (workplace.directory / "watchlist.yaml").write_text(watchlist)
    simulator.add_sync(id=52)
    (workplace.directory / "bin").mkdir()
    (workplace.directory / "bin" / "notifier").symlink_to(COMMAND)
    workplace.environment |= {
        "PATH": f"{workplace.directory}/bin:{workplace.environment['PATH']}",
        "CENSUS_API_KEY": simulator.api_key,
        "SLACK_BOT_TOKEN": "xoxb-simulated",
    }
    tried = []
    for command in commands():
        if command in RUN_BY_CI or command.startswith(("export ", "docker ")):
            continue
        tried.append(command)
        if command == "notifier run":
            workplace.start()
            workplace.wait_for_baseline(52)
            simulator.add_run(52, status="failed")
            simulator.slack.wait_for(2)
            assert workplace.stop() == 0
            continue
        ended = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=workplace.directory,
            env=workplace.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), command
    test, failed = simulator.slack.messages(channel)
    assert test.text.startswith("Test message")
    assert failed.text.endswith(" failed")
    assert [shlex.split(command)[0] for command in tried].count("notifier") >= 10
    assert (workplace.directory / "backup.db").stat().st_size > 0
    assert (workplace.directory / "config" / "watchlist.yaml").read_text() == watchlist
    secrets = {path.name: path.read_text() for path in (workplace.directory / "secrets").iterdir()}
    assert secrets == {"census_api_key": simulator.api_key, "slack_bot_token": "xoxb-simulated"}


def test_the_examples_of_watches_receivers_and_routes_are_a_good_watchlist(workplace: Workplace) -> None:
    _, watches, receivers_and_routes = blocks("yaml")
    head = "version: 1\nworkspaces: {production: {api_key: key}}\n"
    (workplace.directory / "watchlist.yaml").write_text(f"{head}{watches}\n{receivers_and_routes}\n")
    workplace.environment |= {
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
        "HOOK_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5",
    }
    ended = workplace.run("check")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "4 watch(es), 4 receiver(s), 4 route(s)" in ended.stdout


@pytest.mark.parametrize("example", blocks("yaml", (ROOT / "docs" / "slack.md").read_text()))
def test_the_examples_of_the_page_about_slack_are_good_parts_of_a_watchlist(workplace: Workplace, example: str) -> None:
    watches = "" if "watches:" in example else "watches: [{sync: 52}]\n"
    head = f"version: 1\nworkspaces: {{production: {{api_key: key}}}}\n{watches}"
    (workplace.directory / "watchlist.yaml").write_text(f"{head}{example}\n")
    url = "https://hooks.slack.com/services/T/B/x"
    workplace.environment |= {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_WEBHOOK_URL": url}
    ended = workplace.run("check")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("command", dockers(), ids=" ".join)
def test_dockers_commands_name_the_service_and_run_what_is_run_without_it(command: list[str]) -> None:
    assert command[:2] == ["docker", "compose"]
    subcommand, *rest = command[2:]
    if subcommand in ("run", "exec"):
        assert "notifier" in rest
    if "python" in rest:
        assert rest[rest.index("python") + 1 :] == ["-c", BACKUP]
        assert f"python3 -c {shlex.quote(BACKUP)}" in {shlex.join(shlex.split(line)) for line in commands()}


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) >= 8
    assert [link for link in links if not (ROOT / link).exists()] == []
