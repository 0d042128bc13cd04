"""Sales: what the rows of a chunk amount to, so that nobody has to read the rows again.

Only a purchase is revenue. Sums are few, whatever the number of rows: storing them beside the
rows costs next to nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

from models.event import EnrichedEvent

_K = TypeVar("_K")

PURCHASE = "purchase"
#: A step of the funnel, by what producers call it; anything else is `others`.
STEPS = {"view": "views", "add_to_cart": "carts", "cart": "carts", PURCHASE: "purchases"}
OTHERS = "others"
#: When an event without a time happened: what no stored time can be.
NO_TIME = "1000-01-01 00:00:00"
#: A product that is not named.
NO_PRODUCT = ""

_FIELDS = list(EnrichedEvent._options.fields)
_TYPE = _FIELDS.index("event_type")
_when_and_type = itemgetter(_FIELDS.index("ts"), _TYPE)
_sale = itemgetter(*map(_FIELDS.index, ("ts", "product_id", "category", "quantity", "revenue")))

#: Minute as `YYYY-MM-DD HH:MM`, or None; product; category.
_Key = tuple[str | None, str | None, str]


@dataclass(slots=True)
class Sum:
    """Purchases, pieces, and what they brought."""

    orders: int = 0
    units: int = 0
    revenue: float = 0.0


@dataclass(frozen=True, slots=True)
class Sales:
    """Sums of some rows: events by time and type, purchases by minute, product and category."""

    events: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    purchases: dict[_Key, Sum] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> "Sales":
        """Sum rows in the column order of ``EnrichedEvent``."""
        purchases: dict[_Key, Sum] = {}
        for ts, product, category, units, revenue in [
            _sale(row) for row in rows if row[_TYPE] == PURCHASE
        ]:
            key = ts and ts[:16], product, category
            one = purchases.get(key)
            if one is None:
                purchases[key] = Sum(1, units, revenue)
            else:
                one.orders += 1
                one.units += units
                one.revenue += revenue
        return cls(Counter(map(_when_and_type, rows)), purchases)

    def add(self, other: "Sales") -> None:
        """Add the sums of other rows."""
        self.events.update(other.events)
        _merge(self.purchases, other.purchases.items())

    def by_minute(self) -> list[dict[str, Any]]:
        """Events by step and sums of the purchases of each minute, as rows to store."""
        steps: Counter[tuple[str, str]] = Counter()
        for (ts, event_type), number in self.events.items():
            steps[_time(ts, 16), STEPS.get(event_type or "", OTHERS)] += number
        sums = _merge(
            {}, ((_time(minute, 16), one) for (minute, _, _), one in self.purchases.items())
        )
        return [
            {
                "minute": minute,
                **{step: steps[minute, step] for step in (*dict.fromkeys(STEPS.values()), OTHERS)},
                "units": sums.get(minute, Sum()).units,
                "revenue": sums.get(minute, Sum()).revenue,
            }
            for minute in sorted({minute for minute, _ in steps})
        ]

    def by_product(self) -> list[dict[str, Any]]:
        """Sums of the purchases of each hour, product and category, as rows to store."""
        sums = _merge(
            {},
            (
                ((_time(minute, 13), NO_PRODUCT if product is None else product, category), one)
                for (minute, product, category), one in self.purchases.items()
            ),
        )
        return [
            {
                "hour": hour,
                "product_id": product,
                "category": category,
                "orders": one.orders,
                "units": one.units,
                "revenue": one.revenue,
            }
            for (hour, product, category), one in sorted(sums.items(), key=itemgetter(0))
        ]


def _merge(sums: dict[_K, Sum], more: Iterable[tuple[_K, Sum]]) -> dict[_K, Sum]:
    for key, one in more:
        mine = sums.setdefault(key, Sum())
        mine.orders += one.orders
        mine.units += one.units
        mine.revenue += one.revenue
    return sums


def _time(ts: str | None, digits: int) -> str:
    return NO_TIME if ts is None else ts[:digits] + NO_TIME[digits:]
