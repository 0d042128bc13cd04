"""A batch of another leader epoch is delivered only if the log still has what was read before."""

import asyncio

import pytest
from aiokafka.errors import NodeNotReadyError
from faust.types import TP

from pipeline.record import LastRecord
from source import continuity
from source.continuity import Continuity
from source.start_offsets import OtherLogError

ONE = TP("t", 0)
READ = LastRecord(offset=9, epoch=2, timestamp=1000, checksum=7)


class Logs:
    """A log that has this record, or raises this; counts how often it is asked."""

    def __init__(self, answer=READ, before=lambda: None):
        self.answer = answer
        self.before = before
        self.asked = 0

    async def identify(self, records):
        self.asked += 1
        self.before()
        if isinstance(self.answer, Exception):
            raise self.answer
        return dict.fromkeys(records, self.answer)


def having_read(logs):
    found = Continuity(logs)
    found.begin({ONE: READ})
    return found


async def test_the_log_is_asked_once_for_each_new_epoch():
    logs = Logs()
    found = having_read(logs)
    await found.compare({ONE: 2})
    assert logs.asked == 0
    assert not found.is_known(ONE, 3)
    await found.compare({ONE: 3})
    assert found.is_known(ONE, 3)
    await found.compare({ONE: 3})
    assert logs.asked == 1
    found.read(ONE, READ._replace(offset=15, epoch=3))
    assert not found.is_known(ONE, 2), "a topic that was made again begins with lower ones"


@pytest.mark.parametrize("change", [{"epoch": 3}, {"timestamp": 1}, {"checksum": 1}])
async def test_another_record_in_its_place_ends_reading(change):
    found = having_read(Logs(READ._replace(**change)))
    with pytest.raises(OtherLogError, match=r"t/0 has another record at offset 9.*offsets reset"):
        await found.compare({ONE: 3})
    assert not found.is_known(ONE, 3)


async def test_a_record_that_is_gone_is_not_compared():
    found = having_read(Logs(None))
    await found.compare({ONE: 3})
    assert found.is_known(ONE, 3)


async def test_nothing_is_delivered_while_the_log_does_not_answer(monkeypatch):
    monkeypatch.setattr(continuity, "ANSWER_TIMEOUT", 0.01)
    logs = Logs(NodeNotReadyError("gone"))
    found = having_read(logs)
    await found.compare({ONE: 3})
    assert not found.is_known(ONE, 3)
    logs.answer = READ
    monkeypatch.setattr(logs, "identify", lambda records: asyncio.sleep(1))
    await found.compare({ONE: 3})
    assert not found.is_known(ONE, 3)


async def test_an_answer_from_before_a_seek_is_ignored():
    logs = Logs(READ._replace(checksum=1))
    found = having_read(logs)
    elsewhere = READ._replace(offset=99)
    logs.before = lambda: found.begin({ONE: elsewhere})
    await found.compare({ONE: 3})
    assert not found.is_known(ONE, 3)


async def test_where_nothing_was_read_before_all_is_delivered():
    logs = Logs()
    found = Continuity(logs)
    found.begin({ONE: None})
    await found.compare({ONE: 3})
    assert found.is_known(ONE, 3)
    assert found.is_known(ONE, None)
    assert logs.asked == 0
