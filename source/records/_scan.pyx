# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Finds where the records of a batch lie, compiled. See ``source/records/packing.py``.

It takes only a batch of Kafka's format 2 that is in order, and leaves all else.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t

# What ``source/records/packing.py`` expects: another number there means an old build.
REVISION = 1

cdef enum:
    HEADER = 61
    # Of the longest varint.
    MAX_BYTES = 10
    # ``pipeline.packed_records.WIDTH``.
    WIDTH = 7

ctypedef const unsigned char *Bytes


cdef Bytes varint(Bytes at, Bytes end, long long *found) noexcept:
    """Read a number; NULL where it does not end, or is too long."""
    cdef uint64_t number = 0
    cdef int count = 0
    # The last byte has room for one bit.
    while at < end and (count < MAX_BYTES - 1 or count < MAX_BYTES and at[0] < 2):
        number |= <uint64_t>(at[0] & 0x7F) << 7 * count
        if at[0] < 0x80:
            found[0] = <long long>(number >> 1) ^ -<long long>(number & 1)
            return at + 1
        at += 1
        count += 1
    return NULL


cdef Bytes text(Bytes at, Bytes end, Bytes start, long long *place) noexcept:
    """Read where bytes lie, and how many there are, -1 for null; NULL where they do not end."""
    cdef long long size
    at = varint(at, end, &size)
    if at == NULL or size < -1 or size > end - at:
        return NULL
    place[0], place[1] = at - start, size
    return at + max(size, 0)


def scan(bytes message not None, Py_ssize_t number, array.array places not None, long long base,
         long long first_timestamp, bint append_time, Py_ssize_t count):
    """Add where each record of a message lies; whether it is in order, else nothing is added.

    Args:
        message: a batch of format 2, decompressed.
        number: of the message among others.
        places: for each record offset, timestamp, the message's number, where its key and its
            value are, each with its size, -1 for null.
        base: the offset that those of the records are relative to.
        first_timestamp: the same of their timestamps; with ``append_time`` all have it.
        count: how many records there are.
    """
    cdef Bytes start = <Bytes>PyBytes_AS_STRING(message), last = start + PyBytes_GET_SIZE(message)
    cdef Bytes at = start + HEADER, end
    cdef Py_ssize_t before = len(places), one
    cdef long long size, delta, offset = 0, previous = -1
    cdef long long *place
    # A record has seven bytes at least, and no sum may have more than 64 bits.
    if places.typecode != "q" or not 0 < count <= (last - at) // 7:
        return False
    if base >> 62 != 0 or first_timestamp >> 61 not in (0, -1):
        return False
    array.resize_smart(places, before + WIDTH * count)
    place = places.data.as_longlongs + before
    for one in range(count):
        at = varint(at, last, &size)
        if at == NULL or size < 1 or size > last - at:
            break
        end = at + size
        # Behind the attributes, which are unused.
        at = varint(at + 1, end, &delta)
        at = varint(at, end, &offset) if at != NULL else NULL
        if at == NULL or offset <= previous or offset >> 32 or delta >> 62 not in (0, -1):
            break
        previous = offset
        place[0], place[1] = base + offset, first_timestamp + (0 if append_time else delta)
        place[2] = number
        at = text(at, end, start, place + 3)
        at = text(at, end, start, place + 5) if at != NULL else NULL
        if at == NULL:
            break
        # Headers are unused.
        at = end
        place += WIDTH
    else:
        if at == last:
            return True
    array.resize_smart(places, before)
    return False
