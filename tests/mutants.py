"""`make mutants`: changes the code in small ways and looks whether a test notices. How to read it: CONTRIBUTING.md.

mutmut makes the mutants and runs the tests. This gives it a room for each module, `build/mutants/MODULE`, with a copy
of the tree: the checkout is never touched, whatever happens. A room is kept: what was interrupted goes on where it was,
and what was done is told again. A change to the package, to these tests or to what they share makes the room anew.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
ROOMS = ROOT / "build" / "mutants"
MUTMUT = Path(sys.executable).with_name("mutmut")
LONGEST = 45 * 60
"""In seconds, for one module. mutmut ends each mutant that hangs by itself; this ends mutmut."""

SETTINGS = """
[tool.mutmut]
source_paths = ["notifier"]
only_mutate = [{module}]
also_copy = {beside}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:xdist", "-p", "no:cacheprovider"]
process_isolation = "forkserver"  # a fork of a process that has run tests inherits threads that are dead (aiosqlite's)
use_git_change_detection = false
"""


def usual() -> list[str]:
    """The modules that decide without I/O, as the import contract lists them, and the server's."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = next(contract for contract in contracts if contract["name"] == "What decides does no I/O")["source_modules"]
    places = [ROOT / name.replace(".", "/") for name in [*pure, "notifier.web"]]
    files = [file for place in places for file in (sorted(place.rglob("[a-z]*.py")) or [place.with_suffix(".py")])]
    return list(dict.fromkeys(str(file.relative_to(ROOT)) for file in files))


def tests_of(module: str) -> list[str]:
    """Test files that mirror the module or import it: unit tests, or else integration tests. With none, those of
    the modules of its package that import it, and so on. Never tests/acceptance: their command is not the copy's.
    """
    graph = grimp.build_graph("notifier", cache_dir=None)
    package = module.rpartition(".")[0] + "."
    around, seen = {module}, {module}
    while around:
        for tier in ("unit", "integration"):
            files = sorted((ROOT / "tests" / tier).rglob("test_*.py"))
            if found := [str(file.relative_to(ROOT)) for file in files if any(_names(one, file) for one in around)]:
                return found
        above = {name for one in around for name in graph.find_modules_that_directly_import(one)}
        around = {name for name in above if name.startswith(package)} - seen
        seen |= around
    return []


def _names(module: str, file: Path) -> bool:
    parent, _, name = module.rpartition(".")
    imports = rf"^\s*(from {re.escape(module)} import|from {re.escape(parent)} import .*\b{name}\b)"
    mirrors = file.stem == f"test_{name}" and file.parent.name in module.split(".")
    return mirrors or re.search(imports, file.read_text(), re.MULTILINE) is not None


def room_for(file: str, tests: list[str]) -> Path:
    """Where the module's mutants live: as they were left, or new where anything has changed since."""
    room = ROOMS / file.removesuffix(".py").replace("/", ".")
    listed = subprocess.check_output(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, text=True)
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    settings = SETTINGS.format(
        module=json.dumps(file),
        beside=json.dumps(sorted({name.partition("/")[0] for name in names} - {"notifier", "tests"})),
        tests=json.dumps(tests),
    )
    whole = hashlib.sha256(settings.encode())
    for name in names:
        for_others = Path(name).name.startswith(("test_", "mutants.")) and name not in tests
        if name.startswith(("notifier/", "migrations/", "tests/")) and not for_others:
            whole.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    stamp = room / ".made-of"
    if stamp.exists() and stamp.read_text() == whole.hexdigest():
        return room
    shutil.rmtree(room, ignore_errors=True)
    for name in names:
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, room / name)
    with (room / "pyproject.toml").open("a") as pyproject:
        pyproject.write(settings)
    stamp.write_text(whole.hexdigest())
    return room


def judge(room: Path, jobs: int) -> bool:
    """Runs what was not run yet; False when mutmut failed. Ends all that it started, also when it is interrupted."""
    with (room / "mutmut.log").open("w") as log:
        process = subprocess.Popen(
            ["nice", MUTMUT, "run", "--max-children", str(jobs)],
            cwd=room, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        try:
            return process.wait(LONGEST) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tell(file: str, room: Path) -> None:
    """The score, then each mutant that no test noticed, as a diff. One that was not done in time is no proof of a test:
    mutmut says so too where pytest could not run at all (a test whose name is another one in each process).
    """

    def ask(*words: str) -> str:
        return subprocess.run([MUTMUT, *words], cwd=room, check=True, capture_output=True, text=True).stdout

    ask("export-cicd-stats")
    stats = json.loads((room / "mutants" / "mutmut-cicd-stats.json").read_text())
    lived = [line.strip().split(": ") for line in ask("results").splitlines()]
    score = f"{stats['killed']} of {stats['total']} killed, {stats['survived']} survived, {stats['timeout']} timed out"
    print(f"{file}: {score}, {stats['no_tests']} were run by no test")
    for name, state in lived:
        if state != "no tests":
            print(ask("show", name).rstrip(), "\n")
    unrun = sorted({name.rpartition("__mutmut_")[0] for name, state in lived if state == "no tests"})
    print(*(f"# run by none of these tests: {name}\n" for name in unrun), sep="")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "files", nargs="*", metavar="FILES", help="modules; else the pure ones and those of notifier/web"
    )
    parser.add_argument("--tests", nargs="*", default=[], help="test files beside those that are found")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if missing := [file for file in options.files + options.tests if not (ROOT / file).is_file()]:
        parser.error(f"there is no {' and no '.join(missing)}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))  # so that `judge` ends what it started
    failed = []
    for file in options.files or usual():
        tests = sorted({*tests_of(file.removesuffix(".py").replace("/", ".")), *options.tests})
        if not tests:
            print(f"{file}: no test in this process reaches it\n")
            continue
        print(f"{file}, judged by {' '.join(tests)}", flush=True)
        room = room_for(file, tests)
        if judge(room, options.jobs):
            tell(file, room)
        else:
            failed.append(file)
            said = (room / "mutmut.log").read_text().rstrip().splitlines()[-3:]
            print(f"{file}: no result. The end of {(room / 'mutmut.log').relative_to(ROOT)}:", *said, "", sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
