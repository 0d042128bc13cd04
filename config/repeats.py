"""Logs once a minute what a library repeats."""

import logging
from collections.abc import Callable
from time import monotonic

#: Seconds in which a line is logged once.
INTERVAL = 60.0
#: Top-level loggers of libraries that may repeat a line, some of them 80 times a second.
LIBRARIES = frozenset(("aiokafka", "aiohttp", "asyncio", "faust", "mode", "pymysql", "sqlalchemy"))


class OnceAMinute(logging.Filter):
    """Drops a warning or an error that was logged less than ``INTERVAL`` ago.

    The next one says how many were dropped. Lines are the same if logger and text are, whatever
    the values in it.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        #: By line: when it was logged, and how many were dropped since. As many as a library's
        #: source has texts.
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it."""
        if record.levelno < logging.WARNING:
            return True
        line = record.name, str(record.msg)
        now = self._clock()
        logged, dropped = self._seen.get(line, (now - INTERVAL, 0))
        if now - logged < INTERVAL:
            self._seen[line] = logged, dropped + 1
            return False
        self._seen[line] = now, 0
        if dropped:
            record.msg = f"{record.getMessage()} (and {dropped} like it in the last minutes)"
            record.args = ()
        return True


def limit_repeats() -> None:
    """Have the libraries log so, from now on: in every handler, and in Sentry."""
    once = OnceAMinute()
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in LIBRARIES:
            logging.getLogger(name).addFilter(once)
