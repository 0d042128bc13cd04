"""What the database watch asks while nothing is written. Blocking."""

from collections.abc import Mapping

from sqlalchemy import Engine

from db.connection.engine import ping
from db.write.offsets import OffsetStore
from pipeline.partition import Partition


class DatabaseProbe:
    """Asks whether the database answers, and which offsets it has.

    Args:
        engine: from ``db.connection.engine.connect``.
        store: the group's stored offsets, read by ``connect_for_queries``.
        topic: whose offsets.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, store: OffsetStore, topic: str) -> None:
        self._engine = engine
        self._store = store
        self._topic = topic

    def ping(self) -> None:
        """Verify that the server answers, by no statement."""
        ping(self._engine)

    def stored(self, locked: bool) -> Mapping[Partition, int]:
        """The stored offsets, under a lock where that is asked for."""
        return self._store.read(self._topic, locked=locked)
