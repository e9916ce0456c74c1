"""Asks a person for what is needed and not given; where nobody can be asked, notes what is missing."""

from collections.abc import Callable, Mapping
from typing import Any

import typer
from pydantic import TypeAdapter, ValidationError

from notifier.cli.terminal import plain

Complain = Callable[[str], str | None]
"""What is wrong with an answer, None where it will do."""


def as_value_of(kind: Any) -> Complain:
    """Complains as the watchlist's loader does of a value of this kind."""

    def complain(answer: str) -> str | None:
        try:
            TypeAdapter(kind).validate_python(answer)
        except ValidationError as invalid:
            (error, *_) = invalid.errors(include_url=False, include_input=False)
            return str(error.get("ctx", {}).get("error", "must not be empty"))
        return None

    return complain


class Questions:
    """Questions go to standard error. `env`: the environment, and the secrets that were typed; they go nowhere else."""

    def __init__(self, env: Mapping[str, str], *, interactive: bool) -> None:
        self.env = dict(env)
        self.interactive = interactive
        self.missing: list[str] = []

    def has(self, variable: str) -> bool:
        """Whether the watchlist would find the variable, or a file with its value."""
        return bool(self.env.get(variable) or self.env.get(f"{variable}_FILE"))

    def secret(
        self, variable: str, question: str, complain: Complain, *, anew: bool = False, optional: bool = False
    ) -> None:
        """Makes sure that `env` has the variable; with `anew`, asks even if it has. Where it is `optional`, an empty
        answer takes it out of `env`."""
        if not anew and self.has(variable):
            return
        if not self.interactive:
            self.missing.append(f"the environment variable {variable}")
            return
        self.env[variable] = self._ask(f"{question} (not shown)", complain, hidden=True, optional=optional)
        self.env.pop(f"{variable}_FILE", None)

    def text(self, given: str | None, option: str, question: str, complain: Complain, *, default: str = "") -> str:
        """What the command line gave, or what a person answers; "" and a note where neither can be."""
        if given is not None:
            return given
        if not self.interactive:
            self.missing.append(option)
            return ""
        return self._ask(question, complain, default=default)

    def again(self, reason: str) -> None:
        """Tells what was wrong. Exit code 1 where nobody can mend it."""
        typer.echo(f"notifier: {plain(reason)}" if not self.interactive else plain(reason), err=True)
        if not self.interactive:
            raise typer.Exit(1)

    def _ask(
        self, question: str, complain: Complain, *, default: str = "", hidden: bool = False, optional: bool = False
    ) -> str:
        while True:
            offered = str(default) or ("" if optional else None)
            answer = typer.prompt(question, default=offered, hide_input=hidden, show_default=not optional, err=True)
            text = str(answer).strip()
            if optional and not text:
                return ""
            if (complaint := complain(text)) is None:
                return text
            typer.echo(f"  That {plain(complaint)}.", err=True)
