"""Which syncs a new watchlist is to watch: from the command line, or chosen from those that there are."""

from fnmatch import fnmatchcase
from typing import Final

import typer
from rich.text import Text

from notifier.census.listing import Listing
from notifier.cli.init.questions import Questions
from notifier.cli.init.template import Selection
from notifier.cli.terminal import MOST_SHOWN, brief, console, long, short, table
from notifier.model.identity import Id, id_of, in_order

ALL: Final = "all"


def selected(questions: Questions, listing: Listing, given: list[str] | None) -> Selection:
    """What the command line gave, or what a person chooses from the list."""
    if given is not None:
        words = [word for word in given if word.strip()]
        if (complaint := _complaint(words, listing)) is not None:
            raise typer.BadParameter(complaint, param_hint="--watch")
        return _selection(words, listing)
    _show_syncs(listing)
    if not listing.syncs:
        return Selection()
    answer = questions.text(
        None,
        "--watch",
        "Which to watch, all or IDs and globs for labels such as Sales*, with commas between",
        lambda answer: _complaint(answer.split(","), listing),
        default=ALL,
    )
    return _selection(answer.split(","), listing)


def _selection(words: list[str], listing: Listing) -> Selection:
    words = list(dict.fromkeys(word.strip() for word in words))
    if ALL in words:
        return Selection()
    ids = [_as_id(word, listing) for word in words]
    globs = (word for word, identity in zip(words, ids, strict=True) if identity is None)
    return Selection(tuple(identity for identity in ids if identity is not None), tuple(globs))


def _as_id(word: str, listing: Listing) -> Id | None:
    """A number is an ID, and so is a word by which a sync goes; all else is a glob for labels."""
    identity = id_of(word)
    return identity if isinstance(identity, int) or identity in listing.syncs else None


def _complaint(words: list[str], listing: Listing) -> str | None:
    """The first word that fits nothing; an incomplete list proves nothing."""
    words = [word.strip() for word in words]
    if not all(words) or not words:
        return "must be all, an ID or a glob for labels"
    labels = [sync.label or "" for sync in listing.syncs.values()]
    for word in words:
        if word == ALL or not listing.complete:
            continue
        identity = _as_id(word, listing)
        if identity is not None and identity not in listing.syncs:
            return f"fits nothing: the workspace has no sync {brief(word)}"
        if identity is None and not any(fnmatchcase(label, word) for label in labels):
            return f'fits nothing: the workspace has no sync labelled "{brief(word)}"'
    return None


def _show_syncs(listing: Listing) -> None:
    syncs = [listing.syncs[sync_id] for sync_id in sorted(listing.syncs, key=in_order)]
    rows = [
        (str(sync.id), brief(sync.label), sync.status or "", Text("paused" if sync.paused else "", "yellow"))
        for sync in syncs[:MOST_SHOWN]
    ]
    shown = table(short("sync"), long("label"), long("status"), short("paused"), rows=rows)
    err = console(stderr=True)
    err.print(shown if rows else "The workspace has no syncs yet; all that appear will be watched.")
    if len(syncs) > MOST_SHOWN:
        err.print(f"… and {len(syncs) - MOST_SHOWN} more", style="dim")
    if not listing.complete:
        err.print("These may not be all: Census' list is not complete.", style="yellow")
