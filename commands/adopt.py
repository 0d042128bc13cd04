"""Going on where another job stopped: by its checkpoint, or by the rows it has stored."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from commands.moves import Move, Say
from config.settings import Settings
from pipeline.errors import FatalError
from pipeline.record import Record
from pipeline.stream import Stream
from source.log_reader import Bounds
from source.log_tail import Tail, Verdict
from source.spark_checkpoint import SparkCheckpoint
from source.start_offsets import RESET_HINT


def of_checkpoint(
    settings: Settings,
    checkpoint: SparkCheckpoint,
    stored: Mapping[int, int],
    bounds: Mapping[int, Bounds],
) -> dict[int, Move]:
    """The moves to where the job of a checkpoint stopped.

    Raises:
        FatalError: the checkpoint is of another topic under the same name.
    """
    topic = settings.topic
    for partition, offset in sorted(checkpoint.next_offsets.items()):
        if partition not in bounds:
            raise FatalError(
                f"The checkpoint has {topic}/{partition}, and Kafka has not: see that KAFKA_URL "
                "and TOPIC are those of the job."
            )
        if offset > bounds[partition].end:
            raise FatalError(
                f"The job stopped at {offset} in {topic}/{partition}, but the log ends at "
                f"{bounds[partition].end}: see that KAFKA_URL and TOPIC are those of the job. If "
                f"they are, the topic was recreated since. {RESET_HINT}"
            )
    return {
        partition: _move(checkpoint, stored.get(partition), partition, found)
        for partition, found in bounds.items()
    }


def _move(checkpoint: SparkCheckpoint, stored: int | None, partition: int, bounds: Bounds) -> Move:
    offset = checkpoint.next_offsets.get(partition)
    if offset is None:
        remark = "not in the checkpoint: from its beginning, as Spark would"
        return Move(stored, bounds.beginning, bounds, remark=remark)
    gone = bounds.beginning - offset
    remark = f"{gone} events were removed by Kafka's retention meanwhile" if gone > 0 else ""
    return Move(stored, offset, bounds, remark=remark)


def tell_checkpoint(
    settings: Settings, checkpoint: SparkCheckpoint, moves: Mapping[int, Move], say: Say
) -> None:
    """Say which batches a checkpoint has, and what one that is not committed means."""
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
        f"{settings.topic}/{partition} from {moves[partition].new} to {end - 1}"
        for partition, end in sorted(checkpoint.planned_ends.items())
        if partition in moves and end > moves[partition].new
    )
    number = " to ".join(dict.fromkeys(map(str, (checkpoint.planned[0], checkpoint.planned[-1]))))
    todo = (
        "DEDUPLICATE is true, so those that are stored are left out: nothing needs doing."
        if settings.deduplicate
        else "Set DEDUPLICATE=true and run `faust -A app migrate` before a worker starts: then "
        "those that are stored are left out. Without it they are stored twice."
    )
    say(
        f"Batch {number} was planned and not committed: all, some or none of its events are stored "
        f"({where or 'it has none'}). They are read again. {todo}"
    )


def _later_writes(settings: Settings) -> str:
    if settings.deduplicate:
        return "What the job writes from now on is left out, as DEDUPLICATE is true."
    return "The job must be stopped: what it writes from now on is stored twice."


#: Rows of the table whose ids are looked for in the topic.
NEWEST = 200_000


def is_stored(stream: Stream, ids: Collection[str]) -> Verdict:
    """Tells whether the event of a record is among those with these ids."""
    key = stream.columns.index(stream.key or "")

    def verdict(record: Record) -> bool | None:
        row = stream.transform(record.value)
        return row[0][key] in ids if isinstance(row, tuple) else None

    return verdict


def of_table(
    settings: Settings,
    tails: Mapping[int, Tail],
    stored: Mapping[int, int],
    bounds: Mapping[int, Bounds],
) -> dict[int, Move]:
    """The moves to after the last event of each partition that is stored.

    Raises:
        FatalError: of some partition none was found.
    """
    moves = {}
    for partition, tail in tails.items():
        found = bounds[partition]
        if tail.offset is None and not tail.is_whole:
            raise FatalError(
                f"None of the last {tail.looked_at} events of {settings.topic}/{partition} is "
                f"among the newest {NEWEST} rows: see that DATABASE_URL and TOPIC are those of the "
                "job. If they are, use `faust -A app offsets reset --to` with the time at which it "
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
            f"not sure: none of its {tail.looked_at} events is among the newest rows, so from its "
            "beginning"
        )
    if tail.missing:
        return (
            f"not sure: event {tail.offset} is the last one stored, but {tail.missing} of the "
            f"{tail.before} events before it are not among the newest rows"
        )
    return f"sure: event {tail.offset} is the last one stored, and so are {tail.before} before it"


def tell_table(settings: Settings, ids: int, say: Say) -> None:
    """Say what is looked for, and what a proposal made from the table means.

    Raises:
        FatalError: there was nothing to make it from.
    """
    if not ids:
        raise FatalError(
            "The table has no event ids, so nothing tells where the job stopped: use `faust -A app "
            "offsets reset --to` with the time at which it did."
        )
    unsure = (
        "DEDUPLICATE leaves out what is stored, so an earlier place is safe."
        if settings.deduplicate
        else "With DEDUPLICATE=true (and `faust -A app migrate`) an earlier place would be safe."
    )
    say(
        f"Looking for the newest {ids} event ids of the table in the topic. "
        f'{_later_writes(settings)} Where it says "not sure", the job has lost events or a '
        f"producer has sent some twice. {unsure}"
    )
