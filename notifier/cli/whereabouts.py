"""Where a running worker has its database, when its watchlist does not say it any more: as /proc shows it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from notifier.cli.options import DEFAULT_CONFIG
from notifier.watchlist.database import DatabasePlace, ServerUrl, database_place, database_url

_PROCESSES = Path("/proc")


def databases_in_use(watchlist: Path) -> Iterator[DatabasePlace]:
    """The databases of workers that were started with this watchlist, of those that we may look at: the files that they
    have open, and the servers that their environment names."""
    wanted = os.path.realpath(watchlist)
    for process in _PROCESSES.glob("[0-9]*"):
        try:
            arguments = [os.fsdecode(word) for word in (process / "cmdline").read_bytes().split(b"\0")]
            if "run" not in arguments or _watchlist_of(process, arguments) != wanted:
                continue
            open_files = [str(link.readlink()) for link in (process / "fd").iterdir()]
            servers = [*_servers_of(process)]
        except OSError:  # ended meanwhile, or someone else's
            continue
        yield from (Path(file) for file in open_files if f"{file}.lock" in open_files)
        yield from servers


def _servers_of(process: Path) -> Iterator[ServerUrl]:
    """By NAME, or by NAME_FILE."""
    for variable in _environment_of(process):
        name, _, value = variable.partition("=")
        if name.endswith("_FILE"):
            with suppress(OSError, ValueError):
                value = Path(value).read_text().strip()
        with suppress(ValueError):
            place = database_place(database_url(value))
            if isinstance(place, ServerUrl):
                yield place


def _environment_of(process: Path) -> list[str]:
    return os.fsdecode((process / "environ").read_bytes()).split("\0")


def _watchlist_of(process: Path, arguments: Sequence[str]) -> str:
    """The file that a process' command line names, or its environment, or nobody."""
    environment = _environment_of(process)
    named = [pair.partition("=")[2] for pair in environment if pair.startswith("NOTIFIER_CONFIG=")]
    for place, word in enumerate(arguments):
        if word in ("-c", "--config"):
            named += arguments[place + 1 : place + 2]
        elif word.startswith(("--config=", "-c")):
            named.append(word.removeprefix("--config=").removeprefix("-c"))
    return os.path.realpath((process / "cwd").readlink() / (named[-1] if named else DEFAULT_CONFIG))
