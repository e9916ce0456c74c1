"""A watchlist file to a `Watchlist`, or to all that is wrong with it.

    bytes -> compose (YAML, positions) -> resolve (${NAME}) -> rules and models -> Watchlist

No problem's text has a secret or anything else that came from the environment.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from notifier.model.errors import Problem, WatchlistError
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading import nodes, rules
from notifier.watchlist.reading.compose import compose
from notifier.watchlist.reading.explain import explain
from notifier.watchlist.reading.interpolation import Resolver
from notifier.watchlist.reading.schema import watchlist_schema
from notifier.watchlist.reading.text import read_text
from notifier.watchlist.reading.wording import Mistake, Quotes
from notifier.watchlist.server import LISTEN_VARIABLE, parse_address

__all__ = ["doubts", "load_watchlist", "watchlist_schema"]


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
