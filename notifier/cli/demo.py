"""`demo`: the whole pipeline against the built-in simulator."""

import typer


def register(app: typer.Typer) -> None:
    del app
