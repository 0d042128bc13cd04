"""Which partition of which topic."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple


class Partition(NamedTuple):
    """A topic and the number of one of its partitions; as text `topic/number`.

    Equal to the tuples that Faust (``TP``) and aiokafka (``TopicPartition``) have for it, and
    hashed like them: each finds what is kept under another.
    """

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


def by_topic(partitions: Iterable[Partition]) -> dict[str, list[int]]:
    """The numbers of the partitions, by topic; both in order, in which rows are locked, too."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for topic, number in sorted(partitions):
        found[topic].append(number)
    return found
