"""`faust -A app purge` deletes old rows while workers write."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import faust
from faust.cli import argument, option

from commands.confirm import confirm
from commands.outcome import or_exit
from commands.registry import Tools, needs
from commands.times import MOMENT, said
from config.load import DATABASE
from db.retention.purge import PURGED, Purge
from pipeline.background.housekeeping import rest

#: Rows counted in one query.
COUNTED = 100_000
#: A worker may look up the batches of its last writes.
LEAST = timedelta(days=1)


@needs(DATABASE)
def purge(app: faust.App, tools: Tools) -> None:
    """Register the command."""

    @app.command(
        argument("what", type=click.Choice(list(PURGED))),
        option(
            "--older-than",
            type=MOMENT,
            required=True,
            help="Delete what was stored before: 90d (ago), a day or a time.",
        ),
        option("--dry-run", is_flag=True, help="Show what would happen without changing anything."),
        option("--yes", is_flag=True, help="Do not ask for confirmation."),
        name="purge",
    )
    async def purge(self: Any, what: str, older_than: datetime, dry_run: bool, yes: bool) -> None:
        """Delete old events, dead letters or batches, in small portions.

        It rests most of the time, so that writers lose little; Ctrl-C ends it, and it may be run
        again. Sales sums stay. Rows that are not summed yet are kept, and dead letters
        while a replay runs. Dead letters and batches are this consumer group's.
        """
        purger = Purge(tools.engine, tools.group, sums=tools.settings.rollup_interval > 0)
        name, ages = what.replace("-", " "), {what: older_than}
        with or_exit():
            if older_than > datetime.now(UTC):
                raise click.UsageError(
                    f"--older-than means {said(older_than)}, which is in the future."
                )
            if what == "batches" and older_than > datetime.now(UTC) - LEAST:
                raise click.UsageError(
                    "Batches of the last day are kept, since workers look them up: write "
                    "`--older-than 1d` or more."
                )
            found = list(purger.run(ages, dry_run=True, most=COUNTED))
            rows, pending = sum(one.rows for one in found), sum(one.pending for one in found)
            never = f", {pending} of them not replayed" if pending else ""
            old = f"{rows} {name} stored before {said(older_than)}{never}"
            if dry_run or not rows:
                self.say(f"{old}: {'would be deleted' if rows else 'nothing to delete'}.")
                return
            confirm(f"This permanently deletes {old}.", "Delete them?", yes)
            gone, hidden = 0, not sys.stderr.isatty()
            with click.progressbar(
                length=rows, label="Deleting", file=sys.stderr, hidden=hidden
            ) as bar:
                for portion in purger.run(ages):
                    gone += portion.rows
                    bar.update(portion.rows)
                    await asyncio.sleep(0 if portion.is_last else rest(portion))
            self.say(f"{gone} {name} stored before {said(older_than)} deleted.")
