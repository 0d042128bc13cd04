"""Which ids this worker may have stored lately, in two megabytes."""

from collections.abc import Collection

#: Bits of the filter, a power of two; and ids after which it begins anew: an eighth are then taken
#: for known that are not.
_BITS = 1 << 24
_MOST = 2_000_000
_MASK = _BITS - 1


class RecentIds:
    """A Bloom filter with one hash: an id that was added is always found, others now and then."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)
        self._count = 0

    def add(self, ids: Collection[bytes]) -> list[bytes]:
        """Add different ids; those before are forgotten where these are too many.

        Returns:
            Those of them that may have been added before.
        """
        self._count += len(ids)
        if self._count > _MOST:
            self._bits = bytearray(_BITS // 8)
            self._count = len(ids)
        bits = self._bits
        found = []
        for one in ids:
            place = hash(one) & _MASK
            at, bit = place >> 3, 1 << (place & 7)
            if bits[at] & bit:
                found.append(one)
            else:
                bits[at] |= bit
        return found
