"""The README, followed to the letter: every command in it is run here, but for those that CI runs itself, and Docker's.
Every example of a watchlist, there and in docs/, is loaded by `notifier check`.

There is no Docker where the tests run: .ci/container runs what the image would run, and what can be told of the
commands without it is tested here.
"""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from notifier.simulator import SimulatorThread

from .conftest import COMMAND, SECRET, Workplace
from .terminal import Terminal

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
RUN_BY_CI = {"make demo", "make test"}
HOOK = "{type: webhook, url: 'https://example.com/hook'}"
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


@pytest.mark.timeout(600)  # some twenty processes, one after the other
def test_every_other_command_works_on_the_watchlist_shown(workplace: Workplace, simulator: SimulatorThread) -> None:
    watchlist = blocks("yaml")[0]
    channel = simulator.slack.add_channel("data-syncs")
    for place, local in {
        "    token: ${ACTIVATIONS_TOKEN}": f"    base_url: {version_2(simulator)}\n    poll_interval: 1s",
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
        "ACTIVATIONS_TOKEN": simulator.token,
        "SLACK_BOT_TOKEN": "xoxb-simulated",
    }
    tried = []
    for command in commands():
        if command in RUN_BY_CI or command.startswith(("export ", "docker ")):
            continue
        tried.append(command)
        if command == "notifier init":
            init_by_questions(workplace, simulator)
            continue
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
    test, failing = simulator.slack.messages(channel)
    assert test.text.startswith("Test message")
    assert " is failing: run " in failing.text
    assert "failing" in workplace.run("incidents").stdout
    assert [shlex.split(command)[0] for command in tried].count("notifier") >= 10
    assert (workplace.directory / "backup.db").stat().st_size > 0
    assert (workplace.directory / "config" / "watchlist.yaml").read_text() == watchlist
    secrets = {path.name: path.read_text() for path in (workplace.directory / "secrets").iterdir()}
    assert secrets == {"activations_token": simulator.token, "slack_bot_token": "xoxb-simulated"}


def version_2(simulator: SimulatorThread) -> str:
    return simulator.base_url.replace("/v1", "/v2")


def init_by_questions(workplace: Workplace, simulator: SimulatorThread) -> None:
    """Beside the watchlist shown; the simulators' addresses are all that a reader would not have to say."""
    local = ("--base-url", version_2(simulator), "--slack-api-url", simulator.slack.api_url)
    with Terminal(workplace, "init", "-c", "by-questions.yaml", *local) as terminal:
        terminal.answers("Which to watch", "all")
        terminal.answers("Who is told", "slack")
        terminal.answers("Channel", "#data-syncs")
        assert terminal.ends() == 0, terminal.shown
    assert workplace.run("check", "-c", "by-questions.yaml").returncode == 0


def test_the_examples_of_watches_receivers_and_routes_are_a_good_watchlist(workplace: Workplace) -> None:
    _, watches, receivers_and_routes = blocks("yaml")
    assert "4 watches, 4 receivers, 4 routes" in checked(workplace, f"{watches}\n{receivers_and_routes}")


def examples() -> list[tuple[str, str]]:
    """Every part of a watchlist on every page."""
    found = [(page, example) for page, text in PAGES.items() for example in blocks("yaml", text)]
    found = [(page, example) for page, example in found if "apiVersion" not in example]  # for Kubernetes
    return found + [(page, example) for page, text in PAGES.items() if (example := of_lines(text))]


def of_lines(text: str) -> str:
    """What stands within a page's lines and begins with a key, brought together."""
    watches: list[str] = []
    routes: list[str] = []
    receivers: list[str] = []
    for key, value in re.findall(r"`(checks|events|mentions|messages): ([^`]+)`", text):
        if key == "checks":
            watches.append(f"{{sync: {len(watches) + 1}, checks: {value}}}")
        elif key == "events":
            routes.append(f"{{events: {value}, receivers: [data]}}")
        else:
            receivers.append(f"{{type: slack, token: t, channel: C{len(receivers)}, {key}: {value}}}")
    if not (watches or routes or receivers):
        return ""
    named = {"data": HOOK} | {f"slack{number}": receiver for number, receiver in enumerate(receivers)}
    return "\n".join(
        [
            f"watches: [{', '.join(watches or ['{sync: 52}'])}]",
            f"routes: [{', '.join(routes or ['{receivers: [data]}'])}]",
            f"receivers: {{{', '.join(f'{name}: {receiver}' for name, receiver in named.items())}}}",
        ]
    )


@pytest.mark.parametrize(("page", "example"), examples())
def test_every_example_is_a_good_part_of_a_watchlist(workplace: Workplace, page: str, example: str) -> None:
    assert "good" in checked(workplace, example), page


def test_the_pages_have_examples() -> None:
    expected = {"README.md", "checks.md", "coming-from-census-alerts.md", "server.md", "slack.md", "v2.md"}
    assert {page for page, _ in examples()} >= expected
    assert of_lines(PAGES["coming-from-census-alerts.md"]).count("checks: ") >= 6


def checked(workplace: Workplace, example: str) -> str:
    """What `notifier check` says of an example, with what is missing around it; nothing on standard error."""
    keys = set(re.findall(r"^(\w+):", example, flags=re.MULTILINE))
    named = set(re.findall(r"\w+", " ".join(re.findall(r"receivers: \[(.*?)\]", example)))) or {"data"}
    around = {
        "version": "1",
        "workspaces": "{production: {token: key}}",
        "watches": "[{sync: 52}]",
        "receivers": f"{{{', '.join(f'{name}: {HOOK}' for name in sorted(named))}}}",
    }
    missing = "".join(f"{key}: {value}\n" for key, value in around.items() if key not in keys)
    (workplace.directory / "watchlist.yaml").write_text(f"{missing}{example}\n")
    workplace.environment |= {
        "ACTIVATIONS_TOKEN": "token",
        "CENSUS_API_KEY": "key",
        "DATABASE_URL": "postgresql://notifier:password@db.example.com:5432/notifier?sslmode=verify-full",
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
        "HOOK_SECRET": SECRET,
        "HEARTBEAT_URL": "https://hc.example.com/ping/1",
        "NOTIFIER_TOKEN": "token-of-24-characters-xx",
        "CENSUS_WEBHOOK_SECRET": "a-secret-that-is-long-enough",
    }
    ended = workplace.run("check")
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize("command", dockers(), ids=" ".join)
def test_dockers_commands_name_the_service_and_run_what_is_run_without_it(command: list[str]) -> None:
    assert command[:2] == ["docker", "compose"]
    subcommand, *rest = command[2:]
    if subcommand in ("run", "exec"):
        assert "notifier" in rest
    if "python" in rest:
        assert rest[rest.index("python") + 1 :] == ["-c", BACKUP]
        assert f"python3 -c {shlex.quote(BACKUP)}" in {shlex.join(shlex.split(line)) for line in commands()}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_is_there(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGES[page])
    assert len(links) >= (8 if page == "README.md" else 0)
    assert [link for link in links if not (folder / link).exists()] == []
