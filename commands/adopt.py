"""Continues where another job stopped, by its checkpoint or by the rows it has stored."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from commands.moves import Move, Say
from config.settings import Settings
from pipeline.errors import FatalError
from pipeline.partition import Partition
from pipeline.record import Record
from pipeline.stream import Stream
from source.log_reader import Bounds
from source.log_tail import Tail, Verdict
from source.spark_checkpoint import SparkCheckpoint
from source.start_offsets import RESET_HINT


def of_checkpoint(
    checkpoint: SparkCheckpoint,
    stored: Mapping[Partition, int],
    bounds: Mapping[Partition, Bounds],
) -> dict[Partition, Move]:
    """The moves to where the job of a checkpoint stopped.

    Raises:
        FatalError: the checkpoint belongs to another topic of the same name.
    """
    for partition, offset in sorted(checkpoint.next_offsets.items()):
        if partition not in bounds:
            raise FatalError(
                f"The checkpoint has {partition}, but Kafka does not: check that KAFKA_URL "
                "and TOPIC are the job's."
            )
        if offset > bounds[partition].end:
            raise FatalError(
                f"The job stopped at {offset} in {partition}, but the log ends at "
                f"{bounds[partition].end}: check that KAFKA_URL and TOPIC are the job's. If they "
                f"are, the topic was recreated. {RESET_HINT}"
            )
    return {
        partition: _move(checkpoint, stored.get(partition), partition, found)
        for partition, found in bounds.items()
    }


def _move(
    checkpoint: SparkCheckpoint, stored: int | None, partition: Partition, bounds: Bounds
) -> Move:
    offset = checkpoint.next_offsets.get(partition)
    if offset is None:
        remark = "not in the checkpoint: read from its beginning, as Spark would"
        return Move(stored, bounds.beginning, bounds, remark=remark)
    gone = bounds.beginning - offset
    remark = f"{gone} events were removed by Kafka's retention" if gone > 0 else ""
    return Move(stored, offset, bounds, remark=remark)


def explain_checkpoint(
    settings: Settings, checkpoint: SparkCheckpoint, moves: Mapping[Partition, Move], say: Say
) -> None:
    """Say which batches a checkpoint has, and what an uncommitted one means."""
    written = datetime.fromtimestamp(checkpoint.written, UTC)
    last = (
        "no batch is committed"
        if checkpoint.committed is None
        else f"batch {checkpoint.committed} is the last one committed"
    )
    say(f"Checkpoint: {last}; last written {written:%Y-%m-%dT%H:%M:%SZ}. {_later_writes(settings)}")
    if not checkpoint.planned:
        return
    where = ", ".join(
        f"{partition} from {moves[partition].new} to {end - 1}"
        for partition, end in sorted(checkpoint.planned_ends.items())
        if partition in moves and end > moves[partition].new
    )
    number = " to ".join(dict.fromkeys(map(str, (checkpoint.planned[0], checkpoint.planned[-1]))))
    todo = (
        "Those already stored are skipped, as DEDUPLICATE is true."
        if settings.deduplicate
        else "To skip those already stored, set DEDUPLICATE=true and run `faust -A app migrate` "
        "before a worker starts. Otherwise they are stored twice."
    )
    say(
        f"Batch {number} was planned but not committed: all, some or none of its events are stored "
        f"({where or 'it has none'}). They are read again. {todo}"
    )


def _later_writes(settings: Settings) -> str:
    if settings.deduplicate:
        return "Whatever the job still writes is skipped, as DEDUPLICATE is true."
    return "Stop the job first: whatever it still writes is stored twice."


#: Newest rows of the table whose ids are searched for in the topic.
NEWEST = 200_000


def is_stored(stream: Stream, ids: Collection[str]) -> Verdict:
    """A function that says whether a record's event has one of these ids."""
    key = stream.columns.index(stream.key or "")

    def verdict(record: Record) -> bool | None:
        row = stream.transform(record.value)
        return row[0][key] in ids if isinstance(row, tuple) else None

    return verdict


def of_table(
    tails: Mapping[Partition, Tail],
    stored: Mapping[Partition, int],
    bounds: Mapping[Partition, Bounds],
) -> dict[Partition, Move]:
    """The moves to after the last stored event of each partition.

    Raises:
        FatalError: a partition has no stored event.
    """
    moves = {}
    for partition, tail in tails.items():
        found = bounds[partition]
        if tail.offset is None and not tail.is_whole:
            raise FatalError(
                f"None of the last {tail.looked_at} events of {partition} is "
                f"among the newest {NEWEST} rows: check that DATABASE_URL and TOPIC are the job's. "
                "If they are, use `faust -A app offsets reset --to` with the time at which it "
                "stopped."
            )
        new = found.beginning if tail.offset is None else tail.offset + 1
        moves[partition] = Move(stored.get(partition), new, found, remark=_how_sure(tail))
    return moves


def _how_sure(tail: Tail) -> str:
    if not tail.looked_at:
        return "sure: its log is empty"
    if tail.offset is None:
        return (
            f"not sure: none of its {tail.looked_at} events is among the newest rows, so read from "
            "its beginning"
        )
    if tail.missing:
        return (
            f"not sure: event {tail.offset} is the last one stored, but {tail.missing} of the "
            f"{tail.before} events before it are not among the newest rows"
        )
    return f"sure: event {tail.offset} is the last one stored, and so are {tail.before} before it"


def explain_table(settings: Settings, ids: int, say: Say) -> None:
    """Say what is searched, and how to read the proposal made from the table.

    Raises:
        FatalError: the table has no event ids.
    """
    if not ids:
        raise FatalError(
            "The table has no event ids to find where the job stopped: use `faust -A app offsets "
            "reset --to` with the time at which it stopped."
        )
    unsure = (
        "An earlier offset is safe, as DEDUPLICATE skips what is stored."
        if settings.deduplicate
        else "An earlier offset is safe with DEDUPLICATE=true (and `faust -A app migrate`)."
    )
    say(
        f"Searching the topic for the table's newest {ids} event ids. "
        f'{_later_writes(settings)} "Not sure" means that the job has lost events or a producer '
        f"has sent some twice. {unsure}"
    )
