"""Scenarios from YAML files.

A file is `steps:`, a list; a step is its time, one action with a name, and what the action needs:

    steps:
      - {at: 0, add_sync: signups, id: 52, label: New Signups to Leads}
      - {at: 0, add_run: yesterday, sync: signups, status: completed, ago: 1d, lasted: 80s}
      - {at: 2, add_run: today, sync: signups}
      - {at: 4, update_run: today, status: failed, error_code: JSON_ARRAY_ERROR}
      - {at: 5, fault: outage, kind: status, code: 503, path: "/syncs/*"}
      - {at: 9, clear: outage}
      - {at: 9, remove_run: yesterday}

Other actions: update_sync, remove_sync. Kinds of fault: those of `faults`, less Transform.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from notifier.simulator import defaults, faults
from notifier.simulator import scenario as story

SHIPPED: Final = Path(__file__).with_name("scenarios")

_NOW = datetime.now(UTC)
_SYNC_FIELDS: Final = frozenset(defaults.new_sync(1, None, {}, _NOW))
_RUN_FIELDS: Final = frozenset(defaults.new_run(1, 1, "working", {}, _NOW))
_FAULTS: Final[Mapping[str, type[Any]]] = {
    "status": faults.Status,
    "delay": faults.Delay,
    "reset": faults.Reset,
    "hang": faults.Hang,
    "drip": faults.Drip,
    "body": faults.Body,
    "gzip_bomb": faults.GzipBomb,
    "big": faults.Big,
    "redirect": faults.Redirect,
}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_Given = dict[str, Any]


def load_scenario(source: str | Path) -> story.Scenario:
    """The scenario of a file, or the shipped one of that name. Raises ScenarioError that names file and line."""
    path = Path(source)
    if isinstance(source, str) and re.fullmatch(r"[\w-]+", source) and not path.exists():
        path = SHIPPED / f"{source}.yaml"
        if not path.exists():
            names = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
            raise story.ScenarioError(f'no scenario is named "{source}"; there are: {names}')
    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise story.ScenarioError(f"{path}: can not be read: {error}") from error
    except YAMLError as error:
        raise story.ScenarioError(f"{path}: is no YAML: {error}") from error
    if not isinstance(document, dict) or set(document) != {"steps"} or not isinstance(document["steps"], list):
        raise story.ScenarioError(f'{path}: must have one key, "steps", with a list')
    return story.Scenario(path.stem, _steps(path, document["steps"]))


def _steps(path: Path, entries: list[Any]) -> tuple[story.Step, ...]:
    steps: list[story.Step] = []
    problems: list[str] = []
    for number, entry in enumerate(entries, start=1):
        line = getattr(getattr(entry, "lc", None), "line", None)
        where = f"{path}: step {number}" if line is None else f"{path}:{line + 1}: step {number}"
        try:
            steps.append(_step(where, _plain(entry)))
        except (ValueError, TypeError) as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise story.ScenarioError("\n".join(problems))
    return tuple(steps)


def _step(where: str, given: Any) -> story.Step:
    """One step; raises ValueError or TypeError with what is wrong."""
    if not isinstance(given, dict):
        raise TypeError("must be a mapping")
    actions = [key for key in given if key in _ACTIONS]
    if len(actions) != 1:
        raise ValueError(f"must have exactly one action of {', '.join(_ACTIONS)}; has {', '.join(actions) or 'none'}")
    at = given.pop("at", None)
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise TypeError('needs "at", the time in seconds')
    name = given.pop(actions[0])
    if not isinstance(name, str):
        raise TypeError(f"{actions[0]} needs a name")
    return story.Step(float(at), _ACTIONS[actions[0]](name, given), where)


def _add_sync(name: str, given: _Given) -> story.AddSync:
    return story.AddSync(name, _known(given, _SYNC_FIELDS))


def _update_sync(name: str, given: _Given) -> story.UpdateSync:
    return story.UpdateSync(name, _known(given, _SYNC_FIELDS - {"id"}))


def _add_run(name: str, given: _Given) -> story.AddRun:
    sync = given.pop("sync", None)
    if not isinstance(sync, str):
        raise TypeError('needs "sync", the name of a sync')
    ago, lasted = _duration(given, "ago"), _duration(given, "lasted")
    return story.AddRun(name, sync, _known(given, _RUN_FIELDS - {"sync_id"}), ago, lasted)


def _update_run(name: str, given: _Given) -> story.UpdateRun:
    return story.UpdateRun(name, _known(given, _RUN_FIELDS - {"id", "sync_id"}))


def _remove_sync(name: str, given: _Given) -> story.RemoveSync:
    _known(given, frozenset())
    return story.RemoveSync(name)


def _remove_run(name: str, given: _Given) -> story.RemoveRun:
    _known(given, frozenset())
    return story.RemoveRun(name)


def _fault(name: str, given: _Given) -> story.HangFault:
    kind, path, times = given.pop("kind", None), given.pop("path", "*"), given.pop("times", None)
    if kind not in _FAULTS:
        raise ValueError(f'"kind" must be one of {", ".join(_FAULTS)}')
    if not isinstance(path, str) or not (times is None or (isinstance(times, int) and times > 0)):
        raise TypeError('"path" must be text and "times" a positive number')
    shape = _FAULTS[kind]
    _known(given, frozenset(field.name for field in fields_of(shape)))
    for key in ("body", "content"):
        if isinstance(given.get(key), str):
            given[key] = given[key].encode()
    return story.HangFault(name, shape(**given), path, times)


def _clear(name: str, given: _Given) -> story.Clear:
    _known(given, frozenset())
    return story.Clear(name)


_ACTIONS: Final[Mapping[str, Callable[[str, _Given], story.Action]]] = {
    "add_sync": _add_sync,
    "update_sync": _update_sync,
    "remove_sync": _remove_sync,
    "add_run": _add_run,
    "update_run": _update_run,
    "remove_run": _remove_run,
    "fault": _fault,
    "clear": _clear,
}


def _known(given: _Given, names: frozenset[str]) -> _Given:
    unknown = sorted(set(given) - names)
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}")
    return given


def _duration(given: _Given, key: str) -> timedelta | None:
    text = given.pop(key, None)
    if text is None:
        return None
    found = _DURATION.fullmatch(str(text))
    if found is None:
        raise ValueError(f'"{key}" must be a duration such as 90s, 5m, 2h or 1d, not {text!r}')
    return timedelta(**{_UNITS[found.group(2)]: float(found.group(1))})


def _plain(value: Any) -> Any:
    """The value without ruamel's own types, which a JSON encoder does not know."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return bool(value) if value is not None else None
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
