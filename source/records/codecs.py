"""Decompression that stops at a limit.

aiokafka's own decoders have no limit: a batch of a few kilobytes may expand to gigabytes. The
formats are those of Kafka: gzip (RFC 1952), snappy (raw, or in blocks of xerial's Java library),
LZ4 frames and Zstandard frames; several gzip members or frames may follow each other.
"""

import struct
import threading
import zlib
from collections.abc import Callable

try:
    import cramjam
except ImportError:  # without it a worker reads only gzip, and logs that at its start
    cramjam = None  # type: ignore[assignment, unused-ignore]

#: Kafka's numbers of the codecs (bits 0 to 2 of a batch's attributes).
NAMES = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
#: Magic, version and oldest compatible version of a xerial stream.
_XERIAL_HEADER = 16
#: Size of the first output buffer, as a multiple of the input: similar events shrink to a tenth,
#: and if the buffer is too small, all is decompressed again.
_FIRST_GUESS = 16
_SMALLEST_OUTPUT = 16_384
#: Maximum bytes of a buffer that is kept for the next batch: a new one costs a page fault for each
#: 4 KB, which takes longer than decompressing.
_KEPT = 2 * 1024 * 1024
#: Maximum compressed bytes of a small batch: it expands to one block mostly.
_SMALL = 16_384
#: An LZ4 frame begins with its magic, flags, the code of its maximum block size, the size of its
#: content if a flag says so, and a checksum; then comes the first block's size. Other flags mean a
#: dictionary, or checksums after each block or after all; four zeros end the frame.
_LZ4_START, _LZ4_START_SIZED = struct.Struct("<IBxxI"), struct.Struct("<IB10xI")
_LZ4_FLAGS_AT = 4
_LZ4_MAGIC = 0x184D2204
_LZ4_DICTIONARY, _LZ4_CHECKSUM, _LZ4_SIZE, _LZ4_BLOCK_CHECKSUM = 1, 4, 8, 16
_LZ4_END = 4
#: Maximum bytes of output taken from zlib at once.
_STEP = 1024 * 1024

#: Decompressed data, until the next is.
Output = bytes | bytearray | memoryview


class _Kept(threading.local):
    """The buffer that is kept, of each thread."""

    buffer = bytearray()


_kept = _Kept()


class DecompressionError(ValueError):
    """The data cannot be decompressed, or exceeds the limit; the text says which."""


def unavailable() -> list[str]:
    """Names of the codecs that this installation cannot read."""
    return [] if cramjam else ["snappy", "lz4", "zstd"]


def decompress(
    codec: int, data: bytes | memoryview, limit: int, before: tuple[bytes | memoryview, ...] = ()
) -> bytes:
    """Decompress the records of a batch.

    Args:
        codec: Kafka's number of the codec, 1 to 4.
        data: compressed.
        limit: maximum bytes of the records.
        before: what the result begins with.

    Raises:
        DecompressionError: the codec is unknown or not installed, the data is damaged, or the
            result would exceed ``limit``.
    """
    decode = _DECODERS.get(codec)
    if decode is None:
        raise DecompressionError(f"it is compressed with an unknown codec ({codec})")
    try:
        return b"".join((*before, decode(data, limit)))
    except DecompressionError:
        raise
    except Exception as error:  # Each codec has its own errors.
        name = NAMES[codec]
        if name in unavailable():
            raise DecompressionError(
                f"it is compressed with {name}, which this installation cannot read (run `pip "
                f"install cramjam`)"
            ) from error
        raise DecompressionError(f"its {name} data is damaged ({error})") from error


def _too_large(limit: int) -> DecompressionError:
    return DecompressionError(
        f"it expands to more than {limit:,} bytes (DECOMPRESSED_MAX_BYTES allows more)"
    )


def _gunzip(data: bytes | memoryview, limit: int) -> Output:
    output = bytearray()
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            part = member.decompress(data, _STEP)
            data = member.unconsumed_tail
            output += part
            if len(output) > limit:
                raise _too_large(limit)
            if not part and not data and not member.eof:
                raise ValueError("it is cut off")
        data = member.unused_data
    return output


def _unsnappy(data: bytes | memoryview, limit: int) -> Output:
    if data[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return _snappy_block(data, limit)
    parts = []
    room = limit
    at = _XERIAL_HEADER
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        at += 4
        if not 0 < size <= len(data) - at:
            raise ValueError("it is cut off")
        part = _snappy_block(data[at : at + size], room)
        room -= len(part)
        parts.append(part)
        at += size
    return b"".join(parts)


def _snappy_block(data: bytes | memoryview, limit: int) -> bytes:
    # A block begins with its decompressed size.
    if cramjam.snappy.decompress_raw_len(data) > limit:
        raise _too_large(limit)
    return bytes(cramjam.snappy.decompress_raw(data))


def _bounded(
    decompress_into: Callable[[bytes | memoryview, memoryview], int],
    data: bytes | memoryview,
    limit: int,
) -> Output:
    """Decompress into larger and larger buffers: neither format states the size of the result."""
    size = min(limit, max(_SMALLEST_OUTPUT, _FIRST_GUESS * len(data)))
    while True:
        output = _buffer(size)
        try:
            return output[: decompress_into(data, output)]
        except cramjam.DecompressionError as error:
            # The library's message for a full buffer.
            if "failed to write whole buffer" not in str(error):
                raise
        if size == limit:
            raise _too_large(limit)
        size = min(limit, size * 4)


def _buffer(size: int) -> memoryview:
    """Room for so many bytes; it is used again by this thread's next call."""
    buffer = _kept.buffer
    if len(buffer) < size:
        buffer = bytearray(size)
        if size <= _KEPT:
            _kept.buffer = buffer
    return memoryview(buffer)[:size]


def _unlz4(data: bytes | memoryview, limit: int) -> Output:
    found = _single_block(data, limit) if len(data) < _SMALL else None
    return _bounded(cramjam.lz4.decompress_into, data, limit) if found is None else found


def _single_block(data: bytes | memoryview, limit: int) -> Output | None:
    """Decompress a frame of one block; None if it is another frame, damaged or too large.

    The library's frame reader allocates the largest block first, which for a batch of one or two
    events takes nine tenths of the time. Checksums are ignored, as the batch has its own.
    """
    if len(data) < _LZ4_START_SIZED.size:
        return None
    start = _LZ4_START_SIZED if data[_LZ4_FLAGS_AT] & _LZ4_SIZE else _LZ4_START
    magic, flags, size = start.unpack_from(data)
    end = start.size + size
    rest = _LZ4_END
    if flags & (_LZ4_DICTIONARY | _LZ4_CHECKSUM | _LZ4_BLOCK_CHECKSUM):
        if flags & _LZ4_DICTIONARY:
            return None
        rest += 4 * (bool(flags & _LZ4_BLOCK_CHECKSUM) + bool(flags & _LZ4_CHECKSUM))
    # An uncompressed block is marked in its size, which is then out of range.
    if magic != _LZ4_MAGIC or len(data) != end + rest:
        return None
    try:
        output = _buffer(min(limit, _FIRST_GUESS * len(data)))
        return output[: cramjam.lz4.decompress_block_into(data[start.size : end], output)]
    except cramjam.DecompressionError:
        return None


def _unzstd(data: bytes | memoryview, limit: int) -> Output:
    return _bounded(cramjam.zstd.decompress_into, data, limit)


_DECODERS: dict[int, Callable[[bytes | memoryview, int], Output]] = {
    1: _gunzip,
    2: _unsnappy,
    3: _unlz4,
    4: _unzstd,
}
