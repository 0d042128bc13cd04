"""When a write that failed is retried, and how soon."""

from tenacity import wait_exponential_jitter

from pipeline.errors import SEARCHED, TOO_LARGE, TransientError

#: Seconds between attempts while the database is away.
BACKOFF = wait_exponential_jitter(multiplier=0.2, max=10, jitter=0.5)
#: Seconds between searches that find every event failing. Each search is several writes.
SEARCH_BACKOFF = wait_exponential_jitter(multiplier=1, max=10, jitter=0.5)

#: Attempts before the batch is bisected for the event at fault.
MAX_ATTEMPTS = 3


def is_retried(seen: list[TransientError], max_attempts: int, error: BaseException) -> bool:
    """Whether the same write is attempted again.

    Args:
        seen: errors in a row that an event may cause; updated here.
        max_attempts: how many of them end the write.
        error: what the last attempt ended in.
    """
    if not isinstance(error, TransientError):
        return False
    if error.kind not in SEARCHED:
        seen.clear()
        return True
    seen.append(error)
    return error.kind != TOO_LARGE and len(seen) < max_attempts
