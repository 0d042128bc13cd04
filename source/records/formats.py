"""Kafka's record formats, read in Python where aiokafka's parser fails.

Format 2 (Kafka 0.11 and newer) without headers: they are not used here, and some clients write
header keys that are not UTF-8, on which aiokafka's parser raises. Formats 0 and 1 (older clients)
with a limit on decompression. Source: the Kafka protocol guide, "Record Batch" and "Old Message
Format".
"""

import struct
from collections.abc import Iterator
from zlib import crc32

from pipeline.record import PlainRecord
from source.records.codecs import decompress

CODEC_MASK = 0x07
LOG_APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20

#: Every format begins with a message's offset and size.
LOG_OVERHEAD = 12
_MESSAGE = struct.Struct(">qiIbb")
_INT32 = struct.Struct(">i")
_INT64 = struct.Struct(">q")


def read_records(
    data: bytes, count: int, base_offset: int, base_timestamp: int, append_time: int | None
) -> list[PlainRecord]:
    """Read the records of a batch of format 2; each record's headers are skipped.

    Args:
        data: the records, decompressed.
        count: their number.
        base_offset: offset that the records' offsets are relative to.
        base_timestamp: timestamp (ms) that the records' timestamps are relative to.
        append_time: the broker's timestamp (ms), if it replaces that of every record.

    Raises:
        ValueError: the data is not ``count`` records.
    """
    records = []
    at = 0
    for _ in range(count):
        size, at = _varint(data, at)
        end = at + size
        if not at < end <= len(data):
            raise ValueError("a record is cut off")
        delta, body = _varint(data, at + 1)  # after the attributes, which are unused
        offset, body = _varint(data, body)
        key, body = _bytes(data, body, end)
        value, _ = _bytes(data, body, end)
        timestamp = base_timestamp + delta if append_time is None else append_time
        records.append(PlainRecord(base_offset + offset, value, key, timestamp))
        at = end
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left after the last record")
    return records


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint of up to 64 bits, and where it ends."""
    found = shift = 0
    while shift < 70:
        if at >= len(data):
            raise ValueError("a record is cut off")
        byte = data[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (found >> 1) ^ -(found & 1), at
        shift += 7
    raise ValueError("a number is too long")


def _bytes(data: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = _varint(data, at)
    if size < 0:
        return None, at
    if at + size > end:
        raise ValueError("a record is cut off")
    return data[at : at + size], at + size


def read_message(message: bytes, limit: int) -> list[PlainRecord]:
    """Read a message of format 0 or 1, which holds one record, or several if it is compressed.

    Args:
        message: from its offset to its end.
        limit: maximum bytes of its decompressed records.

    Raises:
        ValueError: the message is damaged.
        source.records.codecs.DecompressionError: it cannot be decompressed.
    """
    offset, attributes, timestamp, key, value = _read_message(message)
    if not attributes & CODEC_MASK:
        return [PlainRecord(offset, value, key, timestamp)]
    if value is None:
        raise ValueError("a compressed message has no value")
    data = decompress(attributes & CODEC_MASK, value, limit)
    inner = [_read_message(one) for one in _split(data)]
    if not inner:
        raise ValueError("a compressed message holds none")
    # In format 1 the inner offsets count from 0, and the outer one is the last record's.
    shift = 0 if timestamp is None else offset - inner[-1][0]
    append_time = timestamp if attributes & LOG_APPEND_TIME else None
    return [
        PlainRecord(shift + number, value, key, own if append_time is None else append_time)
        for number, _, own, key, value in inner
    ]


def _split(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = LOG_OVERHEAD + _INT32.unpack_from(data, at + 8)[0]
        if size <= LOG_OVERHEAD or at + size > len(data):
            raise ValueError("an inner message is cut off")
        yield data[at : at + size]
        at += size


_Message = tuple[int, int, int | None, bytes | None, bytes | None]


def _read_message(message: bytes) -> _Message:
    """Offset, attributes, timestamp, key and value of one message."""
    try:
        offset, _, checksum, magic, attributes = _MESSAGE.unpack_from(message)
        if crc32(memoryview(message)[16:]) != checksum:
            raise ValueError("its checksum is wrong")
        at = _MESSAGE.size
        timestamp = None
        if magic == 1:
            (timestamp,) = _INT64.unpack_from(message, at)
            at += 8
        key, at = _sized(message, at)
        value, _ = _sized(message, at)
    except struct.error:
        raise ValueError("a message is cut off") from None
    return offset, attributes, timestamp, key, value


def _sized(message: bytes, at: int) -> tuple[bytes | None, int]:
    (size,) = _INT32.unpack_from(message, at)
    at += 4
    if size < 0:
        return None, at
    if at + size > len(message):
        raise ValueError("a message is cut off")
    return message[at : at + size], at + size
