"""Events read again by their offsets: few or many of them, in bounded portions."""

import asyncio

import pytest

from source.log_reader import LogReader
from tests.helpers.events import delete_before

MIB = 1 << 20


@pytest.fixture
def reread(broker, topic):
    """Reads all of these offsets of partition 0; answers the portions."""

    async def read(offsets):
        logs = LogReader([broker.bootstrap], topic, {})
        portions = []
        try:
            await logs.partitions()
            while offsets:
                portion = await logs.reread(0, offsets)
                assert portion.end > offsets[0], "it advances"
                portions.append(portion)
                offsets = [offset for offset in offsets if offset >= portion.end]
        finally:
            await logs.close()
        return portions

    return lambda offsets: asyncio.run(read(offsets))


def found(portions):
    return {record.offset: record.value for portion in portions for record in portion.records}


def test_any_of_them_are_found_as_they_were_sent(reread, produce):
    values = [b"%d" % n + b"x" * (n % 7) for n in range(3000)]
    produce([(value, 0, b"k%d" % n) for n, value in enumerate(values)])
    for offsets in ([0], [2999], [5, 6, 1700, 2999], range(3000)):
        portions = reread(list(offsets))
        assert found(portions) == {offset: values[offset] for offset in offsets}
        # The embedded broker answers with one batch, of which a slow producer makes several.
        assert len(portions) < 10, "the log is read a few times, not once for each"
    assert reread([7])[0].records[0].key == b"k7"


def test_large_ones_come_in_portions(reread, produce):
    # The embedded broker keeps no more.
    values = [b"%02d" % n * 100_000 for n in range(20)]
    produce([(value, 0) for value in values])
    portions = reread(list(range(20)))
    assert found(portions) == dict(enumerate(values))
    sizes = [sum(len(one.value) for one in portion.records) for portion in portions]
    assert len(sizes) > 1
    assert max(sizes) < 1.5 * MIB
    assert found(reread([3, 18])) == {3: values[3], 18: values[18]}


def test_what_the_log_has_not_is_told_at_once(reread, produce):
    produce([(b"%d" % n, 0) for n in range(10)])
    [portion] = reread([10, 11, 500])
    assert (list(portion.records), portion.end) == ([], 501)
    assert found(reread([8, 9, 10, 11])) == {8: b"8", 9: b"9"}


def test_what_retention_removed_is_passed_over_at_once(apache, reread, produce, topic):
    produce([(b"%d" % n, 0) for n in range(100)])
    delete_before(apache, topic, 0, 60)
    portions = reread(list(range(100)))
    assert found(portions) == {n: b"%d" % n for n in range(60, 100)}
    assert len(portions) == 2
