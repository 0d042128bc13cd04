"""What a worker's writes rely on: verified when it starts, and again while it writes.

Someone may change a table or drop an index under a running worker. Most of that makes a write fail;
the rest would go unnoticed: another engine, a column that cuts values, an index that is gone.
"""

from logging import getLogger
from math import inf
from time import monotonic

from sqlalchemy import Engine

from db.schema import event_index, version

log = getLogger(__name__)

#: Seconds after which a write has them verified again.
INTERVAL = 60.0


class Preconditions:
    """Those of one worker. Blocking.

    Args:
        engine: from ``db.connection.engine.connect``.
        deduplicate: whether the index over event ids is needed.
        interval: seconds for which they are taken to hold.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, *, deduplicate: bool, interval: float = INTERVAL) -> None:
        self._engine = engine
        self._deduplicate = deduplicate
        self._interval = interval
        self._verified = -inf
        #: Warnings that were logged.
        self._warned: set[str] = set()

    def verify(self) -> None:
        """Verify them now, and log what is new and costs single rows."""
        begun = monotonic()
        found = version.check(self._engine)
        version.require_compatible(found)
        index = event_index.check(self._engine, self._deduplicate)
        self._verified = begun
        if found.is_newer:
            self._warn(
                f"The database's schema is at version {found.version}, newer than this app's "
                f"{version.VERSION}: all that this app uses is there."
            )
        for one in found.problems:
            self._warn(f"The database: {one.found}. If that is not meant: {one.hint}")
        if index:
            self._warn(f"{index}.")

    def verify_again(self) -> None:
        """Verify them if that was not done lately."""
        if monotonic() - self._verified >= self._interval:
            self.verify()

    def _warn(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            log.warning("%s", sentence)
