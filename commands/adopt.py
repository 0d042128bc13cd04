"""Going on where another job stopped."""

from collections.abc import Mapping
from datetime import UTC, datetime

from commands.moves import Move, Say
from config.settings import Settings
from pipeline.errors import FatalError
from source.log_reader import Bounds
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
    say(
        f"Checkpoint: {last}; last written {written:%Y-%m-%dT%H:%M:%SZ}. The job must be stopped: "
        "what it writes from now on is stored twice."
    )
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
