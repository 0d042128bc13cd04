"""`faust -A app status` shows the whole group at a glance, once or continuously."""

import asyncio
import sys
from functools import partial
from typing import Any

import click
import faust
from faust.cli import option

from checks import attention
from checks.attention import Limits
from checks.group_status import GroupStatus, read_status
from commands.outcome import hush_kafka, or_exit
from commands.output import FORMS, Form, print_json, print_listing, terminal_width
from commands.probe import probe_line
from commands.registry import Tools, needs
from commands.status_lines import PARTITIONS, as_json, as_text, partition_lines
from config.load import DATABASE, KAFKA

#: Seconds between updates of `--watch`.
PAUSE = 2.0
#: From when on something is listed, and when it is broken.
_LIMITS = (
    option(
        "--late",
        type=click.FloatRange(0),
        default=Limits().late,
        help="Seconds for which an event may wait before this needs attention.",
    ),
    option(
        "--broken-late",
        type=click.FloatRange(0),
        default=Limits().broken_late,
        help="The same, before it is broken.",
    ),
    option(
        "--waiting",
        type=click.IntRange(0),
        help="Events that may wait before this needs attention; the default is any number.",
    ),
    option("--broken-waiting", type=click.IntRange(0), help="The same, before it is broken."),
    option(
        "--dead-letters",
        type=click.IntRange(0),
        default=Limits().dead_letters,
        help="Dead letters that may be not replayed before this needs attention.",
    ),
)
#: Move the cursor home; clear the screen from there.
_HOME, _CLEAR = "\x1b[H", "\x1b[J"


@needs(KAFKA, DATABASE)
def status(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    read = partial(
        read_status,
        tools.settings,
        tools.cluster,
        tools.topic,
        tools.engine,
        tools.queries,
        quality=tools.stream.quality,
    )

    @app.command(
        option("--watch", is_flag=True, help="Update every 2 s, until Ctrl-C."),
        option(
            "--check",
            is_flag=True,
            help="Print one line for Nagios. The exit status is 0 if nothing needs attention, 1 if "
            "something does, 2 if events are not stored or it is not known.",
        ),
        *_LIMITS,
        *FORMS,
        name="status",
    )
    async def status(
        self: Any, watch: bool, check: bool, form: Form, **given: float | int | None
    ) -> None:
        """Show the whole group: workers, lag, batches, dead letters, and what needs attention.

        Reads from Kafka and the database, not from workers; changes nothing. Workers are those of
        the last hour, by their heartbeats. Rates are events per
        second: incoming ones over the last minute and, with `--watch`, stored ones. `--json` has
        everything, `--csv` one line per partition. The exit status is 1 if Kafka or the database
        cannot be read; for others see `--check`.
        """
        hush_kafka()
        with or_exit():
            if watch and form:
                raise click.UsageError("--watch does not work with --json or --csv.")
            if check and (watch or form):
                raise click.UsageError("--check does not work with --watch, --json or --csv.")
            limits = Limits(**given)  # type: ignore[arg-type]
        found = await read()
        if check:
            wanted = attention.needs(found, limits)
            click.echo(probe_line(found, wanted, limits))
            raise SystemExit(attention.level(wanted))
        if form == "json":
            print_json(as_json(found, limits))
        elif form == "csv":
            print_listing(form, PARTITIONS, partition_lines(found))
        else:
            _show(found, limits, clear=watch)
        while watch:
            await asyncio.sleep(PAUSE)
            found = await read(found)
            _show(found, limits, clear=True)
        if found.errors:
            raise SystemExit(1)


def _show(found: GroupStatus, limits: Limits, *, clear: bool) -> None:
    text = as_text(found, limits, terminal_width())
    if clear and sys.stdout.isatty():
        text = f"{_HOME}{_CLEAR}{text}"
    click.echo(f"{text}\n" if clear else text)
