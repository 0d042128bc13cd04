"""Events fetched again by their offsets: few or many of them, in bounded parts."""

import asyncio

import pytest

from pipeline.partition import Partition
from source.log_reader import LogReader
from tests.helpers.events import delete_before

MIB = 1 << 20


@pytest.fixture
def refetch(broker, topic):
    """Fetches all of these offsets of partition 0; answers the parts."""

    async def read(offsets):
        logs = LogReader([broker.bootstrap], {})
        parts = []
        try:
            await logs.partitions(topic)
            while offsets:
                part = await logs.refetch(Partition(topic, 0), offsets)
                assert part.end > offsets[0], "it advances"
                parts.append(part)
                offsets = [offset for offset in offsets if offset >= part.end]
        finally:
            await logs.close()
        return parts

    return lambda offsets: asyncio.run(read(offsets))


def found(parts):
    return {record.offset: record.value for part in parts for record in part.records}


def test_any_of_them_are_found_as_they_were_sent(refetch, produce):
    values = [b"%d" % n + b"x" * (n % 7) for n in range(3000)]
    produce([(value, 0, b"k%d" % n) for n, value in enumerate(values)])
    for offsets in ([0], [2999], [5, 6, 1700, 2999], range(3000)):
        parts = refetch(list(offsets))
        assert found(parts) == {offset: values[offset] for offset in offsets}
        # The embedded broker answers with one batch, of which a slow producer makes several.
        assert len(parts) < 10, "the log is read a few times, not once for each"
    assert refetch([7])[0].records[0].key == b"k7"


def test_large_ones_come_in_parts(refetch, produce):
    # The embedded broker keeps no more.
    values = [b"%02d" % n * 100_000 for n in range(20)]
    produce([(value, 0) for value in values])
    parts = refetch(list(range(20)))
    assert found(parts) == dict(enumerate(values))
    sizes = [sum(len(one.value) for one in part.records) for part in parts]
    assert len(sizes) > 1
    assert max(sizes) < 1.5 * MIB
    assert found(refetch([3, 18])) == {3: values[3], 18: values[18]}


def test_what_the_log_has_not_is_told_at_once(refetch, produce):
    produce([(b"%d" % n, 0) for n in range(10)])
    [part] = refetch([10, 11, 500])
    assert (list(part.records), part.end) == ([], 501)
    assert found(refetch([8, 9, 10, 11])) == {8: b"8", 9: b"9"}


def test_what_retention_removed_is_passed_over_at_once(apache, refetch, produce, topic):
    produce([(b"%d" % n, 0) for n in range(100)])
    delete_before(apache, topic, 0, 60)
    parts = refetch(list(range(100)))
    assert found(parts) == {n: b"%d" % n for n in range(60, 100)}
    assert len(parts) == 2
