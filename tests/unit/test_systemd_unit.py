"""The example of a systemd unit agrees with the worker. What systemd says of it, .ci/unit asks."""

import re
from datetime import timedelta
from pathlib import Path

from notifier import service
from notifier.config.durations import parse_duration
from notifier.ending import HARD_END
from notifier.well import SIGN_OF_LIFE_LASTS

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "census-notifier.service"


def settings(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), flags=re.MULTILINE)


def duration(key: str) -> timedelta:
    (value,) = settings(key)
    return parse_duration(value.replace("min", "m"))


def test_its_times_fit_the_worker() -> None:
    assert duration("TimeoutStopSec") > timedelta(seconds=HARD_END)
    assert duration("WatchdogSec") / 2 > service.SIGN_OF_LIFE
    assert duration("WatchdogSec") >= SIGN_OF_LIFE_LASTS
    assert settings("Type") == ["notify"]
    assert settings("RestartPreventExitStatus") == ["2"]


def test_each_secret_of_the_readme_has_its_credential_and_its_variable() -> None:
    readme = (ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0]
    secrets = {name.lower() for name in re.findall(r"\$\{(\w+)\}", readme)}
    assert {line.split(":")[0] for line in settings("LoadCredential")} == secrets
    assert set(settings("Environment")) == {f"{name.upper()}_FILE=%d/{name}" for name in secrets}


def test_no_key_but_a_list_is_given_twice() -> None:
    lists = {"LoadCredential", "Environment", "SystemCallFilter"}
    keys = re.findall(r"^(\w+)=", UNIT.read_text(), flags=re.MULTILINE)
    assert {key for key in keys if keys.count(key) > 1} == lists
