"""Tests whether the database accepts rows, by inserting them and rolling back."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, select

from agents.flash_sales import FLASH_SALES
from db.connection.errors import classified
from db.connection.session import SESSION, check_session
from db.schema import version
from db.schema.facts import read_facts
from db.schema.sales_tables import flash_sale_events
from db.write.known_ids import is_duplicate
from db.write.row_store import RowStore
from db.write.transaction import Transaction
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.record import Record


@dataclass(frozen=True, slots=True)
class Answer:
    """The database's message for each refused row, by place; ``not_asked``: why it was not asked.

    ``known`` are the places of rows that DEDUPLICATE=true skips.
    """

    refused: Mapping[int, str] = field(default_factory=dict)
    known: Set[int] = frozenset()
    not_asked: str = ""


def ask_database(engine: Engine, records: Sequence[Record], deduplicate: bool = False) -> Answer:
    """Insert the records' rows, and roll back. Blocking.

    This consumes AUTO_INCREMENT ids.
    """
    rows = {
        place: chunk
        for place, record in enumerate(records)
        if (chunk := Chunk.transform(FLASH_SALES, "check", 0, 0, 1, [record])).valid
    }
    try:
        version.require_compatible(version.check(engine))
        with classified(), engine.connect() as connection:
            facts = read_facts(connection)[flash_sale_events.name]
            if facts.triggers:
                return Answer(not_asked="a trigger runs for each row and might leave traces")
            try:
                return _answer(_refusals(connection, rows), deduplicate)
            finally:
                connection.rollback()
    except (FatalError, RowError, TransientError) as error:
        return Answer(not_asked=str(error).rstrip("."))


def _answer(refused: Mapping[int, str], deduplicate: bool) -> Answer:
    known = {place for place, words in refused.items() if deduplicate and is_duplicate(words)}
    others = {place: words for place, words in refused.items() if place not in known}
    return Answer(others, known)


def _refusals(connection: Connection, rows: Mapping[int, Chunk]) -> dict[int, str]:
    if not rows:
        return {}
    row = connection.execute(select(*SESSION)).one()
    transaction = Transaction(connection, FLASH_SALES, check_session(row), int(row.packet))
    refused = RowStore().store(transaction, list(rows.values())).refused
    return {place: of_row[0] for place, of_row in zip(rows, refused, strict=True) if of_row}
