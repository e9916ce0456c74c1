"""The tree of nodes to data, with `${NAME}` filled in from the environment or from secret files.

It happens in scalar values, after parsing, so a value can't inject YAML. Sequences become tuples.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Final

from notifier.model.errors import Problem
from notifier.watchlist.reading.nodes import (
    MappingNode,
    Node,
    Path,
    RejectedNode,
    ScalarNode,
    SequenceNode,
    format_path,
)
from notifier.watchlist.scalars import COMMENT, EMPTY, UNRESOLVED, FromEnvironment, plain_value

LARGEST_FILE: Final = 65_536
_TOKEN: Final = re.compile(
    r"(?P<literal>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-(?:(?!\$\{)[^}])*)?\}|(?P<malformed>\$\{)"
)
_BARE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_MALFORMED: Final = (
    'after "${" comes a name and "}", as in ${NAME} or ${NAME:-default}; a literal "${" is written "$${"'
)


class _UnresolvedError(Exception):
    """Says what is wrong with a variable, and never what its value is."""


class Resolver:
    """Turns nodes into data; `problems` has what could not be resolved, UNRESOLVED stands in its place.

    `doubts` has what could be, but can hardly be meant.
    """

    def __init__(self, env: Mapping[str, str], file: str) -> None:
        self.problems: list[Problem] = []
        self.doubts: list[Problem] = []
        self._env = env
        self._file = file
        self._read: dict[str, str] = {}
        self._reported: set[int] = set()
        self._quoted: list[str] = []

    def mapping(self, node: MappingNode, path: Path = ()) -> dict[str, object]:
        """The data of a mapping: str, int, float, bool, tuple, dict, FromEnvironment, EMPTY, UNRESOLVED."""
        return {name: self._value(entry.value, (*path, name)) for name, entry in node.entries.items()}

    def _value(self, node: Node, path: Path) -> object:
        match node:
            case ScalarNode():
                return self._scalar(node, path)
            case SequenceNode():
                return tuple(self._value(item, (*path, index)) for index, item in enumerate(node.items))
            case MappingNode():
                return self.mapping(node, path)
            case RejectedNode():
                return UNRESOLVED

    def _scalar(self, node: ScalarNode, path: Path) -> object:
        if "${" in node.text:
            try:
                filled = self._filled(node.text)
                for name in self._quoted:
                    self._doubt(node, path, f"the value of {name} has quotes around it, and they are part of it")
                return filled
            except _UnresolvedError as error:
                if id(node) not in self._reported:  # once, however many aliases lead to it
                    self._reported.add(id(node))
                    self.problems.append(Problem(*node.position, format_path(path), str(error), self._file))
                return UNRESOLVED
        if self._is_bare_variable(node.text):
            self._doubt(node, path, "looks like a variable, which is written ${NAME}; as it stands, it is text")
        value = plain_value(node.text) if node.plain else node.text
        if value is None:
            return COMMENT if node.comment else EMPTY
        return value

    def _is_bare_variable(self, text: str) -> bool:
        """Whether the whole text is `$NAME`, or some of it is one that is set."""
        if _BARE.fullmatch(text):
            return True
        return any(name in self._env or f"{name}_FILE" in self._env for name in _BARE.findall(text))

    def _doubt(self, node: ScalarNode, path: Path, message: str) -> None:
        self.doubts.append(Problem(*node.position, format_path(path), message, self._file))

    def _filled(self, text: str) -> str:
        used = False
        self._quoted.clear()

        def fill(match: re.Match[str]) -> str:
            nonlocal used
            if match["literal"]:
                return "${"
            if match["malformed"]:
                raise _UnresolvedError(_MALFORMED)
            used = True
            return self._variable(match["name"], match["default"])

        filled = _TOKEN.sub(fill, text)
        return FromEnvironment(filled) if used else filled

    def _variable(self, name: str, default: str | None) -> str:
        value = self._env.get(name)
        source = name
        if value is None and self._env.get(f"{name}_FILE"):
            source = f"{name}_FILE"
            value = self._content(source)
        if default is not None and not value:
            return default.removeprefix(":-")
        if source == name and value == "" and self._env.get(f"{name}_FILE"):
            raise _UnresolvedError(f"{name} is set to nothing, and hides {name}_FILE: unset {name}, or give it a value")
        if value is None:
            raise _UnresolvedError(f"{name} is not set: set {name} or {name}_FILE, or give a default: ${{{name}:-…}}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _UnresolvedError(f"the value of {source} is not UTF-8") from None
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            self._quoted.append(source)
        return value

    def _content(self, variable: str) -> str:
        if variable not in self._read:
            self._read[variable] = _read_secret(self._env[variable], variable)
        return self._read[variable]


def files_named(text: str, env: Mapping[str, str]) -> Iterator[str]:
    """The files that a watchlist's text would be filled in from, by its `${NAME}`s and their `NAME_FILE`s."""
    names = dict.fromkeys(match["name"] for match in _TOKEN.finditer(text) if match["name"])
    for name in names:
        if name not in env and (file := env.get(f"{name}_FILE")):
            yield file


def _read_secret(file: str, variable: str) -> str:
    """The file's text less one trailing newline. Its name is the environment's and stays out of the error."""
    try:
        with FilePath(file).open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise _UnresolvedError(f"the file that {variable} names is larger than 64 KiB")
        text = content.decode()
    except UnicodeDecodeError:
        raise _UnresolvedError(f"the file that {variable} names is not UTF-8") from None
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise _UnresolvedError(f"the file that {variable} names can't be read: {reason}") from None
    except ValueError:  # a NUL in the name
        raise _UnresolvedError(f"the file that {variable} names can't be read: not a file name") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\r\n") else text.removesuffix("\n")
