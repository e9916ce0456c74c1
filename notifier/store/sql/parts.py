"""What several statements have in them.

The statements beside this module are built once, when they are imported: SQLAlchemy compiles and caches each by its
identity.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Executable, Table, and_, bindparam, case, func
from sqlalchemy.dialects.sqlite import insert as upsert

Values = Mapping[str, Any]
"""What one execution of a statement is given."""
Group = tuple[Executable, Sequence[Values]]
"""A statement that writes, with all that it is given in one transaction."""


def save(table: Table, keep: frozenset[str] = frozenset()) -> Executable:
    """Insert or overwrite by primary key; columns in `keep` are written at the insert only."""
    statement = upsert(table)
    key = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(
        index_elements=key,
        set_={c.name: statement.excluded[c.name] for c in table.columns if c.name not in key and c.name not in keep},
    )


def at_sync(table: Table) -> ColumnElement[bool]:
    """The rows of one sync, `of_sync_id` of `of_workspace`: names that no column has, as an update needs them."""
    return and_(table.c.workspace == bindparam("of_workspace"), table.c.sync_id == bindparam("of_sync_id"))


def at_run(table: Table) -> ColumnElement[bool]:
    """The rows of one run, `of_run_id` of `of_workspace`."""
    return and_(table.c.workspace == bindparam("of_workspace"), table.c.run_id == bindparam("of_run_id"))


def later_of(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """The later of two times, or the one that is known. By no function: each database has its own name for it, and its
    own answer where one is NULL."""
    one, other = func.coalesce(one, other), func.coalesce(other, one)
    return case((one > other, one), else_=other)
