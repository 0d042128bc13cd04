"""How a command ends when something is wrong: one sentence, and a status that says so."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pipeline.errors import FatalError, RowError, TransientError


def hush_kafka() -> None:
    """Keep what aiokafka logs off the terminal: a command says it, with how to fix it."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@contextmanager
def or_exit() -> Iterator[None]:
    """Print a refusal as one sentence; exit with status 1, or 2 where the call itself is wrong."""
    try:
        yield
    except (TransientError, RowError, FatalError) as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from None
    except click.ClickException as error:
        click.echo(error.format_message(), err=True)
        raise SystemExit(error.exit_code) from None
