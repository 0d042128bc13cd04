"""How large the next statement of one way is, and when that way is tried again after a failure."""

#: Seconds that a statement should take at most: each is a sign of life to those who watch the
#: worker, and others wait for its locks.
SECONDS = 0.5

#: Turns to skip after nothing was proven: at first, and at most.
_SHORT_PAUSE, _LONG_PAUSE = 4, 1024


class Pace:
    """The size and the turns of one way, remembered from write to write.

    Args:
        first, most: bytes (or rows) of a statement, at first and at most.
    """

    def __init__(self, first: int, most: int) -> None:
        self.size = first
        self._most = most
        self._pause = _SHORT_PAUSE
        self._skipped = 0
        self._grows = True

    def take_turn(self) -> bool:
        """Whether it is this way's turn; a turn that is skipped counts."""
        self._skipped -= 1
        return self._skipped < 0

    def proven(self, size: int, seconds: float, most: float = float("inf")) -> None:
        """A statement of this size stored what it should; ``most`` is what else limits the next."""
        self._pause, self._skipped = _SHORT_PAUSE, 0
        if seconds > SECONDS:
            self._shrink(size * SECONDS / seconds)
        elif self._grows and seconds < SECONDS / 2 and 2 * size > self.size:
            self.size = min(self._most, 2 * self.size)
        self._shrink(min(self.size, most))

    def unproven(self, size: float = 0.0) -> None:
        """Nobody knows what a statement would have stored: one of this size is tried next, or if
        that is 0, this way pauses, each time for longer."""
        if size:
            self._shrink(min(size, self.size))
        else:
            self._skipped, self._pause = self._pause, min(_LONG_PAUSE, 2 * self._pause)

    @property
    def is_paused(self) -> bool:
        """Whether the next turn is to be skipped."""
        return self._skipped > 0

    def broken(self, size: int, seconds: float) -> None:
        """A statement of this size was ended, by a time-out or a kill: none is larger until a whole
        write succeeds."""
        self._grows = False
        self._shrink(min(size, self.size) * min(0.5, SECONDS / max(seconds, SECONDS)))

    def end_write(self) -> None:
        """A write succeeded: statements may grow again."""
        self._grows = True

    def _shrink(self, size: float) -> None:
        self.size = max(1, int(size))
