"""Stored offsets: where each partition continues. Blocking; call it off the event loop."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, Engine, Select, null, select
from sqlalchemy.dialects.mysql import Insert, insert

from db.connection.errors import classified
from db.connection.session import SESSION, another_session, check_session, fenced_sql
from db.schema.tables import stream_offsets
from pipeline.partition import Partition, by_topic
from pipeline.record import LastRecord

_number = stream_offsets.c.kafka_partition
_next_offset = stream_offsets.c.next_offset
#: The column of each field of a LastRecord.
_LAST = {field: f"last_{field}" for field in LastRecord._fields}

_KEPT = ", ".join(
    f"{name} = IF(next_offset = VALUES(next_offset), COALESCE(VALUES({name}), {name}), {name})"
    for name in _LAST.values()
)
#: Moves all offsets of a write in one round trip. An insert, because it finds and locks exactly the
#: rows it names; an update of several might read, and wait for, those of other workers.
_ADVANCE = f"""\
INSERT INTO stream_offsets
  (consumer_group, kafka_topic, kafka_partition, next_offset, {", ".join(_LAST.values())})
VALUES {{rows}}
ON DUPLICATE KEY UPDATE
  next_offset = IF(next_offset = CASE kafka_partition {{stored}} END,
    VALUES(next_offset), next_offset), {_KEPT}"""  # noqa: S608 - names of our own


class Locked(NamedTuple):
    """Next offsets by partition, locked by a transaction, and what is known of its session.

    ``session`` is what the server's ``CONNECTION_ID()`` says, ``packet`` how many bytes a statement
    may have there (``max_allowed_packet``); both 0 where no row was found.
    """

    offsets: dict[Partition, int]
    session: int
    packet: int


class OffsetStore:
    """The rows of one consumer group in ``stream_offsets``.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, group: str) -> None:
        self._engine = engine
        self._group = group

    def read(self, topic: str, *, locked: bool = False) -> dict[Partition, int]:
        """Next offset of every partition of the topic that the group has started.

        Args:
            topic: whose offsets.
            locked: whether to wait for writes under way and ask for a lock, which only a primary
                gives; a replica that a proxy chose may answer what was.
        """
        statement = self._of(topic).with_for_update() if locked else self._of(topic)
        with classified(), self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return {Partition(topic, row.kafka_partition): row.next_offset for row in rows}

    def begin(self, offsets: Mapping[Partition, int]) -> None:
        """Store where partitions begin, except those already stored."""
        # One transaction: a second worker that starts now sees all of them or none.
        self._store(insert(stream_offsets).prefix_with("IGNORE"), offsets)

    def set(self, offsets: Mapping[Partition, int]) -> None:
        """Overwrite the stored offsets; the last records of these partitions are then unknown."""
        statement = insert(stream_offsets)
        changed = statement.on_duplicate_key_update(
            next_offset=statement.inserted.next_offset,
            last_offset=null(),
            last_epoch=null(),
            last_timestamp=null(),
            last_checksum=null(),
        )
        self._store(changed, offsets)

    def lock(self, connection: Connection, partitions: Collection[Partition]) -> Locked:
        """Lock the partitions' rows until the transaction ends.

        Raises:
            FatalError: the session is not strict, not in UTC or not in a transaction.
        """
        offsets: dict[Partition, int] = {}
        session = packet = 0
        for topic, numbers in by_topic(partitions).items():
            statement = (
                self._of(topic)
                .add_columns(*SESSION)
                .where(_number.in_(numbers))
                .order_by(_number)
                .with_for_update()
            )
            rows = connection.execute(statement).all()
            if rows:
                session, packet = check_session(rows[0]), int(rows[0].packet)
            offsets |= {Partition(topic, row.kafka_partition): row.next_offset for row in rows}
        return Locked(offsets, session, packet)

    def advance(
        self,
        connection: Connection,
        moves: Mapping[Partition, tuple[int, int]],
        last: Mapping[Partition, LastRecord],
        session: int,
    ) -> None:
        """Move the next offsets inside the caller's transaction, from what ``lock`` found.

        Args:
            connection: of that transaction.
            moves: by partition, the next offset as it is locked and as it becomes.
            last: the last record below it; without one, the one that is stored still serves.
            session: the one that ``lock`` found.

        Raises:
            FatalError: an offset is another one, or the session is; roll the transaction back.
        """
        for topic, numbers in by_topic(moves).items():
            partitions = [Partition(topic, number) for number in numbers]
            group = fenced_sql(session, "%(group)s")
            rows, stored = [], []
            for partition in partitions:
                before, offset = moves[partition]
                found = last.get(partition) or ["NULL"] * len(_LAST)
                values = partition.number, offset, *found
                rows.append(f"({group}, %(topic)s, {', '.join(map(str, values))})")
                stored.append(f"WHEN {partition.number} THEN {before}")
                group = "%(group)s"
            moved = connection.exec_driver_sql(
                _ADVANCE.format(rows=", ".join(rows), stored=" ".join(stored)),
                {"group": self._group, "topic": topic},
            )
            # A row that is moved counts twice, one that is not or was missing once or not at all.
            if moved.rowcount != 2 * len(rows):
                wanted = ", ".join(
                    "{} from {} to {}".format(one, *moves[one]) for one in partitions
                )
                raise another_session(
                    f"Stored offsets could not be moved, though this transaction has locked them "
                    f"({wanted})"
                )

    def last_records(self, topic: str) -> dict[Partition, LastRecord]:
        """What identifies the last record read of each partition, where that is known."""
        columns = [stream_offsets.c[name] for name in _LAST.values()]
        statement = self._of(topic).add_columns(*columns)
        with classified(), self._engine.connect() as connection:
            rows = connection.execute(statement).mappings().all()
        return {
            Partition(topic, row["kafka_partition"]): LastRecord(
                *(row[name] for name in _LAST.values())
            )
            for row in rows
            if None not in [row[name] for name in _LAST.values()]
        }

    def _store(self, statement: Insert, offsets: Mapping[Partition, int]) -> None:
        rows = [
            {
                "consumer_group": self._group,
                "kafka_topic": partition.topic,
                "kafka_partition": partition.number,
                "next_offset": offset,
            }
            for partition, offset in sorted(offsets.items())
        ]
        with classified(), self._engine.begin() as connection:
            connection.execute(statement, rows)

    def _of(self, topic: str) -> Select[tuple[int, int]]:
        return (
            select(_number, _next_offset)
            .where(stream_offsets.c.consumer_group == self._group)
            .where(stream_offsets.c.kafka_topic == topic)
        )
