"""Tests whether the database accepts rows, and how, by storing them and rolling back."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from secrets import token_hex

from sqlalchemy import Connection, Engine, select

from checks.result import CheckResults
from db.connection.engine import is_mariadb
from db.connection.errors import classified
from db.connection.session import SESSION, Transaction, check_session
from db.schema import version
from db.schema.facts import read_facts
from db.write import lenient
from db.write.deduplicate import is_duplicate
from db.write.row_store import RowStore
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.partition import Partition
from pipeline.record import PlainRecord, Record
from pipeline.stream import Stream

#: How an administrator turns loads on. MariaDB has no SET PERSIST; by ``is_mariadb``.
_TURN_ON = {
    True: "`SET GLOBAL {name} = {value}`, and the same in the server's configuration",
    False: "`SET PERSIST {name} = {value}`",
}
_OTHER_VALUE = {"ON": "OFF", "OFF": "ON"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The database's message for each rejected row, by place; ``not_asked``: why it was not asked.

    ``known`` are the places of rows that DEDUPLICATE=true skips.
    """

    refused: Mapping[int, str] = field(default_factory=dict)
    known: Set[int] = frozenset()
    not_asked: str = ""


def ask_database(
    engine: Engine, stream: Stream, records: Sequence[Record], deduplicate: bool = False
) -> Answer:
    """Insert the records' rows, and roll back. Blocking.

    This consumes AUTO_INCREMENT ids.
    """
    rows = {
        place: chunk
        for place, record in enumerate(records)
        if (chunk := _chunk(stream, record)).valid
    }
    try:
        version.require_compatible(version.check(engine))
        with classified(), engine.connect() as connection:
            facts = read_facts(connection)[stream.table]
            if facts.triggers:
                return Answer(not_asked="a trigger runs for each row and might leave traces")
            try:
                return _answer(_refusals(connection, stream, rows), deduplicate)
            finally:
                connection.rollback()
    except (FatalError, RowError, TransientError) as error:
        return Answer(not_asked=str(error).rstrip("."))


def check_storing(engine: Engine, stream: Stream, results: CheckResults) -> None:
    """Report whether rows are loaded or inserted, and why, by storing one and rolling back."""
    with results.about("Storing"), classified(), engine.connect() as connection:
        transaction = _transaction(connection, stream)
        store = RowStore()
        # There may be a unique index over the keys.
        trial = PlainRecord(0, stream.trial(token_hex(8)))
        store.store(transaction, [_chunk(stream, trial)])
        if store.is_loading:
            results.ok("Storing", "rows are loaded (LOAD DATA LOCAL)")
        else:
            results.ok("Storing", *_why_inserted(transaction))
        connection.rollback()


def _chunk(stream: Stream, record: Record) -> Chunk:
    return Chunk.transform(stream, Partition("check", 0), 0, 1, [record])


def _why_inserted(transaction: Transaction) -> tuple[str, str]:
    """Why rows are not loaded, and what would change it."""
    if not lenient.can_prove(transaction):
        return (
            "rows are inserted: the server does not say whether triggers ran, so it cannot prove "
            "what it loads",
            "MySQL does so from 9.1 on: docs/decisions/16-load-data.md",
        )
    for name, value in lenient.obstacles(transaction).items():
        turn_on = _TURN_ON[is_mariadb(transaction.connection)]
        return (
            f"rows are inserted: {name} is {value}",
            turn_on.format(name=name, value=_OTHER_VALUE[value])
            + ", by an administrator, makes writes about 1.7 times as fast",
        )
    return (
        "rows are inserted: a load was rejected, or it could not be proven what it stored",
        f"look for a trigger on {transaction.stream.table}, or for a proxy that rejects "
        f"LOAD DATA LOCAL",
    )


def _answer(refused: Mapping[int, str], deduplicate: bool) -> Answer:
    known = {place for place, words in refused.items() if deduplicate and is_duplicate(words)}
    others = {place: words for place, words in refused.items() if place not in known}
    return Answer(others, known)


def _refusals(connection: Connection, stream: Stream, rows: Mapping[int, Chunk]) -> dict[int, str]:
    if not rows:
        return {}
    refused = RowStore().store(_transaction(connection, stream), list(rows.values())).refused
    return {place: of_row[0] for place, of_row in zip(rows, refused, strict=True) if of_row}


def _transaction(connection: Connection, stream: Stream) -> Transaction:
    row = connection.execute(select(*SESSION)).one()
    return Transaction(connection, stream, check_session(row), int(row.packet))
