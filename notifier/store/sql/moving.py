"""What a move takes along, for any database: which tables, what of them, and how two databases are compared.

Rows are moved as they are stored: a value that is read by what the code makes of it might come back as another.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Table

from notifier.store.sql.replicas import shared
from notifier.store.sql.schema import metadata

Batches = Iterator[Sequence[tuple[Any, ...]]]
"""The rows of a table, many at a time; truth is a bool in them, of whatever database they are."""

BATCH: Final = 2_000  # rows that are in memory at once
OF_ALL: Final[Sequence[Table]] = metadata.sorted_tables
"""What each database has, in the order of the foreign keys."""
OF_SERVERS: Final[Sequence[Table]] = shared.sorted_tables
"""What servers have beside that and what outlives the workers: what Census told, and its lists of syncs."""
_DIGEST: Final = 16  # bytes


def columns_of(table: Table) -> list[str]:
    """The names of a table's columns, in the order in which `Batches` have them."""
    return [column.name for column in table.columns]


def truths_of(table: Table) -> list[int]:
    """Which of the columns are true or false."""
    return [place for place, column in enumerate(table.columns) if isinstance(column.type, Boolean)]


def number_of(table: Table) -> Column[Any] | None:
    """The column whose numbers the database gives; None where none has them."""
    key = list(table.primary_key)
    return key[0] if len(key) == 1 and isinstance(key[0].type, BigInteger) else None


def digest_of(batches: Iterable[Sequence[tuple[Any, ...]]]) -> int:
    """The same number for the same rows in whatever order, and for no others."""
    total = 0
    for rows in batches:
        for row in rows:
            total += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=_DIGEST).digest())
    return total % (1 << 8 * _DIGEST)
