"""Which ids this worker may have stored lately, in two megabytes."""

from collections.abc import Collection

#: Bits of the filter, a power of two; and ids after which it begins anew: an eighth are then taken
#: for known that are not.
_BITS = 1 << 24
_MOST = 2_000_000
_MASK = _BITS // 8 - 1
_PLACES = [1 << place for place in range(8)]


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
            place = hash(one)
            at = place >> 3 & _MASK
            before = bits[at]
            after = before | _PLACES[place & 7]
            if after == before:
                found.append(one)
            else:
                bits[at] = after
        return found
