"""Each code of an outage, sent for a while by a proxy: no event is named, lost or stored twice."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import make_url

import pipeline.flush.attempts
import pipeline.flush.flusher
from agents.flash_sales import FLASH_SALES
from db.connection.engine import connect
from db.connection.error_codes import JUDGED, LARGE, LOGIN, PASSING
from db.write.writer import Writer
from pipeline.batch import Batch
from pipeline.chunk import Chunk
from pipeline.flush.flusher import Flusher
from pipeline.flush.refetch import Refetched
from pipeline.partition import Partition
from tests.chaos.mysql_proxy import MySQLProxy
from tests.helpers.sink import chunk, dead_letter_rows, stored_ids, stored_offsets

CLASSES = {**PASSING, "too large": LARGE, "login": LOGIN, "judged": {**JUDGED, 9999: "unknown"}}
WHERE = {
    "everything": ("",),
    "inserts of events": (
        "INSERT INTO flash_sale_events",
        "INSERT IGNORE INTO flash_sale_events",
        "LOAD DATA",
    ),
    "commits": ("COMMIT",),
}
#: Attempts that an outage lasts, in each of which at least one statement is refused: where errors
#: are judged, long enough for several searches.
LASTS = 4
LASTS_JUDGED = 10


class CountingWriter(Writer):
    """Counts attempts, and has the outage end after some of them."""

    attempts = 0
    lasts = 0
    ended: Callable[[], None]

    def write(self, *given: Any, **named: Any) -> Batch:
        self._count()
        return super().write(*given, **named)

    def rehearse(self, chunk: Chunk) -> None:
        self._count()
        super().rehearse(chunk)

    def _count(self) -> None:
        self.attempts += 1
        if self.attempts > self.lasts:
            self.ended()


@pytest.fixture
def proxy(migrated_url):
    with MySQLProxy(migrated_url) as running:
        yield running


@pytest.fixture
def writer(begun, migrated_url, proxy):
    engine = connect(make_url(migrated_url).set(drivername="mysql+pymysql", port=proxy.port))
    writer = CountingWriter(engine, "g", FLASH_SALES, "w")
    writer.ended = lambda: setattr(proxy, "refused", ())
    yield writer
    engine.dispose()


@pytest.fixture
def flusher(writer, monkeypatch):
    for module, name in (
        (pipeline.flush.attempts, "BACKOFF"),
        (pipeline.flush.flusher, "SEARCH_BACKOFF"),
    ):
        monkeypatch.setattr(module, name, lambda state: 0.001)

    async def refetch(partition: Partition, offsets: Sequence[int]) -> Refetched | None:
        raise AssertionError("no row is refused")

    return Flusher(
        writer,
        interval=60,
        max_events=1_000,
        max_bytes=1 << 20,
        stop_timeout=5,
        refetch_some=refetch,
    )


def test_there_are_more_than_60():
    assert sum(map(len, CLASSES.values())) > 60


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("kind", CLASSES)
async def test_outage_of_any_code_changes_nothing(
    begun, proxy, writer, flusher, caplog, where, kind
):
    codes = [code for code in CLASSES[kind] if code]
    if where == "commits":
        del codes[3:]  # each attempt is a whole write here
    writer.lasts = LASTS_JUDGED if kind in ("judged", "too large") else LASTS
    for number, code in enumerate(codes):
        start = 20 * number
        flusher.buffer.put(chunk(start, start + 20))
        flusher.buffer.put(chunk(start, start + 20, partition=1))
        proxy.error = (code, f"words of error {code}")
        writer.attempts = 0
        proxy.refused = WHERE[where]
        while flusher.buffer:
            await asyncio.wait_for(flusher.flush(), 20)
        assert writer.attempts <= writer.lasts + 10, code
        assert stored_offsets(begun) == {0: start + 20, 1: start + 20}, code
        assert flusher.stuck is None
        assert flusher.last_error is None
        assert "cannot be stored" not in caplog.text
    every = [f"e{n}" for n in range(20 * len(codes))]
    assert sorted(stored_ids(begun)) == sorted(every * 2)
    assert dead_letter_rows(begun) == []
