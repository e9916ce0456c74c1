"""The README, followed to the letter: every command in it is run here, but for those that CI runs itself."""

import re
import shlex
import subprocess
from pathlib import Path

from notifier.simulator import SimulatorThread

from .conftest import COMMAND, Workplace

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RUN_BY_CI = {"make demo", "make test"}


def blocks(language: str) -> list[str]:
    fences = re.findall(rf"^( *)```{language}\n(.*?)^ *```", README, flags=re.DOTALL | re.MULTILINE)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in fences]


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


def test_ci_runs_the_two_commands_that_set_everything_up() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    assert set(commands()) >= RUN_BY_CI
    assert all(command in ci for command in RUN_BY_CI)


def test_every_other_command_works_on_the_watchlist_shown(workplace: Workplace, simulator: SimulatorThread) -> None:
    (watchlist,) = blocks("yaml")
    key = "api_key: ${CENSUS_API_KEY}"
    assert key in watchlist
    local = f"{key}\n    base_url: {simulator.base_url}\n    poll_interval: 1s"
    (workplace.directory / "watchlist.yaml").write_text(watchlist.replace(key, local))
    simulator.add_sync(id=52)
    (workplace.directory / "bin").mkdir()
    (workplace.directory / "bin" / "notifier").symlink_to(COMMAND)
    environment = {
        **workplace.environment,
        "PATH": f"{workplace.directory}/bin:{workplace.environment['PATH']}",
        "CENSUS_API_KEY": simulator.api_key,
        "HOOK_URL": f"{simulator.sink_url}/hook",
    }
    workplace.environment |= environment
    tried = []
    for command in commands():
        if command in RUN_BY_CI or command.startswith("export "):
            continue
        tried.append(command)
        if command == "notifier run":
            workplace.start()
            workplace.wait_for_baseline(52)
            simulator.add_run(52, status="failed")
            simulator.sink.wait_for(1)
            assert workplace.stop() == 0
            continue
        ended = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=workplace.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{command}: {ended.stderr}"
    assert [shlex.split(command)[0] for command in tried].count("notifier") >= 8
    assert (workplace.directory / "backup.db").stat().st_size > 0
