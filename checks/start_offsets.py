"""Compares stored offsets with the log: can a worker continue, and where?"""

from collections.abc import Mapping

from checks.result import CheckResults
from db.write.offsets import OffsetStore
from pipeline.partition import Partition
from source.log_reader import Bounds
from source.start_offsets import RESET_HINT


def check_offsets(
    store: OffsetStore,
    topic: str,
    bounds: Mapping[Partition, Bounds],
    results: CheckResults,
    *,
    from_beginning: bool,
) -> None:
    """Check every partition's stored offset.

    Args:
        store: the group's offsets.
        topic: its name.
        bounds: of the topic's logs.
        results: the outcome is added to these.
        from_beginning: whether a new group starts at a log's beginning.
    """
    subject = "Stored offsets"
    with results.about(subject):
        stored = store.read(topic)
        if not stored:
            where = "beginning" if from_beginning else "end"
            results.ok(subject, f"none: a new group starts at the log's {where}")
            return
        beyond = [one for one, at in stored.items() if at > _end(bounds, one)]
        if beyond:
            partition = min(beyond)
            results.fail(
                subject,
                f"{partition} is stored up to {stored[partition]}, but its log ends at "
                f"{_end(bounds, partition)}, so the topic was recreated or truncated",
                RESET_HINT,
            )
            return
        known = {one: at for one, at in stored.items() if one in bounds}
        gone = sum(max(0, bounds[one].beginning - at) for one, at in known.items())
        if gone:
            results.warn(
                subject,
                f"{gone} events were removed by Kafka's retention before they were read",
                "raise the topic's retention.ms",
            )
            return
        lag = sum(bounds[one].end - at for one, at in known.items())
        results.ok(subject, f"{len(known)} partitions, {lag} events to read")


def _end(bounds: Mapping[Partition, Bounds], partition: Partition) -> int:
    return bounds[partition].end if partition in bounds else 0
