"""A chunk is written in a transaction that is rolled back: can the database store it now?"""

from sqlalchemy import Engine

from db.connection.errors import classified
from db.write.dead_letters import insert_dead_letters
from db.write.insert_values import into
from db.write.offsets import OffsetStore
from db.write.row_store import RowStore
from db.write.transaction import Transaction
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, RowError


def rehearse(engine: Engine, group: str, chunk: Chunk) -> None:
    """Insert the rows and dead letters of a chunk, wherever its partition stands, and roll back.

    An insert into the events table is sent in any case: without rows it is the harmless statement
    that fails in an outage, too. Rows that the database rejects are no error. This consumes
    AUTO_INCREMENT ids.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    stream = chunk.stream
    columns = ", ".join(stream.columns)
    try:
        with classified(), engine.connect() as connection:
            store = OffsetStore(engine, group)
            _, session, packet = store.lock(connection, [chunk.partition])
            if chunk.valid:
                RowStore().store(Transaction(connection, stream, session, packet), [chunk])
            else:
                connection.exec_driver_sql(
                    f"INSERT INTO {into(stream)} SELECT {columns} FROM {stream.table} WHERE FALSE"  # noqa: S608 - names of our own
                )
            dead = ((chunk.partition, letter) for letter in chunk.dead)
            insert_dead_letters(connection, group, dead, session, packet)
            connection.rollback()
    except RowError as error:
        raise FatalError(f"The database rejects a dead letter: {error}.") from error
