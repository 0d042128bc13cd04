"""When a write that failed is tried again, and how soon."""

from tenacity import wait_exponential_jitter

from pipeline.errors import SEARCHED, TOO_LARGE, TransientError

#: Seconds between tries while the database is away.
BACKOFF = wait_exponential_jitter(multiplier=0.2, max=10, jitter=0.5)

#: Attempts with the same error before the event at fault is searched for.
MAX_ATTEMPTS = 3


def is_retried(seen: list[str], max_attempts: int, error: BaseException) -> bool:
    """Whether the same write is tried again.

    Args:
        seen: messages of the errors so far that a batch may cause, all alike; updated here.
        max_attempts: tries that end in such an error.
        error: what the newest try ended in.
    """
    if not isinstance(error, TransientError):
        return False
    if error.kind not in SEARCHED:
        seen.clear()
        return True
    if seen and seen[-1] != str(error):
        seen.clear()
    seen.append(str(error))
    return error.kind != TOO_LARGE and len(seen) < max_attempts
