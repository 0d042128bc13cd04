"""One name for a partition, whichever library names it."""

from aiokafka import TopicPartition
from faust.types import TP

from pipeline.partition import Partition, by_topic


def test_partition_equals_those_of_faust_and_aiokafka():
    for other in (TP("t", 3), TopicPartition("t", 3)):
        assert Partition("t", 3) == other
        assert {other: "found"}[Partition("t", 3)] == "found"
        assert Partition("t", 4) != other


def test_partition_reads_like_a_path():
    assert f"{Partition('t', 3)}" == str(Partition("t", 3)) == "t/3"


def test_numbers_of_a_topic_are_in_order():
    found = by_topic([Partition("b", 2), Partition("a", 10), Partition("b", 1)])
    assert list(found.items()) == [("a", [10]), ("b", [1, 2])]
