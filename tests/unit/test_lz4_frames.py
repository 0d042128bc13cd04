"""LZ4 frames as producers make them of a batch of a few events, and those that look like them."""

import struct
from concurrent.futures import ThreadPoolExecutor
from random import Random

import cramjam
import pytest

from source.records import codecs
from source.records.codecs import DecompressionError, decompress

LZ4 = 3
EVENT = b'{"event_id": "evt-1", "user_id": "user_1", "price": 39.88, "category": null}'
LIMIT = 1 << 20


def frame(data, *, size=False, checksum=False, block_checksum=False, blocks=1, raw=False):
    """A frame with these parts; checksums are zeros."""
    flags = 0x60 | 8 * size | 4 * checksum | 16 * block_checksum
    parts = [struct.pack("<IBB", 0x184D2204, flags, 0x40)]
    if size:
        parts.append(struct.pack("<Q", len(data) * blocks))
    parts.append(b"\0")
    for _ in range(blocks):
        block = data if raw else bytes(cramjam.lz4.compress_block(data, store_size=False))
        parts += [struct.pack("<I", len(block) | raw << 31), block, bytes(4 * block_checksum)]
    return b"".join([*parts, bytes(4), bytes(4 * checksum)])


@pytest.mark.parametrize("size", [False, True])
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("block_checksum", [False, True])
def test_frame_of_one_block_is_read_with_any_flags(size, checksum, block_checksum):
    data = frame(EVENT, size=size, checksum=checksum, block_checksum=block_checksum)
    assert codecs._single_block(data, LIMIT) == EVENT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        frame(EVENT)[:6],
        frame(EVENT)[:-1],
        frame(EVENT) + b"\0",
        frame(EVENT) + frame(EVENT),
        frame(EVENT, blocks=2),
        frame(EVENT, raw=True),
        b"\0" + frame(EVENT)[1:],
        frame(b"a" * 10_000),
    ],
    ids=["none", "no block", "cut", "more", "two", "blocks", "raw", "other", "expands a lot"],
)
def test_unusual_frames_are_left_to_the_library(data):
    assert codecs._single_block(data, LIMIT) is None


@pytest.mark.parametrize(
    "data", [EVENT, EVENT * 100, b"a" * 100_000, bytes(range(256)) * 400, b"", b"a"]
)
def test_what_a_library_compressed_is_read(data):
    assert bytes(decompress(LZ4, bytes(cramjam.lz4.compress(data)), LIMIT)) == data


def test_a_small_frame_has_a_limit_too():
    packed = bytes(cramjam.lz4.compress(EVENT))
    assert bytes(decompress(LZ4, packed, len(EVENT))) == EVENT
    with pytest.raises(DecompressionError, match="expands to more than 75 bytes"):
        decompress(LZ4, packed, len(EVENT) - 1)


def test_a_damaged_block_is_no_event():
    data = bytearray(cramjam.lz4.compress(EVENT * 3))
    data[-20] ^= 0xFF
    data[12] ^= 0xFF
    with pytest.raises(DecompressionError, match="damaged"):
        decompress(LZ4, bytes(data[:-5] + b"\xff\xff\xff\xff\xff"), LIMIT)


@pytest.mark.parametrize(("name", "digits"), [("lz4", 12), ("zstd", 24)])
def test_events_that_are_much_alike_are_decompressed_once(name, digits):
    chance = Random(1)
    events = b"".join(EVENT * 2 + b"%d" % chance.randrange(10**digits) for _ in range(500))
    packed = bytes(getattr(cramjam, name).compress(events))
    assert 8 < len(events) / len(packed) < 16
    calls = []

    def count(data, output):
        calls.append(len(output))
        return getattr(cramjam, name).decompress_into(data, output)

    assert codecs._bounded(count, packed, LIMIT) == events
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_a_result_stays_as_it_is_while_others_are_decompressed(name):
    codec = {"lz4": LZ4, "zstd": 4}[name]
    texts = [b"%d " % number * size for number, size in enumerate((1, 50_000, 3, 400_000, 20))]
    packed = [bytes(getattr(cramjam, name).compress(text)) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: decompress(codec, one, LIMIT, (b"a", b"b")), packed * 20))
    assert found == [b"ab" + text for text in texts] * 20
