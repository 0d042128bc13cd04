"""Offsets and the like by partition, for tests that tell partitions of one topic by number."""

from collections.abc import Mapping
from typing import TypeVar

from pipeline.partition import Partition

T = TypeVar("T")


def of_topic(topic: str, values: Mapping[int, T]) -> dict[Partition, T]:
    """The values of a topic's partitions, given by number."""
    return {Partition(topic, number): value for number, value in values.items()}
