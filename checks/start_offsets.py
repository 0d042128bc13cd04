"""Compares stored offsets with the log: can a worker continue, and where?"""

from collections.abc import Mapping

from checks.result import CheckResults
from config.settings import Settings
from db.write.offsets import OffsetStore
from source.log_reader import Bounds
from source.start_offsets import RESET_HINT


def check_offsets(
    settings: Settings, store: OffsetStore, bounds: Mapping[int, Bounds], results: CheckResults
) -> None:
    """Check every partition's stored offset."""
    subject = "Stored offsets"
    with results.about(subject):
        stored = store.read(settings.topic)
        if not stored:
            where = "beginning" if settings.starting_offsets == "earliest" else "end"
            results.ok(subject, f"none: a new group starts at the log's {where}")
            return
        beyond = [number for number, at in stored.items() if at > _end(bounds, number)]
        if beyond:
            number = min(beyond)
            results.fail(
                subject,
                f"{settings.topic}/{number} is stored up to {stored[number]}, but its log ends at "
                f"{_end(bounds, number)}, so the topic was recreated or truncated",
                RESET_HINT,
            )
            return
        known = {number: at for number, at in stored.items() if number in bounds}
        gone = sum(max(0, bounds[number].beginning - at) for number, at in known.items())
        if gone:
            results.warn(
                subject,
                f"{gone} events were removed by Kafka's retention before they were read",
                "raise the topic's retention.ms",
            )
            return
        lag = sum(bounds[number].end - at for number, at in known.items())
        results.ok(subject, f"{len(known)} partitions, {lag} events to read")


def _end(bounds: Mapping[int, Bounds], number: int) -> int:
    return bounds[number].end if number in bounds else 0
