"""What identifies the last record of a log, as it is stored for years."""

from zlib import crc32

import pytest

from pipeline.record import LastRecord, PlainRecord


@pytest.mark.parametrize(
    ("record", "timestamp", "checksum"),
    [
        (PlainRecord(5, b"123456789", b"key", 1000), 1000, 0xCBF43926),
        (PlainRecord(5, b"other", b"key", 0), 0, crc32(b"other")),
        (PlainRecord(5, None, b"key", None), -1, 0),
    ],
    ids=["the check value of CRC-32", "a timestamp of 0", "neither value nor timestamp"],
)
def test_a_record_is_identified(record, timestamp, checksum):
    assert LastRecord.of(record, epoch=3) == (5, 3, timestamp, checksum)
