"""What went wrong, by what it means for the events in hand.

An error that passes is retried for ever; a row that is refused becomes a dead letter; anything else
ends the worker with a sentence that says what to change.
"""

#: The kind of errors that smaller writes avoid.
TOO_LARGE = "too_large"

#: Kinds whose cause may lie in the batch: where they come back, it is looked for there.
SEARCHED = {"other", TOO_LARGE}


class TransientError(Exception):
    """The database is away or busy: the same write may succeed later.

    Args:
        message: what it said.
        kind: in one word of few, for counting.
    """

    def __init__(self, message: str, kind: str = "other") -> None:
        super().__init__(message)
        self.kind = kind


class UntrustedError(TransientError):
    """TLS does not come about as the settings ask; the text says what to change."""


class RowError(Exception):
    """The database refuses a row of the batch, and would refuse it again."""


class FatalError(Exception):
    """Nothing the worker can wait for; the text says what to change."""


class OffsetGapError(FatalError):
    """Events between the stored offset and the batch were never seen: writing would lose them."""
