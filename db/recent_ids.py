"""Which ids this worker may have stored lately, in two megabytes."""

from collections.abc import Iterable

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

    def add(self, ids: Iterable[bytes]) -> None:
        """Add ids; those before are forgotten where these are too many."""
        added = list(ids)
        self._count += len(added)
        if self._count > _MOST:
            self._bits = bytearray(_BITS // 8)
            self._count = len(added)
        bits = self._bits
        for one in added:
            place = hash(one) & _MASK
            bits[place >> 3] |= 1 << (place & 7)

    def among(self, ids: Iterable[bytes]) -> list[bytes]:
        """Those of the ids that may have been added."""
        bits = self._bits
        return [one for one in ids if bits[(place := hash(one) & _MASK) >> 3] & 1 << (place & 7)]
