"""Shares of rows filled and repaired, by field, and from which share on they need attention."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

#: The kind of a missing value that was filled in; all others are repairs.
FILLED = "filled"


class Share(NamedTuple):
    """How many rows had a field filled or repaired (``what``), and of which kinds.

    ``stored`` says what is stored where that is worth to know.
    """

    field: str
    what: str
    rows: int
    share: float
    kinds: dict[str, int]
    is_high: bool
    stored: str = ""

    def sentence(self) -> str:
        """The share in words, with what was stored."""
        kinds = ", ".join(f"{number} {kind}" for kind, number in self.kinds.items())
        return (
            f"{self.field} was {self.what} in {self.rows} rows ({self.share:.1%})"
            f"{f': {kinds}' if kinds else ''}{f'; {self.stored}' if self.stored else ''}"
        )


@dataclass(frozen=True)
class Quality:
    """What may happen to the values of a stream's rows, and what needs attention.

    Args:
        flags: each field with each kind of fill or repair.
        repaired: shares above which repairs of a field are high.
        repaired_else: the same, of all other fields.
        filled: shares above which fills of a field are high; never of all other fields.
        stored: what is stored of a repaired field, in words.
    """

    flags: Sequence[tuple[str, str]] = ()
    repaired: Mapping[str, float] = field(default_factory=dict)
    repaired_else: float = 0.05
    filled: Mapping[str, float] = field(default_factory=dict)
    stored: Mapping[str, str] = field(default_factory=dict)

    def shares(
        self, rows: int, filled: Mapping[str, int], repaired: Mapping[str, int]
    ) -> list[Share]:
        """The shares of so many rows, repairs first.

        Args:
            rows: all rows.
            filled: rows filled, by field.
            repaired: rows repaired, by ``field.kind``.
        """
        kinds: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for field_and_kind, number in sorted(repaired.items()):
            name, kind = field_and_kind.split(".")
            kinds[name][kind] = number
        found = []
        for name, of_field in kinds.items():
            number = sum(of_field.values())
            share = number / max(1, rows)
            is_high = share > self.repaired.get(name, self.repaired_else)
            stored = self.stored.get(name, "")
            found.append(Share(name, "repaired", number, share, of_field, is_high, stored))
        for name, number in sorted(filled.items()):
            share = number / max(1, rows)
            found.append(Share(name, FILLED, number, share, {}, share > self.filled.get(name, 1.0)))
        return found
