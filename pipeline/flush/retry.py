"""Whether a failed write is retried, and how soon."""

from tenacity import wait_exponential_jitter

from pipeline.errors import SEARCHED, TOO_LARGE, TransientError

#: Seconds between attempts while the database is away.
BACKOFF = wait_exponential_jitter(multiplier=0.2, max=10, jitter=0.5)
#: Seconds between searches in an outage. Each search is several writes.
SEARCH_BACKOFF = wait_exponential_jitter(multiplier=1, max=10, jitter=0.5)

#: Attempts before the batch is bisected for the bad event.
MAX_ATTEMPTS = 3


def is_retried(seen: list[TransientError], max_attempts: int, error: BaseException) -> bool:
    """Whether the same write is retried.

    Args:
        seen: consecutive errors that an event may have caused; updated here.
        max_attempts: the number of them that ends the write.
        error: the last attempt's.
    """
    if not isinstance(error, TransientError):
        return False
    if error.kind not in SEARCHED:
        seen.clear()
        return True
    seen.append(error)
    return error.kind != TOO_LARGE and len(seen) < max_attempts
