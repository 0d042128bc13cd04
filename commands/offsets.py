"""`faust -A app offsets`: what is stored, what the log has, and how to continue elsewhere."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import faust
from faust.cli import argument, option
from sqlalchemy import Engine

from commands import adopt
from commands.moves import Move, carry_out, effect
from commands.outcome import hush_kafka, or_exit
from commands.output import FORMS, Column, Form, Line, print_listing
from commands.times import FORMS as TIMES
from commands.times import parse
from config.settings import Settings
from db.reports import newest_ids
from db.write.offsets import OffsetStore
from pipeline.stream import Stream
from source.log_reader import Bounds
from source.spark_checkpoint import read_checkpoint
from source.topics import last_stored, offsets_at, replaced_logs, topic_bounds


def offsets(
    app: faust.App, settings: Settings, store: OffsetStore, engine: Engine, stream: Stream
) -> None:
    """Register the command."""

    @app.command(
        argument("action", type=click.Choice(["show", "reset", "adopt"])),
        option(
            "--to",
            help="`reset`: beginning, end, an offset, or a time, which means the first event at or "
            f"after it: {TIMES}.",
        ),
        option(
            "--partition",
            "partitions",
            multiple=True,
            type=int,
            help="`show`, `reset`: only these.",
        ),
        option(
            "--spark-checkpoint",
            "checkpoint",
            metavar="DIR",
            help="`adopt`: the checkpointLocation of the job that is replaced.",
        ),
        option(
            "--from-table",
            is_flag=True,
            help="`adopt`: without a checkpoint, by the newest event ids in the table.",
        ),
        option("--yes", is_flag=True, help="Do not ask."),
        option("--dry-run", is_flag=True, help="Say what would happen, and change nothing."),
        *FORMS,
        name="offsets",
    )
    async def offsets(
        self: Any,
        action: str,
        to: str | None,
        partitions: tuple[int, ...],
        checkpoint: str | None,
        from_table: bool,
        yes: bool,
        dry_run: bool,
        form: Form,
    ) -> None:
        """Show where the group stands in the topic, or make it continue elsewhere.

        `reset` continues at another place: going back stores events again, unless
        DEDUPLICATE=true, going forward leaves events out. It says how many, and asks. `adopt`
        continues where a Structured Streaming job stopped, and asks where the group has offsets
        already. A running worker notices within 10 s. Of offsets that went back it ends with exit
        status 1; started again, it continues from the new ones. Those that went forward it follows:
        it reads what lies between and stores none of it; started again, it does not read it.
        """
        hush_kafka()
        with or_exit():
            if form and action != "show":
                raise click.UsageError("--json and --csv are for `show`.")
            if action == "adopt":
                if from_table is bool(checkpoint) or partitions:
                    raise click.UsageError(
                        "`offsets adopt` needs --spark-checkpoint DIR or --from-table, and takes "
                        "all partitions."
                    )
                stored = store.read(settings.topic)
                if checkpoint:
                    job = read_checkpoint(checkpoint, settings.topic)
                    bounds = await topic_bounds(settings)
                    moves = adopt.of_checkpoint(settings, job, stored, bounds)
                    adopt.tell_checkpoint(settings, job, moves, self.say)
                else:
                    ids = newest_ids(engine, adopt.NEWEST)
                    adopt.tell_table(settings, len(ids), self.say)
                    bounds = await topic_bounds(settings)
                    tails = await last_stored(settings, bounds, adopt.is_stored(stream, ids))
                    moves = adopt.of_table(settings, tails, stored, bounds)
                ask = bool(stored) or from_table
                told = effect(moves, settings.deduplicate) if stored else _NEW
            else:
                bounds = await topic_bounds(settings)
                if unknown := set(partitions) - bounds.keys():
                    raise click.BadParameter(f"the topic has no partition {min(unknown)}")
                wanted = {one: bounds[one] for one in sorted(partitions or bounds)}
                stored = store.read(settings.topic)
                replaced = await replaced_logs(
                    settings, stored, store.last_records(settings.topic), wanted
                )
                if action == "show":
                    lines = _lines(stored, wanted, replaced, settings.starting_offsets)
                    print_listing(form, COLUMNS, lines)
                    return
                moves = await _reset(settings, to, stored, wanted, replaced)
                ask, told = True, effect(moves, settings.deduplicate)
            carry_out(
                settings, store, moves, self.say, told=told, ask=ask, yes=yes, dry_run=dry_run
            )


_NEW = "The group has no offsets yet: its first worker begins here."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = (
    Column("partition"),
    Column("stored", show=lambda at: "none" if at is None else str(at)),
    Column("log_begins", "log begins"),
    Column("log_ends", "log ends"),
    Column("to_read", "to read"),
    Column("remark"),
)


def _lines(
    stored: Mapping[int, int],
    bounds: Mapping[int, Bounds],
    replaced: Collection[int],
    starting_offsets: str,
) -> list[Line]:
    # A partition without an offset is read from its beginning, but of a group new to the topic.
    all_of_new = bool(stored) or starting_offsets == "earliest"
    lines: list[Line] = []
    for partition, found in bounds.items():
        at = stored.get(partition)
        first = found.beginning if all_of_new else found.end
        if at is not None and partition not in replaced:
            first = max(at, found.beginning)
        lines.append(
            {
                "partition": partition,
                "stored": at,
                "log_begins": found.beginning,
                "log_ends": found.end,
                "to_read": found.end - first,
                "remark": _remark(at, found, partition in replaced),
            }
        )
    return lines


def _remark(stored: int | None, bounds: Bounds, replaced: bool) -> str:
    if stored is None:
        return "not begun"
    if replaced and stored > bounds.end:
        return "beyond the log's end: topic recreated or truncated; reset it to beginning"
    if replaced:
        return "another log: topic recreated or truncated; reset it to beginning"
    if stored < bounds.beginning:
        return f"{bounds.beginning - stored} events gone by retention"
    if bounds.readable < bounds.end:
        return (
            f"open transaction from offset {bounds.readable} on: read_committed waits there for it"
        )
    return ""


async def _reset(
    settings: Settings,
    to: str | None,
    stored: Mapping[int, int],
    bounds: Mapping[int, Bounds],
    replaced: Collection[int],
) -> dict[int, Move]:
    """The moves of the partitions in ``bounds`` to the place that ``--to`` names."""
    if to is None:
        raise click.UsageError("Missing option '--to': beginning, end, an offset or a time?")
    moment = _moment(to)
    since = {} if moment is None else await offsets_at(settings, moment)
    moves = {}
    for partition, found in bounds.items():
        new, remark = (
            (_target(to, found), "") if moment is None else _since(since.get(partition), found)
        )
        moves[partition] = Move(stored.get(partition), new, found, partition in replaced, remark)
    return moves


def _target(to: str, bounds: Bounds) -> int:
    if to == "beginning":
        return bounds.beginning
    if to == "end":
        return bounds.end
    if to.isdecimal() and bounds.beginning <= int(to) <= bounds.end:
        return int(to)
    raise click.BadParameter(
        f"--to must be beginning, end or an offset from {bounds.beginning} to {bounds.end}, "
        f"or a time: {TIMES}"
    )


def _moment(to: str) -> int | None:
    """The time as milliseconds since 1970, rounded up; None where it is none."""
    if to.isdecimal():
        return None
    try:
        return -((_EPOCH - parse(to)) // timedelta(milliseconds=1))
    except ValueError:
        return None


def _since(found: int | None, bounds: Bounds) -> tuple[int, str]:
    return (bounds.end, "no event since then") if found is None else (found, "")
