"""A watchlist file to a `Watchlist`, or to all that is wrong with it.

    bytes -> compose (YAML, positions) -> resolve (${NAME}) -> rules and models -> Watchlist

No problem's text has a secret or anything else that came from the environment.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from notifier.model.errors import Problem, WatchlistError
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading import nodes, rules
from notifier.watchlist.reading.compose import compose
from notifier.watchlist.reading.explain import explain
from notifier.watchlist.reading.interpolation import Resolver
from notifier.watchlist.reading.schema import watchlist_schema
from notifier.watchlist.reading.wording import Mistake, Quotes
from notifier.watchlist.server import LISTEN_VARIABLE, parse_address

__all__ = ["doubts", "load_watchlist", "watchlist_schema"]

LARGEST_FILE: Final = 10_000_000


def load_watchlist(path: Path, env: Mapping[str, str]) -> Watchlist:
    """Read and check a watchlist; `env` is where `${NAME}` and `${NAME_FILE}` are looked up.

    Raises WatchlistError with all problems at once, sorted by their place, and nothing else.
    """
    file = str(path)
    root, problems = compose(read_text(path, file), file)
    resolver = Resolver(env, file)
    data = resolver.mapping(root)
    problems += resolver.problems
    quotes = Quotes(data)
    mistakes = list(rules.mistakes(data, quotes))
    watchlist = None
    try:
        watchlist = Watchlist.model_validate(data)
    except ValidationError as invalid:
        mistakes += explain(invalid, data, quotes)
    problems += [*_placed(mistakes, root, file), *_listen_problems(env, file)]
    # Outside of the except block: nothing that a traceback could show has seen a value.
    if watchlist is None or problems:
        raise WatchlistError(tuple(dict.fromkeys(problems)))
    return _with_listen(watchlist, env)


def doubts(path: Path, env: Mapping[str, str]) -> tuple[Problem, ...]:
    """What a good watchlist says that can hardly be meant. Raises WatchlistError where it is not one."""
    file = str(path)
    root, _ = compose(read_text(path, file), file)
    resolver = Resolver(env, file)
    resolver.mapping(root)
    return tuple(sorted(set(resolver.doubts)))


def _listen_problems(env: Mapping[str, str], file: str) -> Iterable[Problem]:
    """What is wrong with the one setting that the environment may give by itself."""
    try:
        if given := env.get(LISTEN_VARIABLE):
            parse_address(given)
    except ValueError as error:
        yield Problem(1, 1, f"server.listen (the variable {LISTEN_VARIABLE})", str(error), file)


def _with_listen(watchlist: Watchlist, env: Mapping[str, str]) -> Watchlist:
    given = env.get(LISTEN_VARIABLE)  # an empty one counts as not given, as it does in ${NAME:-default}
    if not given:
        return watchlist
    return watchlist.model_copy(update={"server": watchlist.server.model_copy(update={"listen": given})})


def _placed(mistakes: Iterable[Mistake], root: nodes.Node, file: str) -> Iterable[Problem]:
    for mistake in mistakes:
        position = nodes.locate(root, mistake.path, at_key=mistake.at_key)
        yield Problem(*position, nodes.format_path(mistake.path), mistake.message, file)


def read_text(path: Path, file: str, *, whole: bool = True) -> str:
    """The file's text, where not `whole` whatever of it is UTF-8. Raises WatchlistError, which calls it `file`."""

    def unreadable(reason: str, line: int = 1, column: int = 1) -> WatchlistError:
        return WatchlistError((Problem(line, column, "", reason, file),))

    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise unreadable("there is no such file; name the watchlist with --config") from None
    except IsADirectoryError:
        raise unreadable("is a directory, not a watchlist") from None
    except OSError as error:
        raise unreadable(f"can't be read: {error.strerror or 'unknown reason'}") from None
    except ValueError:
        raise unreadable("is not a file name") from None
    if len(content) > LARGEST_FILE:
        raise unreadable(f"is larger than {LARGEST_FILE // 1_000_000} MB")
    try:
        return content.decode("utf-8-sig", "strict" if whole else "replace")
    except UnicodeDecodeError as error:
        good = content[: error.start].decode("utf-8-sig")
        raise unreadable("not UTF-8 text", good.count("\n") + 1, len(good) - good.rfind("\n")) from None
