"""Stored offsets: where each partition continues. Blocking; call it off the event loop."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, Engine, Select, null, select
from sqlalchemy.dialects.mysql import Insert, insert

from db.connection.errors import classified
from db.connection.session import SESSION, another_session, check_session, fenced_sql
from db.schema.tables import stream_offsets
from pipeline.record import LastRecord

_partition = stream_offsets.c.kafka_partition
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

    offsets: dict[int, int]
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

    def read(self, topic: str, *, locked: bool = False) -> dict[int, int]:
        """Next offset of every partition of the topic that the group has started.

        Args:
            topic: whose offsets.
            locked: whether to wait for writes under way and ask for a lock, which only a primary
                gives; a replica that a proxy chose may answer what was.
        """
        statement = self._of(topic).with_for_update() if locked else self._of(topic)
        with classified(), self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return {row.kafka_partition: row.next_offset for row in rows}

    def begin(self, topic: str, offsets: Mapping[int, int]) -> dict[int, int]:
        """Store where partitions begin, except those already stored; return what is stored now."""
        # One transaction: a second worker that starts now sees all of them or none.
        self._store(insert(stream_offsets).prefix_with("IGNORE"), topic, offsets)
        return self.read(topic)

    def set(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Overwrite the stored offsets; the last records of these partitions are then unknown."""
        statement = insert(stream_offsets)
        changed = statement.on_duplicate_key_update(
            next_offset=statement.inserted.next_offset,
            last_offset=null(),
            last_epoch=null(),
            last_timestamp=null(),
            last_checksum=null(),
        )
        self._store(changed, topic, offsets)

    def lock(self, connection: Connection, topic: str, partitions: Collection[int]) -> Locked:
        """Lock the partitions' rows until the transaction ends.

        Raises:
            FatalError: the session is not strict, not in UTC or not in a transaction.
        """
        statement = (
            self._of(topic)
            .add_columns(*SESSION)
            .where(_partition.in_(sorted(partitions)))
            .order_by(_partition)
            .with_for_update()
        )
        rows = connection.execute(statement).all()
        offsets = {row.kafka_partition: row.next_offset for row in rows}
        if not rows:
            return Locked(offsets, 0, 0)
        return Locked(offsets, check_session(rows[0]), int(rows[0].packet))

    def advance(
        self,
        connection: Connection,
        topic: str,
        moves: Mapping[int, tuple[int, int]],
        last: Mapping[int, LastRecord],
        session: int,
    ) -> None:
        """Move the next offsets inside the caller's transaction, from what ``lock`` found.

        Args:
            connection: of that transaction.
            topic: whose offsets.
            moves: by partition, the next offset as it is locked and as it becomes.
            last: the last record below it; without one, the one that is stored still serves.
            session: the one that ``lock`` found.

        Raises:
            FatalError: an offset is another one, or the session is; roll the transaction back.
        """
        group = fenced_sql(session, "%(group)s")
        rows = []
        for partition, (_, offset) in sorted(moves.items()):
            values = partition, offset, *(last.get(partition) or ["NULL"] * len(_LAST))
            rows.append(f"({group}, %(topic)s, {', '.join(map(str, values))})")
            group = "%(group)s"
        stored = " ".join(f"WHEN {one} THEN {before}" for one, (before, _) in moves.items())
        moved = connection.exec_driver_sql(
            _ADVANCE.format(rows=", ".join(rows), stored=stored),
            {"group": self._group, "topic": topic},
        )
        # A row that is moved counts twice, one that is not or was missing once or not at all.
        if moved.rowcount != 2 * len(rows):
            raise another_session(
                f"Offsets of {topic} could not be moved, though this transaction has locked them "
                f"(from and to, by partition: {dict(moves)})"
            )

    def last_records(self, topic: str) -> dict[int, LastRecord]:
        """What identifies the last record read of each partition, where that is known."""
        columns = [stream_offsets.c[name] for name in _LAST.values()]
        statement = self._of(topic).add_columns(*columns)
        with classified(), self._engine.connect() as connection:
            rows = connection.execute(statement).mappings().all()
        return {
            row["kafka_partition"]: LastRecord(*(row[name] for name in _LAST.values()))
            for row in rows
            if None not in [row[name] for name in _LAST.values()]
        }

    def _store(self, statement: Insert, topic: str, offsets: Mapping[int, int]) -> None:
        rows = [
            {
                "consumer_group": self._group,
                "kafka_topic": topic,
                "kafka_partition": partition,
                "next_offset": offset,
            }
            for partition, offset in sorted(offsets.items())
        ]
        with classified(), self._engine.begin() as connection:
            connection.execute(statement, rows)

    def _of(self, topic: str) -> Select[tuple[int, int]]:
        return (
            select(_partition, _next_offset)
            .where(stream_offsets.c.consumer_group == self._group)
            .where(stream_offsets.c.kafka_topic == topic)
        )
