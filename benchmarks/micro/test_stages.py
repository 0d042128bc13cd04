"""``make bench-micro``: microseconds of every stage between Kafka's bytes and the SQL text.

Each stage is given the same 2000 different events, a fetch; divide by 2000 for one event.
"""

import struct
from collections.abc import Callable
from itertools import islice

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from pytest_benchmark.fixture import BenchmarkFixture

from agents.flash_sales import FLASH_SALES
from benchmarks.traffic.mixes import Mix, bad, filled, mistyped, repaired, sale, shop, whole
from benchmarks.traffic.topics import numbered
from db.write.insert_values import insert_statement
from db.write.lenient import loadable
from db.write.row_store import INSERT_BYTES, LOAD_BYTES, pieces
from models.decode import decode
from models.rules import transform
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from source.records.batches import FetchedBatches

EVENTS = 2000
PARTITION = Partition("sale", 0)
#: Kafka's number of the codec.
LZ4 = 3
_UUID = b'"3f4e12ab-77e1-4c05-8e11-0123456789ab"'
#: Fetches in one statement, about.
FETCHES = 10


def values(mix: Mix) -> list[bytes]:
    """A fetch of values, tombstones left out."""
    return [value or b"" for value, _, _ in islice(numbered(mix), EVENTS)]


def with_more_fields(value: bytes, number: int = 2) -> bytes:
    """The event with fields the schema does not know, of every type."""
    kinds = (b'{"code": "BF26", "percent": 20}', b'"mail"', b"12.75", b"true", _UUID)
    more = (b', "more_%d": %s' % (place, kinds[place % 5]) for place in range(number))
    return value[:-1] + b"".join(more) + b"}"


def with_text(value: bytes, length: int) -> bytes:
    """The event as long as that, by a text the schema does not know."""
    return value[:-1] + b', "note": "' + (b"some words, 12 " * length)[: length - 200] + b'"}'


def with_positions(value: bytes, length: int) -> bytes:
    """The event as long as that, by many brackets and numbers."""
    return value[:-1] + b', "path": [' + b"[12.5, 47.11], " * (length // 15) + b"0]}"


def each(function: Callable[[bytes], object], given: list[bytes]) -> Callable[[], None]:
    """Call the function with each value."""

    def run() -> None:
        for value in given:
            function(value)

    return run


def chunk(mix: Mix) -> Chunk:
    """A transformed fetch."""
    records = [PlainRecord(offset, value) for offset, value in enumerate(values(mix))]
    return Chunk.transform(FLASH_SALES, PARTITION, 0, EVENTS, records)


def answer(values: list[bytes], each_batch: int) -> bytes:
    """A broker's answer: batches in lz4, each of so many values."""
    data = b""
    for start in range(0, len(values), each_batch):
        batch = DefaultRecordBatchBuilder(2, LZ4, False, -1, -1, -1, 1 << 30)
        for place, value in enumerate(values[start : start + each_batch]):
            batch.append(place, 1_795_000_000_000 + place, b"key", value, [])
        data += struct.pack(">q", start) + bytes(batch.build())[8:]
    return data


def test_decode(benchmark: BenchmarkFixture) -> None:
    benchmark(each(decode, values(sale)))


def test_transform(benchmark: BenchmarkFixture) -> None:
    benchmark(each(transform, values(sale)))


@pytest.mark.parametrize("fields", [2, 20])
def test_transform_more_fields(benchmark: BenchmarkFixture, fields: int) -> None:
    benchmark(each(transform, [with_more_fields(value, fields) for value in values(sale)]))


@pytest.mark.parametrize("length", [1500, 20_000])
@pytest.mark.parametrize("longer", [with_text, with_positions])
def test_transform_long(
    benchmark: BenchmarkFixture, longer: Callable[[bytes, int], bytes], length: int
) -> None:
    benchmark(each(transform, [longer(value, length) for value in values(sale)]))


def test_transform_mistyped(benchmark: BenchmarkFixture) -> None:
    benchmark(each(transform, values(mistyped)))


@pytest.mark.parametrize("mix", [whole, shop, sale, filled, repaired, bad, mistyped])
def test_chunk(benchmark: BenchmarkFixture, mix: Mix) -> None:
    records = [PlainRecord(offset, value) for offset, value in enumerate(values(mix))]
    made = benchmark(Chunk.transform, FLASH_SALES, PARTITION, 0, EVENTS, records)
    assert made.valid + len(made.dead) == EVENTS


@pytest.mark.parametrize("each_batch", [EVENTS, 400, 2])
def test_answer_to_chunk(benchmark: BenchmarkFixture, each_batch: int) -> None:
    data = answer(values(shop), each_batch)

    def made() -> Chunk:
        batches = FetchedBatches(data, 0, None, len(data) * 100)
        records, _, _ = batches.take(EVENTS, len(data) * 100)
        return Chunk.transform(FLASH_SALES, PARTITION, 0, batches.position, records)

    assert benchmark(made).events == EVENTS


def test_loads_of_ten_chunks(benchmark: BenchmarkFixture) -> None:
    benchmark(load_text, [chunk(shop)] * FETCHES)


def load_text(chunks: list[Chunk]) -> None:
    for piece in pieces((chunk.rows for chunk in chunks), lambda: LOAD_BYTES):
        loadable(piece)


def sql_text(chunks: list[Chunk]) -> None:
    for piece in pieces((chunk.rows for chunk in chunks), lambda: INSERT_BYTES):
        insert_statement(FLASH_SALES, piece, 1)


def test_sql_text_of_ten_chunks(benchmark: BenchmarkFixture) -> None:
    chunks = [chunk(sale)] * FETCHES
    benchmark(sql_text, chunks)


@pytest.mark.parametrize("every", [20, 1])
def test_sql_text_of_ten_chunks_with_escapes(benchmark: BenchmarkFixture, every: int) -> None:
    some = [
        value.replace(b'"user_id": "', b'"user_id": "\\"') if number % every == 0 else value
        for number, value in enumerate(values(sale))
    ]
    records = [PlainRecord(offset, value) for offset, value in enumerate(some)]
    chunks = [Chunk.transform(FLASH_SALES, PARTITION, 0, EVENTS, records)] * FETCHES
    benchmark(sql_text, chunks)
