"""Errors, by what they mean for the events of a write.

A transient error is retried for ever; a rejected row becomes a dead letter; any other error ends
the worker with a sentence that says what to change.
"""

import math
from dataclasses import dataclass
from typing import Self

#: The kind of error that smaller writes avoid.
TOO_LARGE = "too_large"

#: Kinds that an event may cause: if they recur, the batch is bisected for that event.
SEARCHED = {"other", TOO_LARGE}


class TransientError(Exception):
    """The database is away or busy: the same write may succeed later.

    Args:
        message: the error's text.
        kind: one of a few words, for metrics.
        is_away: whether there was no connection or no answer in time; otherwise the server
            answered with an error.
    """

    def __init__(self, message: str, kind: str = "other", *, is_away: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.is_away = is_away


class LoginError(TransientError):
    """The login is rejected, or TLS cannot be set up; the text says what to change.

    A worker does not start with this error. A running one retries, as it may pass.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, "login")


class RowError(Exception):
    """The database rejects a row of the batch, and always will."""


class FatalError(Exception):
    """Retrying does not help; the text says what to change."""


class NotYetError(FatalError):
    """What is missing may come by itself: a start waits for it.

    Args:
        message: what is missing, and what to change if it does not come.
        patience: seconds that this is worth waiting for at most.
    """

    def __init__(self, message: str, patience: float = math.inf) -> None:
        super().__init__(message)
        self.patience = patience


class OffsetGapError(FatalError):
    """Events between the stored offset and the batch were never seen: writing would lose them."""


def why(error: BaseException) -> str:
    """An error's name and what it says, if it says anything."""
    said = ", ".join(str(one) for one in error.args)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


@dataclass(frozen=True)
class DatabaseTrouble:
    """Why nothing can be written. As text it follows "the database": "is away: no answer".

    Args:
        reason: what was answered, or how long nothing was.
        is_away: whether it does not answer; otherwise it answered with an error.
    """

    reason: str
    is_away: bool = True

    def __str__(self) -> str:
        return f"{'is away' if self.is_away else 'cannot be used'}: {self.reason}"

    @classmethod
    def of(cls, error: TransientError | FatalError) -> Self:
        """What an error says about the database."""
        return cls(str(error), isinstance(error, TransientError) and error.is_away)
