"""Insert where a row with the same key may be there already: the one statement that both know."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

_AT_ONCE = 2_000
_Insert = postgresql.Insert | sqlite.Insert
_INSERT: Mapping[str, Callable[[Table], _Insert]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}


def insert_missing(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]
) -> int:
    """Insert the rows, in their order, whose key is new; return how many these were."""
    if not rows:
        return 0
    statement = _INSERT[connection.dialect.name](table).on_conflict_do_nothing()
    done = connection.execute(statement, list(rows), execution_options={"preserve_rowcount": True})
    return done.rowcount


def insert_or_update(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]
) -> None:
    """Insert the rows; where the primary key is there already, put the new row in its place."""
    if not rows:
        return
    statement = _INSERT[connection.dialect.name](table)
    key = [column.name for column in table.primary_key]
    others = {name: statement.excluded[name] for name in rows[0] if name not in key}
    update = statement.on_conflict_do_update(index_elements=key, set_=others)
    # What the driver wants beside each row is made for so many at a time: a hundred thousand would
    # hold up whoever else wants the interpreter.
    for start in range(0, len(rows), _AT_ONCE):
        connection.execute(update, list(rows[start : start + _AT_ONCE]))
