"""`faust -A app rollup` shows how far the sales sums are, and purges or rebuilds them."""

from datetime import datetime
from typing import Any

import click
import faust
from faust.cli import argument, option

from commands.confirm import confirm
from commands.outcome import or_exit
from commands.output import FORMS, Column, Form, Line, print_record
from commands.registry import Tools, needs
from commands.times import FORMS as TIMES
from commands.times import MOMENT, said
from config.load import DATABASE
from db.rollup.rounds import Kept, Rollup


@needs(DATABASE)
def rollup(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    sums = Rollup(tools.engine, tools.settings.rollup_interval, tools.queries)

    @app.command(
        argument("action", type=click.Choice(["show", "purge", "rebuild"])),
        option("--before", type=MOMENT, help=f"`purge`: sums that ended by then: {TIMES}."),
        option("--yes", is_flag=True, help="Do not ask for confirmation."),
        *FORMS,
        name="rollup",
    )
    async def rollup(
        self: Any, action: str, before: datetime | None, yes: bool, form: Form
    ) -> None:
        """Show how far the sales sums are, purge old ones, or rebuild all of them.

        A purge deletes sums, not rows. Late events create new sums for a purged time. A rebuild
        sums all existing rows again, purged times included: what was summed of rows that are gone
        will be missing. A worker does it in the background;
        until then the views show the old sums.
        """
        with or_exit():
            if form and action != "show":
                raise click.UsageError("--json and --csv are for `show`.")
            if action == "purge":
                if before is None:
                    raise click.UsageError("Missing option '--before': give a time.")
                end = before.replace(tzinfo=None)
                old = _counted(*sums.purge(end, dry_run=True))
                kept = sums.kept()
                late = f" {_behind(kept)} Old ones among them will create new sums."
                confirm(
                    f"This deletes {old}, all that ended by {said(before)}."
                    f"{late if kept.progress.behind else ''}",
                    "Delete them?",
                    yes,
                )
                self.say(f"Deleted: {_counted(*sums.purge(end))}.")
            elif action == "rebuild":
                newest = sums.kept().progress.newest
                confirm(
                    f"This sums all rows up to id {newest} again, those of purged sums too. What "
                    "was summed of rows that are gone, as after `purge events`, will be missing.",
                    "Sum them?",
                    yes,
                )
                sums.rebuild()
                self.say("A worker will sum all rows again; `rollup show` shows its progress.")
            elif form:
                print_record(form, COLUMNS, line(sums.kept()))
            else:
                self.say(_text(sums.kept()))


COLUMNS = tuple(
    map(
        Column,
        [
            "summed_to",
            "newest",
            "behind",
            "seconds",
            "minutes",
            "oldest",
            "products",
            "categories",
            "categories_behind",
            "error",
        ],
    )
)


def line(kept: Kept) -> Line:
    """How far the sums are, by column."""
    return {
        "summed_to": kept.progress.summed_to,
        "newest": kept.progress.newest,
        "behind": kept.progress.behind,
        "seconds": kept.progress.seconds,
        "minutes": kept.minutes,
        "oldest": kept.oldest,
        "products": kept.products,
        "categories": kept.categories,
        "categories_behind": kept.progress.categories_behind,
        "error": kept.progress.error,
    }


def _counted(minutes: int, products: int, categories: int) -> str:
    return (
        f"sums of {minutes} minutes, {products} products' hours and {categories} categories' "
        "minutes"
    )


def _behind(kept: Kept) -> str:
    return f"Not summed yet: {kept.progress.behind} rows, counted by their ids."


def _text(kept: Kept) -> str:
    found = kept.progress
    oldest = f", the oldest {kept.oldest:%Y-%m-%d %H:%M}" if kept.oldest else ""
    lines = [
        f"Summed up to id {found.summed_to}; the newest row has id {found.newest}.",
        _behind(kept),
        f"Kept: sums of {kept.minutes} minutes{oldest}, of {kept.products} products' hours, and of "
        f"{kept.categories} categories' minutes.",
    ]
    if found.categories_behind:
        lines.append(
            f"The sums by category and minute lack {found.categories_behind} rows, counted by "
            "their ids: a worker is adding them."
        )
    if found.error:
        lines.append(f"Error: {found.error}")
    return "\n".join(lines)
