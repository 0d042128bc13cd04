"""`faust -A app worker`: Faust's, with checks before it starts and a reason when it ends."""

import asyncio
import errno
import logging
import os
import platform
import signal
import socket
import sys
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

import click
import faust
from faust.cli.worker import worker
from mode.utils.logging import get_logger

from config.load import env_files
from config.pages import OPEN, address, readers
from config.repeats import limit_repeats
from config.settings import Settings
from config.version import VERSION
from pipeline.errors import FatalError
from pipeline.log_events import named
from pipeline.partition import Partition
from pipeline.shutdown import FatalExit
from pipeline.stream import Stream
from source.records import codecs, packing
from telemetry.sentry import report_errors

log = get_logger(__name__)


class Worker(faust.Worker):
    """Starts only after all checks passed; its last line says why it ended."""

    app: Any  # with `before_start` and `settings`

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # The spinner would be written to files too.
        self.spinner = None

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """At level INFO leave out what the libraries say: dozens of lines for each start."""
        super().on_setup_root_logger(logger, level)
        if level == logging.INFO:
            for handler in logger.handlers:
                handler.addFilter(_matters)

    def execute_from_commandline(self) -> None:  # type: ignore[override]
        """Run until a signal or a fatal error; raises SystemExit."""
        self._setup_logging()
        self.override_logging = False
        limit_repeats()
        self._before_start()
        super().execute_from_commandline()

    def _before_start(self) -> None:
        try:
            report_errors(self.app.settings)
            looking = asyncio.ensure_future(self._look(), loop=self.loop)
            # Nothing needs to be flushed or left yet, so a signal just cancels.
            for number in (signal.SIGINT, signal.SIGTERM):
                self.loop.add_signal_handler(number, looking.cancel)
            self.loop.run_until_complete(looking)
        except asyncio.CancelledError:
            raise SystemExit(0) from None
        except FatalError as error:
            log.critical("%s", error, extra=named("worker_failed"))
            if self.logfile:
                print(error, file=sys.__stderr__)
            raise SystemExit(1) from None

    async def _look(self) -> None:
        conf = self.app.conf
        if conf.web_enabled:
            await self._serve(conf.web_bind, conf.web_port)
        if missing := codecs.unavailable():
            log.warning(
                "Batches compressed with %s cannot be read: run `pip install cramjam`.",
                ", ".join(missing),
                extra=named("codec_missing"),
            )
        await self.app.before_start()
        if conf.web_enabled:
            log.info("%s", served(self.app.settings, conf), extra=named("pages_served"))

    async def _serve(self, host: str, port: int) -> None:
        """Serve the pages before all else: a platform leaves a worker alone that is alive.

        Faust starts what is not started yet.
        """
        require_free_port(host, port)
        try:
            await self.app.web.start()
        except OSError as error:
            raise _unusable(host, port, error) from error

    def _shutdown_loop(self) -> None:
        fatal = self.crash_reason
        if isinstance(fatal, FatalExit):
            # Already logged; mode would log it again.
            self.crash_reason = None
        super()._shutdown_loop()
        if isinstance(fatal, FatalExit):
            if not self.app.conf.logging_config.get("handlers"):
                print(fatal.sentence, file=sys.__stderr__)
            raise fatal


def _matters(record: logging.LogRecord) -> bool:
    """Whether a line is a warning or ours; mode begins its own, of any service, like this."""
    of_library = record.name.startswith(("aiokafka", "faust", "mode"))
    return record.levelno != logging.INFO or not (of_library or str(record.msg).startswith("[^"))


def require_free_port(host: str, port: int) -> None:
    """Verify that the pages can be served.

    Raises:
        FatalError: they cannot; the message says what to change.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Like the web server, ignore connections that have just ended.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise _unusable(host, port, error) from error


def _unusable(host: str, port: int, error: OSError) -> FatalError:
    number = error.errno or 0
    is_port = number in (errno.EADDRINUSE, errno.EACCES)
    # asyncio's text has more than the reason, and a host that is not found has no system errno.
    reason = os.strerror(number) if is_port else error.strerror
    return FatalError(
        f"Port {port} on {host} cannot be used: {reason}. Change "
        f"{'PORT' if is_port else 'WEB_BIND'}, or run the worker with --without-web."
    )


def versions(stream: Stream) -> str:
    """What runs, in one line."""
    batches = "" if packing.is_packing() else f"batches by {packing.read_by()}, "
    return (
        f"flash-sale ETL {VERSION} (Python {platform.python_version()}, Faust {faust.__version__}, "
        f"{batches}rows by {stream.rows_by})"
    )


def running(settings: Settings, topic: str, stream: Stream) -> str:
    """A worker's first line: versions, source, destination and settings files."""
    files = "".join(f" and {file}" for file in env_files())
    return (
        f"{versions(stream)}: topic {topic} of Kafka at {', '.join(settings.broker_addresses)}, as "
        f"group {settings.consumer_group}, into {settings.database.database} at "
        f"{settings.database_address}. Settings come from the environment{files}."
    )


def served(settings: Settings, conf: Any) -> str:
    """A worker's line about its pages: where they are, and who may read them."""
    has_token = settings.web_token is not None
    who, hint = readers(conf.web_bind, has_token=has_token)
    more = f" ({hint})" if hint else ""
    others = "/health/" if has_token else f"{', '.join(OPEN[:-1])} and {OPEN[-1]}"
    return (
        f"Pages: {address(conf.web_bind, conf.web_port)}/dashboard/ {who}{more}; "
        f"{others} to all who reach the port."
    )


def worker_command(stream: Stream) -> None:
    """Change Faust's command: our `--version`, and no banner before the log."""
    # Faust prints a table of its drivers; our first line is `running`.
    worker.on_worker_created = lambda *_: None  # type: ignore[method-assign]
    click.version_option(VERSION, message=versions(stream))(worker._click)


#: Partitions named in a line.
_NAMED = 16


def worker_name() -> str:
    """This process's name in the ledger: host, process and a random part."""
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"


def log_reading(starts: Mapping[Partition, int]) -> None:
    """Log an assignment."""
    log.info(
        "%s",
        reading(starts),
        extra=named(
            "partitions_assigned", partitions={str(one): start for one, start in starts.items()}
        ),
    )


def reading(starts: Mapping[Partition, int]) -> str:
    """A worker's line after each assignment: its partitions, and the offsets where it starts."""
    if not starts:
        return "Reading nothing: other workers have all partitions."
    named = [f"{one} from {starts[one]}" for one in sorted(starts)]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return f"Reading {', '.join(named[:_NAMED])}{more}."
