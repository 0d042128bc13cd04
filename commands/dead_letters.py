"""`faust -A app dead-letters` shows dropped events, replays them or purges them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import click
import faust
from faust.cli import argument, option

from commands.confirm import confirm
from commands.dead_letter_lines import (
    LISTED,
    LISTED_BYTES,
    REFUSALS,
    SUMMARY,
    WHOLE,
    listed_line,
    whole,
    whole_line,
)
from commands.outcome import or_exit
from commands.output import FORMS, Column, Form, print_listing, print_record, remark
from commands.registry import Tools, needs
from commands.times import check_range, range_options, said_range
from config.load import DATABASE
from db.dead_letters.query import DeadLetters, Filter
from db.dead_letters.replay import Outcome, Replayer
from db.dead_letters.summary import Total, summarize, totals
from db.rollup import watermark
from pipeline.quality import Quality
from pipeline.stream import REASONS

#: Default number of dead letters in a table.
SHOWN = 20


class _Offsets(click.ParamType):
    """An offset, or a range of them."""

    name = "offsets"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, int | None]:
        if isinstance(value, tuple):
            return value
        first, dots, last = value.partition("..")
        ends = [first, last if dots else first]
        if not any(ends) or not all(end.isdecimal() or not end for end in ends):
            self.fail(f"{value!r} is not an offset (17) or a range (17..99).")
        low, high = (int(end) if end else None for end in ends)
        return low, high


@needs(DATABASE)
def dead_letters(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    engine, group, stream = tools.engine, tools.group, tools.stream
    replayer = Replayer(
        engine,
        group,
        stream,
        announce=watermark.join,
        deduplicate=tools.settings.deduplicate,
    )

    @app.command(
        argument("action", type=click.Choice(["list", "summary", "show", "replay", "purge"])),
        argument("ids", nargs=-1, type=int),
        option(
            "--reason",
            type=click.Choice(REASONS),
            help="Only those with this reason.",
        ),
        option("--topic", help="Only those of this topic."),
        option(
            "--partition",
            "partitions",
            multiple=True,
            type=int,
            help="Only those of this partition; may be repeated.",
        ),
        option(
            "--offset",
            "offsets",
            type=_Offsets(),
            default=(None, None),
            help="Only those at this offset or in a range, `17..99`; either end may be omitted.",
        ),
        *range_options("written"),
        option(
            "--column",
            type=click.Choice(stream.fields),
            help="Only those whose reason names this column.",
        ),
        option("--text", help="Only those with this text in the value or the reason."),
        option("--pending", is_flag=True, help="Only those not replayed yet."),
        option(
            "--limit",
            type=click.IntRange(1),
            help="Maximum number: the newest to show, the oldest to replay or purge. The default "
            f"is {SHOWN} for `list` and `show`, without limit for JSON and CSV.",
        ),
        option("--dry-run", is_flag=True, help="Show what would happen without changing anything."),
        option("--yes", is_flag=True, help="Do not ask for confirmation."),
        *FORMS,
        name="dead-letters",
    )
    async def dead_letters(
        self: Any,
        action: str,
        ids: tuple[int, ...],
        reason: str | None,
        topic: str | None,
        partitions: tuple[int, ...],
        offsets: tuple[int | None, int | None],
        since: datetime | None,
        until: datetime | None,
        column: str | None,
        text: str | None,
        pending: bool,
        limit: int | None,
        dry_run: bool,
        yes: bool,
        form: Form,
    ) -> None:
        """Show, replay or purge dropped events: all, or those with the given IDS.

        `list` prints one line for each, `summary` one for each day, reason and field, and `show`
        whole values. `replay` stores those that today's rules accept; its exit status is 1 if it
        stored none. `purge` deletes them permanently, and asks first.
        """
        wanted = Filter(
            ids, reason, topic, partitions, offsets, since, until, pending, column, text
        )
        letters = DeadLetters(engine, group)
        with or_exit():
            if dry_run and action not in ("replay", "purge"):
                raise click.UsageError("--dry-run is for `replay` and `purge`.")
            check_range(since, until)
            _require_ids(letters, ids)
            if action == "list":
                _list(letters, wanted, limit, form)
            elif action == "summary":
                found = [
                    one._asdict() for one in summarize(engine, group, wanted, stream.fields, limit)
                ]
                print_listing(form, SUMMARY, found, none="No dead letters.")
            elif action == "show":
                _show(letters, wanted, limit, form)
            elif action == "replay":
                count = _at_most(limit, letters.count(replace(wanted, pending=True)))
                with _progress(count, "Replaying") as progress:
                    outcome = replayer.replay(wanted, limit, dry_run=dry_run, progress=progress)
                _print_outcome(outcome, form, tools.stream.quality, would=dry_run)
                if not outcome.stored and not outcome.known and (ids or outcome.refused):
                    raise SystemExit(1)
            else:
                if form:
                    raise click.UsageError("--json and --csv are not for `purge`.")
                found_by_reason = totals(engine, group, wanted)
                count = _at_most(limit, sum(one.dead_letters for one in found_by_reason))
                if count:
                    effect = _purged(found_by_reason, count, group, wanted)
                    if dry_run:
                        self.say(f"{effect} Nothing was changed (--dry-run).")
                        return
                    confirm(effect, "Delete them?", yes)
                with _progress(count, "Deleting") as progress:
                    gone = letters.purge(wanted, limit, progress)
                self.say(f"{gone} deleted.")
                if ids and not gone:
                    raise SystemExit(1)


def _list(letters: DeadLetters, wanted: Filter, limit: int | None, form: Form) -> None:
    if form:
        print_listing(form, WHOLE, map(whole_line, letters.find(wanted, limit)))
        return
    found = letters.find(wanted, limit or SHOWN, max_bytes=LISTED_BYTES)
    print_listing(form, LISTED, map(listed_line, found), none="No dead letters.")
    count = letters.count(wanted)
    waiting = letters.count(replace(wanted, pending=True))
    remark(form, f"{count} in total, {waiting} not replayed.")


def _show(letters: DeadLetters, wanted: Filter, limit: int | None, form: Form) -> None:
    if form:
        print_listing(form, WHOLE, map(whole_line, letters.find(wanted, limit)))
        return
    nothing = True
    for letter in letters.find(wanted, limit or SHOWN):
        click.echo(whole(letter))
        nothing = False
    if nothing:
        click.echo("No dead letters.")


def _require_ids(letters: DeadLetters, ids: Sequence[int]) -> None:
    """Report ids that are not dead letters of the group; raise if none is."""
    if not ids:
        return
    existing = letters.existing(ids)
    missing = sorted(set(ids) - existing)
    if missing:
        named = ", ".join(map(str, missing))
        what = f"No dead letter of this consumer group has the id {named}."
        if not existing:
            raise click.ClickException(what)
        click.echo(what, err=True)


def _print_outcome(outcome: Outcome, form: Form, quality: Quality, *, would: bool) -> None:
    refused = [
        {
            "reason": reason,
            "dead_letters": one.dead_letters,
            "example": one.example,
            "why": one.detail,
        }
        for (reason, _), one in sorted(
            outcome.refused.items(), key=lambda item: -item[1].dead_letters
        )
    ]
    if form == "json":
        columns = tuple(map(Column, ["stored", "known", "refused", "filled", "repaired"]))
        counts = {
            "stored": outcome.stored,
            "known": outcome.known,
            "refused": refused,
            "filled": dict(outcome.filled),
            "repaired": dict(outcome.repaired),
        }
        print_record(form, columns, counts)
        return
    conditional = "would be " if would else ""
    known = f"{outcome.known} {conditional}skipped (already stored), " if outcome.known else ""
    said = (
        f"{outcome.stored} {conditional}stored as rows, {known}"
        f"{outcome.total_refused} {conditional}refused again."
    )
    if refused or form:
        print_listing(form, REFUSALS, refused)
    remark(form, said)
    for one in quality.shares(outcome.stored, outcome.filled, outcome.repaired):
        remark(form, f"Of the rows {'that would be ' if would else ''}stored, {one.sentence()}.")


def _purged(found: Sequence[Total], count: int, group: str, wanted: Filter) -> str:
    """What a purge deletes, as a sentence."""
    everything = sum(one.dead_letters for one in found)
    waiting = sum(one.pending for one in found)
    reasons = ", ".join(f"{one.dead_letters} {one.reason}" for one in found)
    which = f"the oldest {count} of {everything}" if count < everything else str(count)
    when = said_range("written", wanted.since, wanted.until)
    return (
        f"This permanently deletes {which} dead letters of consumer group {group}{when}: "
        f"{reasons}; {waiting} not replayed."
    )


def _at_most(limit: int | None, count: int) -> int:
    return count if limit is None else min(limit, count)


@contextmanager
def _progress(count: int, label: str) -> Iterator[Any]:
    """A progress bar, hidden if there is no terminal; yields the function that advances it."""
    hidden = not sys.stderr.isatty() or not count
    with click.progressbar(length=count, label=label, file=sys.stderr, hidden=hidden) as bar:
        yield bar.update
