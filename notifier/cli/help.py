"""How `--help` is laid out: the panels of commands, and examples below a command's options.

The markup is Rich's, in which a line break stays one: a docstring has each of its paragraphs on one line.
"""

from enum import StrEnum

from rich.markup import escape


class Panel(StrEnum):
    """The headings of `notifier --help`."""

    WORKER = "The worker"
    WATCHLIST = "The watchlist"
    LOOK = "What happened"


def examples(*lines: tuple[str, str]) -> str:
    """The end of a command's help: command lines, and beside each what it is for."""
    width = max(len(command) for command, _ in lines)
    shown = (f"{escape(command.ljust(width))}  [dim]{escape(purpose)}[/]" for command, purpose in lines)
    return "\n".join(("[bold]Examples[/]", *shown))
