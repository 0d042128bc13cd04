"""`faust -A app batches` lists the ledger."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
import faust
from faust.cli import option
from sqlalchemy import Row

from commands.outcome import or_exit
from commands.output import FORMS, Column, Form, Line, print_listing
from commands.registry import Tools, needs
from commands.times import check_range, range_options, said_range
from config.load import DATABASE
from db.write.ledger import newest_batches
from pipeline.batch import empty_drops

#: Default number of lines of a table.
SHOWN = 20


@needs(DATABASE)
def batches(app: faust.App, tools: Tools) -> None:
    """Register the command."""

    @app.command(
        option(
            "--limit",
            type=click.IntRange(1),
            help=f"Maximum number. The default is {SHOWN} for a table, all for JSON and CSV.",
        ),
        *range_options("written"),
        *FORMS,
        name="batches",
    )
    async def batches(
        self: Any,
        limit: int | None,
        since: datetime | None,
        until: datetime | None,
        form: Form,
    ) -> None:
        """Show the last batches of all workers, newest first."""
        with or_exit():
            check_range(since, until)
            most = limit if limit or form else SHOWN
            found = newest_batches(tools.engine, tools.group, most, since, until)
            none = f"No batches{said_range('written', since, until) or ' yet'}."
            print_listing(form, COLUMNS, map(line, found), none=none)


def _sum(counts: Mapping[str, int]) -> str:
    return str(sum(counts.values()))


COLUMNS = (
    Column("written", "written (UTC)"),
    Column("worker"),
    Column("batch"),
    Column("events"),
    Column("rows"),
    Column("dropped", show=_sum),
    Column("duplicate", spare=True),
    Column("filled", show=_sum, spare=True),
    Column("repaired", show=_sum, spare=True),
    Column("revenue", spare=True),
    Column("seconds", "s"),
)


def line(batch: Row[Any]) -> Line:
    """A batch of the ledger, by column."""
    return {
        "written": batch.written,
        "worker": batch.worker,
        "batch": batch.number,
        "events": batch.events,
        "rows": batch.valid,
        "dropped": {reason: getattr(batch, reason) for reason in empty_drops()},
        "duplicate": batch.duplicate,
        "filled": batch.filled,
        "repaired": batch.repaired,
        "revenue": batch.revenue,
        "seconds": batch.seconds,
    }
