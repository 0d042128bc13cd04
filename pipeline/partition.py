"""Which partition of which topic."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple


class Partition(NamedTuple):
    """A topic and the number of one of its partitions; as text `topic/number`.

    Equals the tuples of Faust (``TP``) and aiokafka (``TopicPartition``) and has their hash, so
    each works as a key in place of another.
    """

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


def by_topic(partitions: Iterable[Partition]) -> dict[str, list[int]]:
    """The partitions' numbers by topic, both sorted; rows are locked in this order."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for topic, number in sorted(partitions):
        found[topic].append(number)
    return found


def total_lag(lags: Iterable[int | None]) -> int | None:
    """The sum of partitions' lags; None if one of them is not known, or there is none."""
    found = [*lags]
    known = [lag for lag in found if lag is not None]
    return sum(known) if found and len(known) == len(found) else None
