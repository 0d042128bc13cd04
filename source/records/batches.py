"""The record batches of one partition's fetch, read a portion at a time.

Differences from aiokafka's own reader, which it replaces:
- an unreadable batch is reported where it begins: the records before it are handed out first, and
  the position stays before it;
- decompression has a limit;
- headers, which are not used, are skipped if they cannot be decoded;
- records are handed out packed, or as they were parsed: making a ConsumerRecord of each would cost
  as much as the rest of reading an event.

Producers that send events one by one make batches of one or two. A fast loop reads these whole, and
leaves anything unusual to the general reader.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c

from pipeline.packed_records import WIDTH, PackedRecords, joined, since
from pipeline.record import Record
from source.records.codecs import decompress
from source.records.formats import (
    CODEC_MASK,
    CONTROL,
    LOG_APPEND_TIME,
    LOG_OVERHEAD,
    TRANSACTIONAL,
    read_message,
    read_records,
)
from source.records.packing import is_packing, pack

#: Format 2's header: base offset, length, leader epoch, format, CRC, attributes, last offset's
#: delta, first and last timestamp, producer's id and epoch, base sequence, number of records.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_START = struct.Struct(">qi")
_FORMAT_AT = 16
#: Bytes that follow the length in a message of any format: CRC, format, attributes, two sizes.
_SHORTEST = 14
_ATTRIBUTES = struct.Struct(">h")
_ATTRIBUTES_AT, _AFTER_ATTRIBUTES = 21, 23
#: Maximum bytes of a batch that is read whole: as sent, and decompressed. A batch that expands
#: beyond the latter is decompressed again, so there is room for sixteen times the former.
_SMALL, _SMALL_PLAIN = 4_096, 65_536

#: What the parsers raise on damaged records.
_DAMAGED = (CorruptRecordException, ValueError, IndexError, OverflowError, struct.error)


class Unreadable(NamedTuple):
    """A batch that cannot be read: its offset, the offset after it, and what is wrong."""

    offset: int
    after: int
    why: str


class Portion(NamedTuple):
    """Records in the order of their offsets.

    ``size`` is their approximate bytes, ``epoch`` the leader epoch under which the last one was
    written, -1 if its format has none.
    """

    records: Sequence[Record]
    size: int
    epoch: int


class _Batch(NamedTuple):
    """A batch being read; ``message`` is the whole batch, decompressed, for another attempt."""

    records: Iterator[Record] | PackedRecords
    after: int
    epoch: int
    record_size: float
    message: bytes | None


class FetchedBatches:
    """The batches of a partition in one answer of the broker.

    Args:
        data: the answer's bytes for this partition; they may end in the middle of a batch.
        position: the requested offset.
        aborted: producer id and first offset of each aborted transaction in the answer; None to
            read the records of aborted transactions as well.
        limit: maximum bytes of a decompressed batch.
    """

    def __init__(
        self, data: bytes, position: int, aborted: Sequence[tuple[int, int]] | None, limit: int
    ) -> None:
        self.position = position
        self.unreadable: Unreadable | None = None
        self._data = data
        self._at = 0
        self._limit = limit
        self._read_committed = aborted is not None
        self._aborted = sorted(aborted or (), key=lambda one: one[1], reverse=True)
        self._aborting: set[int] = set()
        self._batch: _Batch | None = None
        # What the packed records of one portion lie in.
        self._messages: list[bytes] = []

    @property
    def is_done(self) -> bool:
        """Whether everything was taken."""
        return self._batch is None and self._at >= len(self._data) and self.unreadable is None

    @property
    def next_epoch(self) -> int | None:
        """Leader epoch of the next batch: -1 if its format has none, None if there is no batch."""
        if self._batch is not None:
            return self._batch.epoch
        if len(self._data) - self._at < _HEADER.size:
            return None
        header = _HEADER.unpack_from(self._data, self._at)
        return header[2] if header[3] >= 2 else -1

    def take(self, max_records: int, max_bytes: int) -> Portion:
        """Take the next records, up to about these limits; at least one if there is any.

        Moves ``position`` past them and past offsets without a record. Sets ``unreadable`` if the
        next batch cannot be read.
        """
        records: Sequence[Record] = []
        size = 0
        epoch = -1
        self._begin_portion()
        while True:
            if self._batch is None and self.unreadable is None:
                small = self._take_small(max_records - len(records), max_bytes - size)
                if small.records:
                    records = joined(records, small.records)
                    size += small.size
                    epoch = small.epoch
            batch = self._batch or self._open()
            if batch is None:
                break
            wanted = min(max_records - len(records), int((max_bytes - size) / batch.record_size))
            if wanted < 1:
                if records:
                    break
                wanted = 1
            found = self._read(batch, wanted)
            if self.unreadable:
                break
            is_read = len(found) < wanted
            if found and found[0].offset < self.position:
                found = since(found, self.position)
            if found:
                records = joined(records, found)
                size += int(batch.record_size * len(found))
                epoch = batch.epoch
                self.position = found[-1].offset + 1
            if is_read:
                self._batch = None
                if self.position < batch.after:
                    self.position = batch.after
        return Portion(records, size, epoch)

    def _begin_portion(self) -> None:
        """Drop the messages of the portion before, except the one that is being read."""
        batch = self._batch
        self._messages = []
        if batch and isinstance(batch.records, PackedRecords) and batch.records:
            alone = batch.records.alone()
            self._batch, self._messages = batch._replace(records=alone), alone.messages

    def _take_small(self, max_records: int, max_bytes: int) -> Portion:
        """Take the next batches whole, up to the first that is large, unusual or damaged."""
        data, at, position = self._data, self._at, self.position
        plain = memoryview(data)
        usual = CODEC_MASK | LOG_APPEND_TIME
        if not self._aborted and not self._aborting:
            usual |= TRANSACTIONAL
        records: list[Record] = []
        places = array("q")
        taken = 0
        size = 0
        epoch = -1
        while len(data) - at >= _HEADER.size and size < max_bytes:
            header = _HEADER.unpack_from(data, at)
            base, length, of_epoch, number, crc, attributes, last, _, _, _, _, _, count = header
            end = at + LOG_OVERHEAD + length
            if (
                number != 2
                or attributes & ~usual
                or base < position
                or not 0 < count <= max_records - taken
                or not 0 < length < _SMALL
                or end > len(data)
                or calc_crc32c(plain[at + _ATTRIBUTES_AT : end]) != crc
            ):
                break
            try:
                message = self._plain(data[at:end], attributes)
                if len(message) > _SMALL_PLAIN:
                    break
                if pack(message, header, self._messages, places):
                    last_offset = places[-WIDTH]
                elif is_packing():
                    break
                else:
                    records += DefaultRecordBatch(message)
                    last_offset = records[-1].offset
            except _DAMAGED:
                break
            taken += count
            size += len(message)
            epoch = of_epoch
            at = end
            position = 1 + max(base + last, last_offset)
        self._at, self.position = at, position
        return Portion(records or PackedRecords(self._messages, places), size, epoch)

    def _plain(self, message: bytes | memoryview, attributes: int) -> bytes:
        """The message with its records decompressed."""
        codec = attributes & CODEC_MASK
        if not codec:
            return bytes(message)
        plain = _ATTRIBUTES.pack(attributes & ~CODEC_MASK)
        rest = message[_AFTER_ATTRIBUTES : _HEADER.size]
        before = (message[:_ATTRIBUTES_AT], plain, rest)
        return decompress(codec, message[_HEADER.size :], self._limit, before)

    def _read(self, batch: _Batch, count: int) -> Sequence[Record]:
        if isinstance(batch.records, PackedRecords):
            self._batch = batch._replace(records=batch.records[count:])
            return batch.records[:count]
        try:
            return list(islice(batch.records, count))
        except _DAMAGED as error:
            failure: Exception = error
        if batch.message:
            try:
                found = _without_headers(batch.message)
            except _DAMAGED as error:
                failure = error
            else:
                rest = [one for one in found if one.offset >= self.position]
                self._batch = batch._replace(records=iter(rest[count:]), message=None)
                return rest[:count]
        self._batch = None
        self._refuse(self.position, batch.after, f"its records are damaged ({failure})")
        return []

    def _open(self) -> _Batch | None:
        """Begin the next batch that has records to read; None if none is left or readable."""
        while self._batch is None and self._at < len(self._data) and self.unreadable is None:
            at, left = self._at, len(self._data) - self._at
            base, length = (0, 0) if left < LOG_OVERHEAD else _START.unpack_from(self._data, at)
            size = LOG_OVERHEAD + length
            if size > left or left < LOG_OVERHEAD:
                self._end_of_answer(left)
            elif length < _SHORTEST:
                self._at = len(self._data)
                self._refuse(self.position, self.position + 1, f"its length ({length}) is wrong")
            else:
                self._at = at + size
                self._open_message(memoryview(self._data)[at : at + size], base)
        return self._batch

    def _end_of_answer(self, left: int) -> None:
        if self._at:
            # The broker cut off its answer here; the rest comes with the next fetch.
            self._at = len(self._data)
        else:
            self._refuse(self.position, self.position + 1, f"only {left} bytes of it arrived")

    def _open_message(self, message: memoryview, base: int) -> None:
        number = message[_FORMAT_AT]
        after = base + 1
        try:
            if number < 2:
                self._batch = self._old(bytes(message), after)
                return
            header = _HEADER.unpack_from(message)
            after += max(0, header[6])
            if number > 2:
                raise ValueError(f"its format {number} is unknown")
            self._batch = self._current(message, header, after)
        except _DAMAGED as error:
            # A compressed message of an old format has the offset of its last record.
            first = self.position if number < 2 else max(base, self.position)
            self._refuse(first, after, str(error))

    def _old(self, message: bytes, after: int) -> _Batch:
        records = read_message(message, self._limit)
        return _Batch(iter(records), after, -1, len(message) / len(records), None)

    def _current(self, packed: memoryview, header: tuple[int, ...], after: int) -> _Batch | None:
        if calc_crc32c(packed[_ATTRIBUTES_AT:]) != header[4]:
            raise ValueError("its checksum is wrong")
        attributes, count = header[5], header[12]
        if attributes & (TRANSACTIONAL | CONTROL) and self._is_skipped(packed, header):
            if after > self.position:
                self.position = after
            return None
        message = self._plain(packed, attributes)
        # A batch emptied by compaction has offsets but no records.
        size = len(message) / count if count > 0 else len(message)
        places = array("q")
        if pack(message, header, self._messages, places):
            return _Batch(PackedRecords(self._messages, places), after, header[2], size, None)
        # `chain` keeps its place: aiokafka's batch starts over at each `islice`.
        return _Batch(chain(DefaultRecordBatch(message)), after, header[2], size, message)

    def _is_skipped(self, message: memoryview, header: tuple[int, ...]) -> bool:
        """Whether a batch is a marker, or of an aborted transaction and skipped."""
        base, attributes, producer = header[0], header[5], header[9]
        is_marker = bool(attributes & CONTROL)
        if not self._read_committed:
            return is_marker
        while self._aborted and self._aborted[-1][1] <= base:
            self._aborting.add(self._aborted.pop()[0])
        if is_marker:
            marker = next(iter(DefaultRecordBatch(bytes(message))), None)
            if marker and marker.key and ControlRecord.parse(marker.key) == ABORT_MARKER:
                self._aborting.discard(producer)
            return True
        return bool(attributes & TRANSACTIONAL) and producer in self._aborting

    def _refuse(self, offset: int, after: int, why: str) -> None:
        if self._at + LOG_OVERHEAD <= len(self._data):
            # The next batch's offset is more trustworthy than a damaged header.
            after = _START.unpack_from(self._data, self._at)[0]
        self.unreadable = Unreadable(offset, max(after, offset + 1), why)


def _without_headers(message: bytes) -> Sequence[Record]:
    """The records of a decompressed batch; headers are skipped."""
    header = _HEADER.unpack_from(message)
    append_time = header[8] if header[5] & LOG_APPEND_TIME else None
    data = message[_HEADER.size :]
    return read_records(data, header[12], header[0], header[7], append_time)
