"""What the database watch asks while nothing is written. Blocking."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from sqlalchemy import Engine

from db.breakers import BreakerStore, OpenBreaker
from db.connection.engine import ping
from db.write.offsets import OffsetStore
from pipeline.errors import FatalError
from pipeline.partition import Partition


class DatabaseProbe:
    """Asks whether the database answers, which offsets it has, and which breakers are open.

    Args:
        engine: from ``db.connection.engine.connect``.
        queries: from ``db.connection.engine.connect_for_queries``.
        group: the consumer group.
        topic: whose offsets.
        found_open: called with the open breakers, and when they were asked for
            (``time.monotonic``); from the thread that calls ``stored``.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(
        self,
        engine: Engine,
        queries: Engine,
        group: str,
        topic: str,
        found_open: Callable[[Sequence[OpenBreaker], float], None],
    ) -> None:
        self._engine = engine
        self._store = OffsetStore(queries, group)
        self._breakers = BreakerStore(queries, group)
        self._topic = topic
        self._found_open = found_open

    def ping(self) -> None:
        """Verify that the server answers, by no statement."""
        ping(self._engine)

    def stored(self, locked: bool) -> Mapping[Partition, int]:
        """The stored offsets, under a lock where that is asked for."""
        if locked:
            return self._store.read(self._topic, locked=True)
        asked = monotonic()
        try:
            offsets, breakers = self._breakers.find_with_offsets(self._topic)
        except FatalError:
            # A right on the breakers' table may be missing: that stops no worker.
            return self._store.read(self._topic)
        self._found_open(breakers, asked)
        return offsets
