"""Has a command wait for a database that is about to answer."""

from time import monotonic
from typing import Any

from mode.utils.logging import get_logger
from sqlalchemy import Engine, event
from tenacity import RetryCallState, Retrying, retry_if_exception

from db.connection.driver import MySQLError
from db.connection.errors import classify
from pipeline.errors import LoginError, TransientError
from pipeline.log_events import named
from pipeline.patience import BACKOFF

log = get_logger(__name__)


def wait_for_server(engine: Engine, seconds: float) -> None:
    """Have the engine repeat a connection that fails, for so many seconds since the first one.

    A login that is refused, or TLS, is not waited for.
    """
    begun = None

    def connect(dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        nonlocal begun
        begun = begun or monotonic()
        until = begun + seconds
        return Retrying(
            retry=retry_if_exception(_may_pass),
            stop=lambda _: monotonic() >= until,
            wait=BACKOFF,
            before_sleep=say,
            reraise=True,
        )(dialect.connect, *arguments, **options)

    def say(state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        if state.attempt_number == 1 and isinstance(error, MySQLError | OSError):
            log.warning(
                "Waiting up to %.0f s: %s",
                seconds,
                classify(error),
                extra=named("waiting", server="database"),
            )

    event.listen(engine, "do_connect", connect)


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, MySQLError | OSError):
        return False
    found = classify(error)
    return isinstance(found, TransientError) and not isinstance(found, LoginError)
