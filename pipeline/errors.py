"""What went wrong, by what it means for the events in hand.

A transient error is retried for ever; a rejected row becomes a dead letter; anything else ends the
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
        is_away: whether there was no connection, or no answer in time; else the server answered
            with an error.
    """

    def __init__(self, message: str, kind: str = "other", *, is_away: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.is_away = is_away


class LoginError(TransientError):
    """The login is rejected, or TLS cannot be set up; the text says what to change.

    A worker does not start with it. A running one retries: it may pass.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, "login")


class RowError(Exception):
    """The database rejects a row of the batch, and would reject it again."""


class FatalError(Exception):
    """Waiting does not help; the text says what to change."""


class OffsetGapError(FatalError):
    """Events between the stored offset and the batch were never seen: writing would lose them."""


def state_of_database(error: TransientError | FatalError) -> str:
    """The predicate of "the database …": "is away: …", or "cannot be used: …" where it answered."""
    is_away = isinstance(error, TransientError) and error.is_away
    return f"{'is away' if is_away else 'cannot be used'}: {error}"
