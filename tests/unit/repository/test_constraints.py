"""Everything that is installed is checked by hash: by the image, by `make`, and as docs/operations.md says."""

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "constraints").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
WANTED = {
    "build": PROJECT["build-system"]["requires"],
    "worker": [*PROJECT["project"]["dependencies"], *EXTRAS["postgresql"]],
    "dev": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["build-system"]["requires"],
        *EXTRAS["dev"],
        *EXTRAS["bench"],
        *EXTRAS["postgresql"],
    ],
    "mutants": PROJECT["dependency-groups"]["mutants"],
    "supply": PROJECT["dependency-groups"]["supply"],
}
"""By the name of the file, what must be in it."""


def name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def locked(file: str) -> dict[str, list[str]]:
    """By its name, a package's version and hashes, as pip reads them: a line each, without comments."""
    text = (ROOT / "constraints" / f"{file}.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name(line): line.split(";")[0].split()[:1] + sorted(re.findall(r"--\S+", line)) for line in lines}


def pip_installs(script: str) -> list[list[str]]:
    """The arguments of each `pip install` in a shell script."""
    commands = re.split(r"&&|\n", script.replace("\\\n", ""))
    words = [shlex.split(command, comments=True) for command in commands if re.search(r"\bpip\b.*\binstall\b", command)]
    return [each[each.index("install") + 1 :] for each in words]


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def makefile() -> str:
    """What make would run, with its variables written out; the peers of the benchmarks are another matter."""
    told = subprocess.run(
        ["make", "--dry-run", "--always-make", "sbom", "audit", "constraints", "check", "mutants"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout


def operations() -> str:
    return "\n".join(
        re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/operations.md").read_text(), re.DOTALL | re.MULTILINE)
    )


@pytest.mark.parametrize(
    ("script", "files"),
    [(dockerfile, "build worker"), (makefile, "dev mutants supply worker"), (operations, "build worker")],
)
def test_pip_takes_from_an_index_only_wheels_whose_hash_is_committed(script: Callable[[], str], files: str) -> None:
    used: set[str] = set()
    for arguments in pip_installs(script()):
        options = {word for word in arguments if word.startswith("-")}
        if "--no-index" in options:  # what is already on the disk: this project itself
            assert "--no-deps" in options
            assert options >= {"--no-build-isolation"} or arguments[-1].endswith(".whl"), arguments
            continue
        assert options - {"--quiet"} <= {"--require-hashes", "--only-binary", "--requirement", "-r"}
        assert {"--require-hashes", "--only-binary"} <= options, arguments
        rest = [word for word in arguments if not word.startswith("-")]
        assert rest[0] == ":all:"
        used.update(rest[1:])
    assert used == {f"constraints/{file}.txt" for file in files.split()}


@pytest.mark.parametrize("script", [dockerfile, makefile])
def test_what_is_installed_without_its_dependencies_is_then_checked_to_have_them(script: Callable[[], str]) -> None:
    commands = [command.split() for command in re.split(r"&&|\n", script())]
    checks = [words for words in commands if "pip" in words and words[-1] == "check"]
    assert len(checks) == sum("--no-deps" in arguments for arguments in pip_installs(script()))


@pytest.mark.parametrize("file", WANTED)
def test_each_package_has_one_version_and_the_hashes_of_its_files_and_no_address(file: str) -> None:
    for package, (version, *options) in locked(file).items():
        assert re.fullmatch(r"[\w.-]+==[\w.!+]+", version), package
        assert options
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", option) for option in options), package


@pytest.mark.parametrize("file", WANTED)
def test_what_the_project_names_is_in_the_list(file: str) -> None:
    assert {name(requirement) for requirement in WANTED[file]} <= set(locked(file))


def test_there_is_no_list_that_nothing_looks_at() -> None:
    assert {path.stem for path in FILES} == set(WANTED)


@pytest.mark.parametrize("file", ["build", "worker"])
def test_what_is_tested_is_what_the_image_installs(file: str) -> None:
    tested = locked("dev")
    assert {package: tested.get(package) for package in locked(file)} == locked(file)


def test_what_looks_for_mutants_changes_nothing_that_the_tests_run_with() -> None:
    tested, beside = locked("dev"), locked("mutants")
    assert {package: beside[package] for package in beside.keys() & tested.keys()} == {
        package: tested[package] for package in beside.keys() & tested.keys()
    }
