"""The rules of the house that a machine can hold; the layers are import-linter's (`make check`)."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
LONGEST_MODULE = 350  # lines
LONGEST_FUNCTION = 40

LONG_MODULES: dict[str, str] = {}
"""Modules that are longer all the same, and why."""

LONG_FUNCTIONS: dict[str, str] = {
    "cli/deliveries.py:retry": "most of it are its options",
    "cli/init/command.py:init": "most of it are its options",
    "delivering/retry.py:settled": "what becomes of a delivery, by each outcome",
    "web/app.py:_refusal_of": "a table of errors",
}
"""Functions that are longer all the same, and why."""

TWO_CLASSES: dict[str, str] = {}
"""Names that stand for two classes all the same, and why."""


@cache
def modules() -> dict[str, ast.Module]:
    """What is in `notifier/`, by its path from there."""
    files = sorted((ROOT / "notifier").rglob("*.py"))
    return {str(file.relative_to(ROOT / "notifier")): ast.parse(file.read_text()) for file in files}


def length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_module_is_longer_than_it_may_be_without_a_reason() -> None:
    lines = {name: len((ROOT / "notifier" / name).read_text().splitlines()) for name in modules()}
    assert {name for name, count in lines.items() if count > LONGEST_MODULE} == set(LONG_MODULES)


def test_no_function_is_longer_than_it_may_be_without_a_reason() -> None:
    long = {
        f"{name}:{function.name}"
        for name, tree in modules().items()
        for function in functions(tree)
        if length(function) > LONGEST_FUNCTION
    }
    assert long == set(LONG_FUNCTIONS)


def test_a_package_says_in_a_sentence_what_it_is_for_and_has_no_logic() -> None:
    """Its `__init__` may show names of its modules, and hold what it is called; nothing that runs."""
    shown = (ast.Import, ast.ImportFrom)
    for name, tree in modules().items():
        if not name.endswith("__init__.py"):
            continue
        assert ast.get_docstring(tree), f"notifier/{name} says nothing"
        for node in tree.body[1:]:
            is_name = isinstance(node, ast.Assign) and all(
                isinstance(target, ast.Name) and target.id.startswith("__") for target in node.targets
            )
            assert isinstance(node, shown) or is_name, f"notifier/{name}:{node.lineno} is logic"


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, tree in modules().items() if not ast.get_docstring(tree)] == []


def test_whoever_says_that_it_is_pure_is_held_to_it() -> None:
    """Each module that its docstring calls pure is in the contract, by itself or with its package."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = next(contract for contract in contracts if contract["name"] == "What decides does no I/O")
    listed = {name.removeprefix("notifier.") for name in pure["source_modules"]}
    says = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name, tree in modules().items()
        if re.search(r"\bPure\.", ast.get_docstring(tree) or "")
    }
    held = {name for name in says if any(f"{name}.".startswith(f"{each}.") for each in listed)}
    assert says - held == set()
    assert {name for name in listed if not _is_there(name)} == set()


def test_no_line_of_the_log_gives_another_replica_the_field_of_the_one_that_speaks() -> None:
    said = {
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "log"
        if any(keyword.arg == "replica" for keyword in node.keywords)
    }
    assert said == set()


def _is_there(name: str) -> bool:
    place = ROOT / "notifier" / name.replace(".", "/")
    return place.is_dir() or place.with_suffix(".py").is_file()


def test_a_name_stands_for_one_class() -> None:
    """The simulator's are of another world: it stands for Census and Slack."""
    places = defaultdict(list)
    for name, tree in modules().items():
        if not name.startswith("simulator/"):
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(name)
    assert {name for name, modules in places.items() if len(modules) > 1} == set(TWO_CLASSES)


def test_tests_stand_where_what_they_test_stands() -> None:
    """A folder of the unit and the integration tests is named for a package, or for what is around the packages."""
    packages = {name.split("/")[0] for name in modules() if "/" in name}
    for tier in ("unit", "integration"):
        place = ROOT / "tests" / tier
        folders = {path.relative_to(place).parts[0] for path in place.rglob("test_*.py")}
        assert folders - packages - {"repository"} == set()


def test_what_the_documents_name_is_there() -> None:
    for document in ("docs/architecture.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text()
        for named in re.findall(r"`((?:notifier|tests|faults|benchmarks|migrations|\.ci)/[\w./-]+)`", text):
            assert (ROOT / named).exists(), f"{document} names {named}"
        for named in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", text):
            places = (ROOT / named, ROOT / "notifier" / named)
            assert any(place.exists() for place in places), f"{document} names {named}"
