"""`faust -A app offsets` compares stored offsets with the log, and changes them."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import faust
from faust.cli import argument, option

from commands import adopt
from commands.moves import Move, carry_out, describe
from commands.outcome import hush_kafka, or_exit
from commands.output import FORMS, Column, Form, Line, print_listing
from commands.registry import Tools, needs
from commands.times import FORMS as TIMES
from commands.times import parse
from config.load import DATABASE, KAFKA
from db.reports import newest_ids
from db.write.offsets import OffsetStore
from pipeline.partition import Partition
from source.cluster.auth import Cluster
from source.cluster.group import describe_group
from source.cluster.topics import last_stored, offsets_at, replaced_logs, topic_bounds
from source.log_reader import Bounds
from source.spark_checkpoint import read_checkpoint


@needs(KAFKA, DATABASE)
def offsets(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    settings, cluster, topic = tools.settings, tools.cluster, tools.topic
    engine, stream = tools.engine, tools.stream
    store = OffsetStore(engine, tools.group)

    @app.command(
        argument("action", type=click.Choice(["show", "reset", "adopt"])),
        option(
            "--to",
            help="`reset`: beginning, end, an offset, or a time for the first event at or after "
            f"it: {TIMES}.",
        ),
        option(
            "--partition",
            "partitions",
            multiple=True,
            type=int,
            help="`show`, `reset`: only this partition; may be repeated.",
        ),
        option(
            "--spark-checkpoint",
            "checkpoint",
            metavar="DIR",
            help="`adopt`: the replaced job's checkpointLocation.",
        ),
        option(
            "--from-table",
            is_flag=True,
            help="`adopt`: without a checkpoint, by the newest event ids in the table.",
        ),
        option("--yes", is_flag=True, help="Do not ask for confirmation."),
        option(
            "--force",
            is_flag=True,
            help="`reset`, `adopt`: although workers are in the group; says what they will do.",
        ),
        option("--dry-run", is_flag=True, help="Show what would happen without changing anything."),
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
        force: bool,
        dry_run: bool,
        form: Form,
    ) -> None:
        """Show the group's stored offsets in the topic, or change them.

        `reset` moves them: back, events are stored again unless DEDUPLICATE=true; forward, events
        are skipped. It says how many and asks. `adopt` moves them to where a Structured Streaming
        job stopped, and asks if the group already has offsets. Both refuse while workers are in
        the group. With --force, those notice within 10 s: if offsets moved back, they exit with
        status 1 and continue from the new ones after a restart. If they moved forward, they discard
        the skipped events as they read them; after a restart they do not read them.
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
                stored = store.read(topic)
                if checkpoint:
                    job = read_checkpoint(checkpoint, topic)
                    bounds = await topic_bounds(cluster, topic)
                    moves = adopt.of_checkpoint(job, stored, bounds)
                    adopt.explain_checkpoint(settings, job, moves, self.say)
                else:
                    ids = newest_ids(engine, adopt.NEWEST)
                    adopt.explain_table(settings, len(ids), self.say)
                    bounds = await topic_bounds(cluster, topic)
                    tails = await last_stored(cluster, topic, bounds, adopt.is_stored(stream, ids))
                    moves = adopt.of_table(tails, stored, bounds)
                ask = bool(stored) or from_table
                effect = describe(moves, settings.deduplicate) if stored else _NEW
            else:
                bounds = await topic_bounds(cluster, topic)
                named = {Partition(topic, number) for number in partitions}
                if unknown := named - bounds.keys():
                    number = min(unknown).number
                    raise click.BadParameter(f"the topic has no partition {number}")
                wanted = {one: bounds[one] for one in sorted(named or bounds)}
                stored = store.read(topic)
                replaced = await replaced_logs(
                    cluster, topic, stored, store.last_records(topic), wanted
                )
                if action == "show":
                    lines = _lines(stored, wanted, replaced, settings.starting_offsets)
                    print_listing(form, COLUMNS, lines)
                    return
                moves = await _reset(cluster, topic, to, stored, wanted, replaced)
                ask, effect = True, describe(moves, settings.deduplicate)
            carry_out(
                store,
                moves,
                self.say,
                effect=effect,
                group=await describe_group(cluster, topic, tools.group),
                ask=ask,
                yes=yes,
                force=force,
                dry_run=dry_run,
            )


_NEW = "The group has no offsets yet: its first worker starts here."
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
    stored: Mapping[Partition, int],
    bounds: Mapping[Partition, Bounds],
    replaced: Collection[Partition],
    starting_offsets: str,
) -> list[Line]:
    # A partition without an offset is read from its beginning, unless the group is new.
    all_of_new = bool(stored) or starting_offsets == "earliest"
    lines: list[Line] = []
    for partition, found in bounds.items():
        at = stored.get(partition)
        first = found.beginning if all_of_new else found.end
        if at is not None and partition not in replaced:
            first = max(at, found.beginning)
        lines.append(
            {
                "partition": partition.number,
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
        return f"{bounds.beginning - stored} events removed by retention"
    if bounds.readable < bounds.end:
        return f"open transaction at offset {bounds.readable}: read_committed waits for it"
    return ""


async def _reset(
    cluster: Cluster,
    topic: str,
    to: str | None,
    stored: Mapping[Partition, int],
    bounds: Mapping[Partition, Bounds],
    replaced: Collection[Partition],
) -> dict[Partition, Move]:
    """The moves of the partitions in ``bounds`` to what ``--to`` names."""
    if to is None:
        raise click.UsageError("Missing option '--to': give beginning, end, an offset or a time.")
    moment = _moment(to)
    since = {} if moment is None else await offsets_at(cluster, topic, moment)
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
    """A time as milliseconds since 1970, rounded up; None if it is not a time."""
    if to.isdecimal():
        return None
    try:
        return -((_EPOCH - parse(to)) // timedelta(milliseconds=1))
    except ValueError:
        return None


def _since(found: int | None, bounds: Bounds) -> tuple[int, str]:
    return (bounds.end, "no event since then") if found is None else (found, "")
