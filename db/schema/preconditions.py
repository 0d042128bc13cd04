"""What a worker's writes rely on, verified at startup and again while it writes.

Someone may change a table or drop an index while a worker runs. Most changes make a write fail;
others would go unnoticed: another engine, a column that cuts values, a missing index.
"""

from logging import getLogger
from math import inf
from time import monotonic

from sqlalchemy import Engine

from db.schema import event_index, version
from pipeline.log_events import named

log = getLogger(__name__)

#: Seconds after which a write verifies them again.
INTERVAL = 60.0


class Preconditions:
    """The preconditions of one worker. Blocking.

    Args:
        engine: from ``db.connection.engine.connect``.
        deduplicate: whether the index over event ids is needed.
        interval: seconds for which they are trusted.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, *, deduplicate: bool, interval: float = INTERVAL) -> None:
        self._engine = engine
        self._deduplicate = deduplicate
        self._interval = interval
        self._verified = -inf
        #: Warnings already logged.
        self._warned: set[str] = set()

    def verify(self) -> None:
        """Verify them now, and log new warnings."""
        begun = monotonic()
        found = version.check(self._engine)
        version.require_compatible(found)
        index = event_index.check(self._engine, self._deduplicate)
        self._verified = begun
        if found.is_newer:
            self._warn(
                f"The database's schema is at version {found.version}, newer than this app's "
                f"{version.VERSION}, and compatible with it."
            )
        for one in found.problems:
            self._warn(f"The database: {one.found}. If that is not intended: {one.hint}")
        if index:
            self._warn(f"{index}.")

    def verify_again(self) -> None:
        """Verify them if the last time was more than the interval ago."""
        if monotonic() - self._verified >= self._interval:
            self.verify()

    def _warn(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            log.warning("%s", sentence, extra=named("table_changed"))
