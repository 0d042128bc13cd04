"""Kafka's record batches byte by byte: what no Python client sends, and what no broker takes.

A broker checks what it is sent and refuses what is broken. What it has on disk it serves as it
is, so that broken batches are written there, in place of good ones of the same length.
"""

import asyncio
import gzip
import socket
import struct
import time
from binascii import crc32
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from io import BytesIO

import cramjam
from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.record.util import calc_crc32c, encode_varint

from dev.servers.broker import Broker
from pipeline.partition import Partition
from source.log_reader import LogReader
from source.records.formats import CODEC_MASK

Header = tuple[bytes, bytes | None]
Compress = Callable[[bytes], bytes]

#: Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and last
#: timestamp, producer id, producer epoch, base sequence, number of records.
_BATCH = struct.Struct(">qiibIhiqqqhii")
#: Of a batch: where the length counts from, and where its fields are.
_LENGTH_FROM, MAGIC_AT, _CRC_AT, _ATTRIBUTES_AT, RECORDS_AT = 12, 16, 17, 21, _BATCH.size

#: Errors of a broker that has just made the topic: unknown topic, not the leader.
_NOT_YET = (3, 6)

#: The id of each codec, and how the clients' default settings compress with it.
CODECS: dict[str, tuple[int, Compress]] = {
    "none": (0, bytes),
    "gzip": (1, gzip.compress),
    "snappy": (2, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    # In blocks with a frame around them, as the Java client writes it.
    "snappy_xerial": (2, snappy_encode),
    "lz4": (3, lz4_encode),
    "zstd": (4, zstd_encode),
}


def in_frames(compress: Compress, size: int = 200) -> Compress:
    """A way of compressing that makes a frame of every ``size`` bytes, one behind the other."""

    def frames(data: bytes) -> bytes:
        pieces = (data[start : start + size] for start in range(0, len(data), size))
        return b"".join(compress(piece) for piece in pieces)

    return frames


def record(value: bytes | None, number: int, headers: Sequence[Header]) -> bytes:
    """One record of a batch of magic 2, ``number`` behind the batch's first; it has no key."""
    body = bytearray(b"\0\0")  # attributes, timestamp delta
    body += _varint(number) + _varint(-1) + _with_length(value) + _varint(len(headers))
    for name, content in headers:
        body += _with_length(name) + _with_length(content)
    return _varint(len(body)) + body


def batch(
    values: Iterable[bytes | None],
    codec: str = "none",
    *,
    headers: Sequence[Header] = (),
    compress: Compress | None = None,
) -> bytes:
    """A batch of magic 2, its records with these headers; ``compress`` in the codec's place."""
    records = [record(value, n, headers) for n, value in enumerate(values)]
    number, usual = CODECS[codec]
    return raw_batch((compress or usual)(b"".join(records)), len(records), number)


def raw_batch(records: bytes, count: int, attributes: int = 0) -> bytes:
    """A batch of magic 2 with any bytes for its ``count`` records, and a right CRC."""
    now = int(time.time() * 1000)
    length = RECORDS_AT - _LENGTH_FROM + len(records)
    header = _BATCH.pack(
        0, length, -1, 2, 0, attributes, count - 1, now, now, -1, -1, -1, count
    )  # fmt: skip
    return with_crc(header + records)


def with_crc(made: bytes | bytearray) -> bytes:
    """The batch with the CRC that its bytes have."""
    crc = struct.pack(">I", calc_crc32c(bytes(made[_ATTRIBUTES_AT:])))
    return bytes(made[:_CRC_AT]) + crc + bytes(made[_ATTRIBUTES_AT:])


def with_codec(made: bytes | bytearray, codec: int) -> bytes:
    """The batch said to be compressed with the codec of this id."""
    changed = bytearray(made)
    changed[_ATTRIBUTES_AT + 1] = changed[_ATTRIBUTES_AT + 1] & ~0x07 | codec
    return with_crc(changed)


def message_set(
    values: Iterable[bytes], magic: int, *, first: int = 0, codec: str = "none"
) -> bytes:
    """Messages of the formats before batches, magic 0 or 1, from offset ``first`` on.

    Compressed they lie in a message of their own, whose offset is that of the last.
    """
    number, compress = CODECS[codec]
    inner = list(values)
    if not number:
        return b"".join(_message(value, magic, first + n) for n, value in enumerate(inner))
    # Within a compressed set, magic 1 counts offsets from 0.
    base = first if magic == 0 else 0
    packed = compress(b"".join(_message(v, magic, base + n) for n, v in enumerate(inner)))
    return _message(packed, magic, first + len(inner) - 1, attributes=number)


def send(broker: Broker, topic: str, batches: Mapping[int, bytes]) -> dict[int, int]:
    """Send one batch to each of these partitions, in one request, and answer their offsets.

    Raises:
        AssertionError: the broker refused one.
    """
    deadline = time.monotonic() + 20
    left = dict(batches)
    offsets: dict[int, int] = {}
    while left:
        request = ProduceRequest_v7(None, -1, 20_000, [(topic, list(left.items()))])
        for partition, (error, offset) in _ask(broker, request).items():
            # A new topic's partitions get their leaders one by one.
            again = error in _NOT_YET and time.monotonic() < deadline
            assert again or not error, f"the broker refused {topic}/{partition}: {error}"
            if not error:
                offsets[partition] = offset
                del left[partition]
        if left:
            time.sleep(0.05)
    return offsets


def codec_of_the_first_batch(broker: Broker, topic: str, partition: int = 0) -> int:
    """The id of the codec that a partition's first batch, of magic 2, is compressed with."""
    data = _first_batch(broker, topic, partition, 0, wait=500)
    assert data, "the log is empty"
    attributes: int = struct.unpack_from(">h", data, _ATTRIBUTES_AT)[0]
    return attributes & CODEC_MASK


def outlast_waiting_fetches(broker: Broker, topic: str, offset: int) -> None:
    """Return once the broker has answered all fetches that wait for partition 0 to grow.

    What is sent then is in none of them. ``offset`` is where the partition ends.
    """
    # The workers' wait for 1.5 seconds at most.
    assert not _first_batch(broker, topic, 0, offset, wait=2_000)


def overwrite(
    broker: Broker,
    topic: str,
    partition: int,
    offset: int,
    change: Callable[[bytearray], bytes | bytearray],
) -> None:
    """Change the batch or message that begins at ``offset`` where the broker has it on disk.

    It need not be stopped: it serves from the file, and looks at what it once took no more.

    Args:
        change: answers the new bytes, as many as the old ones it is given.
    """
    path = broker.folder / "data" / f"{topic}-{partition}" / f"{0:020}.log"
    data = path.read_bytes()
    at, old = next((at, old) for at, start, old in _batches(data) if start == offset)
    new = change(bytearray(old))
    assert len(new) == len(old)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(new)


def _first_batch(
    broker: Broker, topic: str, partition: int, offset: int, wait: int
) -> bytes | None:
    """The batch at an offset, for which the broker waits some milliseconds."""

    async def fetch() -> bytes | None:
        logs = LogReader([broker.bootstrap], {})
        try:
            await logs.partitions(topic)
            # No matter how small the limit is, a broker gives one batch whole.
            request = FetchRequest(wait, 1, 1, 0, [(topic, [(partition, offset, 1)])])
            return await logs._fetch(Partition(topic, partition), request)
        finally:
            await logs.close()

    return asyncio.run(fetch())


def _ask(broker: Broker, request: ProduceRequest_v7) -> dict[int, tuple[int, int]]:
    """Error code and offset of each partition."""
    message = RequestHeader_v1(request, 1, "wire").encode() + request.encode()
    host, _, port = broker.bootstrap.partition(":")
    with (
        closing(socket.create_connection((host, int(port)), 20)) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(struct.pack(">i", len(message)) + message)
        (size,) = struct.unpack(">i", answers.read(4))
        answer = ProduceResponse_v7.decode(BytesIO(answers.read(size)[4:]))
    return {partition: (error, offset) for partition, error, offset, *_ in answer.topics[0][1]}


def _batches(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(data):
        offset, length = struct.unpack_from(">qi", data, at)
        yield at, offset, data[at : at + _LENGTH_FROM + length]
        at += _LENGTH_FROM + length


def _message(value: bytes, magic: int, offset: int, attributes: int = 0) -> bytes:
    timestamp = struct.pack(">q", int(time.time() * 1000)) if magic else b""
    body = struct.pack(">bb", magic, attributes) + timestamp
    body += struct.pack(">i", -1) + struct.pack(">i", len(value)) + value
    return struct.pack(">qiI", offset, 4 + len(body), crc32(body)) + body


def _with_length(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint(number: int) -> bytes:
    made = bytearray()
    encode_varint(number, made.append)
    return bytes(made)
