"""How a command fails: one sentence and an exit status."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pipeline.errors import FatalError, RowError, TransientError


def hush_kafka() -> None:
    """Hide aiokafka's log from the terminal: commands report errors themselves."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@contextmanager
def or_exit() -> Iterator[None]:
    """Print an error as one sentence; exit with status 1, or 2 if the call itself is wrong."""
    try:
        yield
    except (TransientError, RowError, FatalError) as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from None
    except click.ClickException as error:
        click.echo(error.format_message(), err=True)
        raise SystemExit(error.exit_code) from None
