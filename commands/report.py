"""`faust -A app report` says what happened in a span of time."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import faust
from faust.cli import option

from checks.report import PAUSE, Report, read_report
from commands import batches
from commands.outcome import or_exit
from commands.output import (
    FORMS,
    Column,
    Form,
    Line,
    cell,
    print_json,
    print_listing,
    table,
    terminal_width,
)
from commands.registry import Tools, needs
from commands.times import FORMS as TIMES
from commands.times import MOMENT, check_range
from config.load import DATABASE


@needs(DATABASE)
def report(app: faust.App, tools: Tools) -> None:
    """Register the command."""

    @app.command(
        option("--since", type=MOMENT, help=f"From then on, 1h by default: {TIMES}."),
        option("--until", type=MOMENT, help="Up to then; now by default."),
        *FORMS,
        name="report",
    )
    async def report(self: Any, since: datetime | None, until: datetime | None, form: Form) -> None:
        """Say what happened: batches, drops, repairs, outages, rebalances, workers, slow writes.

        From the ledger, dead letters and what workers noted, on the database's clock. `--csv` has
        a line for each event of a worker.
        """
        end = until or datetime.now(UTC)
        begin = since or end - timedelta(hours=1)
        with or_exit():
            check_range(begin, end)
            found = read_report(tools.engine, tools.group, tools.stream, begin, end)
        if form == "json":
            print_json(as_json(found))
        elif form == "csv":
            print_listing(form, HAPPENED, _happened(found))
        else:
            click.echo("\n".join(_text(found, terminal_width())))


DROPS = (
    Column("reason"),
    Column("field", "column"),
    Column("dead_letters", "dead letters"),
    Column("pending", "not replayed"),
    Column("example", "example id"),
    Column("position", spare=True),
    Column("detail", "why"),
)
REPAIRS = (
    Column("column"),
    Column("kind"),
    Column("values"),
    Column("share", "of rows", show=lambda share: f"{share:.2%}"),
    Column("most", "most in one batch"),
    Column("batch"),
    Column("written", "written (UTC)"),
    Column("worker", spare=True),
)
PAUSES = (
    Column("since", "from (UTC)"),
    Column("until", "to (UTC)"),
    Column("seconds", "s"),
)
HAPPENED = (
    Column("since", "from (UTC)"),
    Column("at", "at, or to (UTC)"),
    Column("kind", "what"),
    Column("number", "times"),
    Column("worker"),
    Column("detail"),
)
WORKERS = (
    Column("worker"),
    Column("version"),
    Column("started", "came (UTC)"),
    Column("ended", "went (UTC)"),
    Column("went", "how"),
    Column("batches"),
    Column("events"),
)


def as_json(found: Report) -> dict[str, Any]:
    """The whole report, by name."""
    return {
        "group": found.group,
        "since": found.since,
        "until": found.until,
        "batches": found.batches,
        "events": found.events,
        "rows": found.rows,
        "dropped": found.dropped,
        "duplicate": found.duplicate,
        "rate": found.rate,
        "busiest": found.busiest and {"minute": found.busiest[0], "rate": found.busiest[1]},
        "drops": [one._asdict() for one in found.drops],
        "repairs": [one._asdict() for one in found.repairs],
        "workers": [one._asdict() for one in found.workers],
        "pauses": [one._asdict() for one in found.pauses],
        "happened": _happened(found),
        "slowest": list(map(batches.line, found.slowest)),
    }


def _happened(found: Report) -> list[Line]:
    return [one._asdict() for one in found.happened]


def _text(found: Report, width: int | None) -> Iterator[str]:
    def listing(
        title: str, columns: Sequence[Column], lines: Sequence[Line], none: str
    ) -> Iterator[str]:
        yield f"\n{title}" if lines else f"\n{title}: {none}"
        if lines:
            text = table(columns, lines, width and width - 2)
            yield from (f"  {line}" for line in text.splitlines())

    yield f"{found.group}, {cell(found.since)} to {cell(found.until)} UTC"
    if found.batches:
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.dropped.items() if count)
        duplicates = f", {found.duplicate} duplicates" if found.duplicate else ""
        yield (
            f"{found.events} events in {found.batches} batches: {found.rows} rows, "
            f"{found.dropped.total()} dropped{f' ({reasons})' if reasons else ''}{duplicates}"
        )
    else:
        yield "No batch was stored."
    if found.busiest:
        yield (
            f"{found.rate:.1f} events/s on average, {found.busiest[1]:.1f} in the busiest minute, "
            f"{found.busiest[0]:%H:%M}"
        )
    lines = [one._asdict() for one in found.workers]
    yield from listing("Workers", WORKERS, lines, "none")
    yield from listing("What happened", HAPPENED, _happened(found), "nothing was noted")
    lines = [one._asdict() for one in found.pauses]
    yield from listing(f"More than {PAUSE:.0f} s without a batch", PAUSES, lines, "never")
    yield from listing("Dropped", DROPS, [one._asdict() for one in found.drops], "none")
    lines = [one._asdict() for one in found.repairs]
    yield from listing("Filled in and repaired", REPAIRS, lines, "none")
    slowest = list(map(batches.line, found.slowest))
    yield from listing("Slowest writes", batches.COLUMNS, slowest, "none")
