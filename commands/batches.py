"""`faust -A app batches`: the ledger, as a table."""

from collections.abc import Sequence
from typing import Any

import click
import faust
from faust.cli import option
from sqlalchemy import Engine, Row

from commands.outcome import or_exit
from db.ledger import last_batches
from pipeline.batch import empty_drops


def batches(app: faust.App, engine: Engine, group: str) -> None:
    """Register the command."""

    @app.command(
        option("--limit", type=click.IntRange(1), default=20, help="How many are shown."),
        name="batches",
    )
    async def batches(self: Any, limit: int) -> None:
        """Show the last batches of all workers, the newest first."""
        with or_exit():
            found = last_batches(engine, group, limit)
            self.say(self.tabulate(_lines(found), headers=_HEADERS))


_HEADERS = [
    "written (UTC)",
    "worker",
    "batch",
    "events",
    "rows",
    *empty_drops(),
    "duplicate",
    "filled",
    "repaired",
    "revenue",
    "s",
]


def _lines(found: Sequence[Row[Any]]) -> list[list[str]]:
    return [
        [
            f"{batch.written:%Y-%m-%d %H:%M:%S}",
            batch.worker,
            str(batch.number),
            str(batch.events),
            str(batch.valid),
            *(str(getattr(batch, reason)) for reason in empty_drops()),
            str(batch.duplicate),
            str(sum(batch.filled.values())),
            str(sum(batch.repaired.values())),
            f"{batch.revenue:.2f}",
            f"{batch.seconds:.2f}",
        ]
        for batch in found
    ]
