"""What went wrong, by what it means for the events in hand.

A transient error is retried for ever; a refused row becomes a dead letter; anything else ends the
worker with a sentence that says what to change.
"""

#: The kind of errors that smaller writes avoid.
TOO_LARGE = "too_large"

#: Kinds that an event of the batch may cause: if they come back, that event is searched for.
SEARCHED = {"other", TOO_LARGE}


class TransientError(Exception):
    """The database is away or busy: the same write may succeed later.

    Args:
        message: what it said.
        kind: one of a few words, for counting.
    """

    def __init__(self, message: str, kind: str = "other") -> None:
        super().__init__(message)
        self.kind = kind


class UntrustedError(TransientError):
    """TLS cannot be set up as the settings require; the text says what to change."""


class RowError(Exception):
    """The database refuses a row of the batch, and would refuse it again."""


class FatalError(Exception):
    """Waiting does not help; the text says what to change."""


class OffsetGapError(FatalError):
    """Events between the stored offset and the batch were never seen: writing would lose them."""
