"""The README's `make test` where there is no browser or PostgreSQL: the others run, one line says which did not."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.postgres.programs import PLACE

ROOT = Path(__file__).parents[3]
LINE = "not run: tests/browser"
ON_POSTGRESQL = "tests/integration/repository/test_postgres_server.py"


def outcome(tmp_path: Path, *paths: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs these tests where no program is to be found."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_without_a_browser_the_other_tests_run_and_the_last_line_says_which_did_not(
    tmp_path: Path, workers: str
) -> None:
    ended = outcome(tmp_path, "-n", workers, "tests/browser", "tests/unit/receivers/test_pace.py")
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    assert [line for line in lines if LINE in line] == lines[-1:]
    assert "chromium, chromium-driver" in lines[-1]
    assert " passed" in lines[-2]


@pytest.mark.slow
def test_ci_demands_a_browser(tmp_path: Path) -> None:
    ended = outcome(tmp_path, "tests/browser", CI="true")
    assert ended.returncode == 1
    assert "chromium is missing; install chromium and chromedriver" in ended.stdout
    assert LINE not in ended.stdout


@pytest.mark.slow
def test_who_asks_for_other_tests_hears_nothing_of_a_browser(tmp_path: Path) -> None:
    ended = outcome(tmp_path, "tests/unit/receivers/test_pace.py")
    assert (ended.returncode, LINE in ended.stdout) == (0, False)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_without_postgresql_the_other_tests_run_and_the_last_line_counts_those_that_did_not(
    tmp_path: Path, workers: str
) -> None:
    ended = outcome(
        tmp_path, "-n", workers, ON_POSTGRESQL, "tests/unit/receivers/test_pace.py", **{PLACE: str(tmp_path)}
    )
    assert ended.returncode == 0, ended.stdout
    last = ended.stdout.splitlines()[-1]
    assert re.fullmatch(r"not run: \d\d tests on PostgreSQL, .* \(Debian: postgresql\)", last), ended.stdout


@pytest.mark.slow
def test_ci_demands_postgresql(tmp_path: Path) -> None:
    ended = outcome(tmp_path, ON_POSTGRESQL, "-k", "can_be_stopped", CI="true", **{PLACE: str(tmp_path)})
    assert ended.returncode == 1
    assert "PostgreSQL is missing; install it (Debian: postgresql)" in ended.stdout
    assert "not run" not in ended.stdout


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
@pytest.mark.parametrize("script", ["tests/browser/chromium", "tests/postgres/postgresql"])
def test_what_can_not_be_installed_only_ci_misses(tmp_path: Path, script: str, ci: str, code: int) -> None:
    (tmp_path / "id").symlink_to("/usr/bin/id")
    ended = subprocess.run(
        ["/bin/sh", ROOT / script],
        env={**os.environ, "PATH": str(tmp_path), "CI": ci, PLACE: str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "FAILED" in ended.stderr) == (code, bool(code))


def bare(tmp_path: Path, asked: str, before: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    """What Python says to this under `.ci/bare`, after these commands of the shell."""
    for program in ("bash", "env", "mktemp", "ln", "rm"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    return subprocess.run(
        [tmp_path / "bash", "-c", "\n".join([*before, '.ci/bare "$0" -c "$1"']), sys.executable, asked],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_bare_machine_has_no_postgresql_wherever_this_one_has_it(tmp_path: Path) -> None:
    ended = bare(tmp_path, "from tests.postgres.programs import programs; print(programs())")
    assert (ended.stdout.strip(), ended.returncode) == ("None", 0), ended.stderr


@pytest.mark.slow
def test_ci_decides_on_a_change_and_not_on_its_luck_even_where_the_machine_is_bare(tmp_path: Path) -> None:
    """`.ci/bare` takes CI away, and with it the profile of the properties, unless `.ci/run` names it."""
    exports = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("export ")]
    asked = "import tests.conftest; from hypothesis import settings; print(settings.get_current_profile_name())"
    ended = bare(tmp_path, asked, exports)
    assert (ended.stdout.strip(), ended.returncode) == ("ci", 0), ended.stderr
