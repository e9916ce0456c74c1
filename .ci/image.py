"""What a container gets from Dockerfile and docker-compose.yml; without Docker, .ci/container gives it the same.

`image.py` prints all of it as JSON; `image.py KEY` one part, an item a line.
"""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
BASE_PATH = "/usr/local/bin:/usr/bin:/bin"  # the PATH of the base image, as far as it matters


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The instructions in their order: name and arguments, without comments and continued lines."""
    lines = "\n".join(line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    found = re.findall(r"^([A-Z]+)\s+(.+?)\s*$", re.sub(r"\\\n\s*", "", lines), re.MULTILINE)
    return [(name, arguments) for name, arguments in found]


def image(dockerfile: str) -> dict[str, Any]:
    """What the Dockerfile says of its final stage, where that comes from, and of what it copies from the checkout."""
    every = instructions(dockerfile)
    last_from = max(index for index, (name, _) in enumerate(every) if name == "FROM")
    final = dict(every[last_from:])  # the last of each, as Docker takes it
    environment = [pair for name, arguments in every[last_from:] if name == "ENV" for pair in shlex.split(arguments)]
    copied = [arguments.split()[:-1] for name, arguments in every if name == "COPY" and "--from" not in arguments]
    return {
        "from": [arguments.split()[0] for name, arguments in every if name == "FROM"],
        "steps": [f"{name}\t{arguments}" for name, arguments in every],
        "copied": [source for sources in copied for source in sources],
        "environment": [pair.replace("$PATH", BASE_PATH) for pair in environment],
        "workdir": [final["WORKDIR"]],
        "user": final["USER"].split(":"),
        "command": json.loads(final["ENTRYPOINT"]) + json.loads(final["CMD"]),
        "entrypoint": json.loads(final["ENTRYPOINT"]),
        "healthcheck": json.loads(final["HEALTHCHECK"].partition("CMD ")[2]),
    }


def container(dockerfile: str, compose: str) -> dict[str, Any]:
    """The same with what the compose file adds to it: environment, secrets (by name), volumes, rights and limits."""
    found = image(dockerfile)
    service = YAML(typ="safe").load(compose)["services"]["notifier"]
    found["environment"] += [f"{name}={value}" for name, value in service["environment"].items()]
    privileges = [option.removeprefix("no-new-privileges:") for option in service.get("security_opt", [])]
    nofile = service.get("ulimits", {}).get("nofile", {})
    return found | {
        "secrets": service["secrets"],
        "volumes": service["volumes"],
        "no_new_privileges": [str(privileges == ["true"]).lower()],
        "cap_drop": service.get("cap_drop", []),
        "read_only": [str(service.get("read_only", False)).lower()],
        "tmpfs": [service["tmpfs"]] if "tmpfs" in service else [],
        "nofile": [nofile["soft"], nofile["hard"]] if nofile else [],
        "pids": [service["pids_limit"]] if "pids_limit" in service else [],
        "memory": [size(service["mem_limit"])] if "mem_limit" in service else [],
    }


def size(text: str) -> int:
    """Bytes of what Compose reads as one: a number with b, k, m or g."""
    return int(text[:-1]) * 1024 ** "bkmg".index(text[-1])


def main() -> None:
    """Prints it."""
    found = container((ROOT / "Dockerfile").read_text(), (ROOT / "docker-compose.yml").read_text())
    lines = [json.dumps(found, indent=2)] if len(sys.argv) == 1 else found[sys.argv[1]]
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
