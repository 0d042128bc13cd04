"""Errors in Sentry: each log line of level ERROR or CRITICAL, with the lines before it."""

import logging

from config.settings import Settings
from config.version import VERSION
from pipeline.errors import FatalError

_INSTALL = "run `pip install -r requirements-telemetry.txt`, or unset SENTRY_DSN"


def report_errors(settings: Settings) -> None:
    """Send errors to ``SENTRY_DSN`` from now on; nothing is imported where it is not set.

    Sentry's other variables (``SENTRY_ENVIRONMENT``, ``SENTRY_RELEASE``) are read by its library.

    Raises:
        FatalError: the library is missing, or the DSN is not one.
    """
    if settings.sentry_dsn is None:
        return
    try:
        import sentry_sdk
        from sentry_sdk.integrations.atexit import AtexitIntegration
        from sentry_sdk.integrations.logging import LoggingIntegration
        from sentry_sdk.utils import BadDsn
    except ImportError:
        raise FatalError(f"SENTRY_DSN is set and sentry-sdk is missing: {_INSTALL}.") from None
    try:
        sentry_sdk.init(
            settings.sentry_dsn.get_secret_value(),
            release=VERSION,
            default_integrations=False,
            integrations=[
                LoggingIntegration(level=logging.INFO, event_level=logging.ERROR),
                # Says nothing on stderr while it sends what is left.
                AtexitIntegration(callback=lambda *_: None),
            ],
            # A variable may hold a password, or a customer's event.
            include_local_variables=False,
            send_default_pii=False,
        )
        # Tasks that are started from here on share what precedes an error.
        sentry_sdk.get_isolation_scope()
    except BadDsn:
        raise FatalError("SENTRY_DSN is wrong: it is https://KEY@HOST/PROJECT.") from None
