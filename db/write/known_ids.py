"""Which event ids are stored: the index knows; a filter knows those this worker stored lately."""

from collections.abc import Collection

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from db.schema import event_key
from pipeline.errors import FatalError
from pipeline.stream import Stream

#: The server's code for an index that is not there.
_NO_INDEX = 1176

#: Bits of the filter, a power of two; and ids after which it is emptied: an eighth are then taken
#: for known that are not.
_BITS = 1 << 24
_MOST = 2_000_000
_MASK = _BITS // 8 - 1
_PLACES = [1 << place for place in range(8)]


class RecentIds:
    """A Bloom filter with one hash: an id that was added is always found, others rarely."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)
        self._count = 0

    def add(self, ids: Collection[bytes]) -> list[bytes]:
        """Add different ids; those before are forgotten where these are too many.

        Returns:
            Those of them that may have been added before.
        """
        self._count += len(ids)
        if self._count > _MOST:
            self._bits = bytearray(_BITS // 8)
            self._count = len(ids)
        bits = self._bits
        found = []
        for one in ids:
            place = hash(one)
            at = place >> 3 & _MASK
            before = bits[at]
            after = before | _PLACES[place & 7]
            if after == before:
                found.append(one)
            else:
                bits[at] = after
        return found


def hold_index(connection: Connection, stream: Stream) -> None:
    """Verify that the index is there, and keep it from being dropped until the transaction ends.

    To be called before the first savepoint: going back to one gives up what was held since.

    Args:
        connection: in a transaction.
        stream: whose table has the index.

    Raises:
        FatalError: it is not there.
        sqlalchemy.exc.DBAPIError: the server refused otherwise.
    """
    try:
        # Finds nothing, and looks nowhere: naming the index is enough.
        connection.exec_driver_sql(
            f"SELECT 1 FROM {stream.table} USE INDEX ({event_key.NAME}) WHERE 1 = 0"  # noqa: S608
        )
    except DBAPIError as error:
        if error.orig is not None and error.orig.args[0] == _NO_INDEX:
            raise FatalError(event_key.MISSING.format(table=stream.table)) from error
        raise


def stored_ids(connection: Connection, stream: Stream, ids: Collection[bytes]) -> set[bytes]:
    """Those of the ids that rows have, also rows of this transaction.

    Args:
        connection: in a transaction that reads what is committed.
        stream: whose table has the index, over the stream's key.
        ids: in UTF-8; some thousand at most.
    """
    if not ids:
        return set()
    key = event_key.key(connection, stream.key or "")
    literals = ",".join([f"X'{one.hex()}'" for one in ids])
    found = connection.exec_driver_sql(
        # Of hexadecimal digits and names of our own.
        f"SELECT {key} FROM {stream.table} FORCE INDEX ({event_key.NAME})"  # noqa: S608
        f" WHERE {key} IN ({literals})"
    )
    return set(found.scalars())


def is_duplicate(message: str) -> bool:
    """Whether a server's message on a duplicate entry (error 1062) is about this index."""
    # Newer versions of MySQL name the table as well. The entry itself stands before.
    return message.endswith((f"'{event_key.NAME}'", f".{event_key.NAME}'"))
