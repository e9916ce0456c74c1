"""The example of a systemd unit agrees with the worker. What systemd says of it, .ci/unit asks."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.service import loops
from notifier.service.ending import HARD_END
from notifier.service.vitals import SIGN_OF_LIFE_LASTS
from notifier.watchlist.durations import parse_duration
from notifier.web.socket import MOST_CONNECTIONS, SHARE_OF_FILES

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "census-notifier.service"


PROTECTS = {
    "Restart": ("on-failure", "a crash, a hang and an end for want of memory end the watching"),
    "RestartSec": ("10s", "systemd's 100 ms: a crash at the start is tried ten times a second"),
    "UMask": ("0077", "what it makes outside of the state directory can be read by all"),
    "DynamicUser": ("yes", "it runs as root"),
    "StateDirectory": ("census-notifier", "there is no place that it may write to"),
    "StateDirectoryMode": ("0700", "every user reads the events in the database"),
    "CapabilityBoundingSet": ("", "a program that it starts can get capabilities"),
    "NoNewPrivileges": ("yes", "a setuid program makes it root"),
    "ProtectSystem": ("strict", "it can write wherever its user may: /var/tmp, other services' open directories"),
    "ProtectHome": ("yes", "it reads the homes that are open"),
    "PrivateTmp": ("yes", "others' files in /tmp, and theirs to see its own"),
    "PrivateDevices": ("yes", "raw disks and inputs are there to be opened"),
    "PrivateUsers": ("yes", "other users' files and processes belong to someone it can name"),
    "ProtectClock": ("yes", "it could set the clock"),
    "ProtectControlGroups": ("yes", "it could change its own limits"),
    "ProtectHostname": ("yes", "it could rename the machine"),
    "ProtectKernelLogs": ("yes", "it reads the kernel's addresses and messages"),
    "ProtectKernelModules": ("yes", "it could load a module"),
    "ProtectKernelTunables": ("yes", "it could write to /proc/sys"),
    "ProtectProc": ("invisible", "it sees other users' processes and their arguments"),
    "ProcSubset": ("pid", "it sees what the machine is and does"),
    "RemoveIPC": ("yes", "what it shares outlives its user, and the next one with that number gets it"),
    "LockPersonality": ("yes", "old execution domains, a way around protections"),
    "RestrictAddressFamilies": ("AF_INET AF_INET6 AF_UNIX AF_NETLINK", "raw packets and rare protocols of the kernel"),
    "RestrictNamespaces": ("yes", "a namespace of its own, the start of most escapes"),
    "RestrictRealtime": ("yes", "it could take the processor from all others"),
    "RestrictSUIDSGID": ("yes", "it could leave a setuid program behind"),
    "SystemCallArchitectures": ("native", "32-bit calls, which the filter does not see"),
    "SystemCallFilter": ("@system-service ~@privileged @resources", "every call of the kernel"),
    "LimitNOFILE": ("4096", "1024 by default, on some machines a few hundred: its connections are fewer"),
    "TasksMax": ("256", "threads without end take the machine's last"),
    "MemoryMax": ("1G", "a flood takes the machine's memory, and another service is killed for it"),
}
"""What opens, or breaks, without the line."""

WORKS = {
    *("Description", "Wants", "After", "StartLimitIntervalSec", "WantedBy"),
    *("Type", "NotifyAccess", "ExecStart", "ExecReload", "WorkingDirectory"),
    *("WatchdogSec", "TimeoutStartSec", "TimeoutStopSec", "RestartPreventExitStatus"),
    *("LoadCredential", "Environment", "EnvironmentFile"),
}
"""What it is and how it runs; the tests below look at those that must agree with something."""


def lines() -> list[tuple[str, str]]:
    """Keys and values, as systemd reads them: of every section, without comments."""
    return re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), flags=re.MULTILINE)


def settings(key: str) -> list[str]:
    return [value for name, value in lines() if name == key]


def duration(key: str) -> timedelta:
    (value,) = settings(key)
    return parse_duration(value.replace("min", "m"))


def test_its_times_fit_the_worker() -> None:
    assert duration("TimeoutStopSec") > timedelta(seconds=HARD_END)
    assert duration("WatchdogSec") / 2 > loops.SIGN_OF_LIFE
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


@pytest.mark.parametrize("key", PROTECTS)
def test_what_protects_the_machine_is_there(key: str) -> None:
    value, without = PROTECTS[key]
    assert settings(key), f"without {key}={value}: {without}"
    assert " ".join(settings(key)) == value, f"without {key}={value}: {without}"


def test_every_line_of_the_unit_has_its_reason_above() -> None:
    assert {key for key, _ in lines()} == set(PROTECTS) | WORKS


def test_every_connection_of_the_server_is_within_the_limit_of_open_files() -> None:
    (limit,) = settings("LimitNOFILE")
    assert int(limit) // SHARE_OF_FILES >= MOST_CONNECTIONS
