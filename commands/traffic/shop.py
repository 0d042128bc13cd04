"""Simulated visits to the shop, which view products, fill a cart and sometimes buy."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from models.fields import EVENT_FIELDS

CATEGORIES = ("electronics", "fashion", "home", "beauty", "toys", "sports", "食品", "fête 🎉")
PRODUCTS = 500
USERS = 10_000
#: Maximum concurrent visits.
_VISITS = 400
#: The next step and its probability; otherwise the visit ends.
_NEXT = {
    "view": (("view", 0.5), ("add_to_cart", 0.17)),
    "add_to_cart": (("purchase", 0.42), ("view", 0.35)),
    "purchase": (("view", 0.15),),
}
#: Share of events that are late, and their maximum delay in seconds.
_LATE, _LATEST = 0.03, 120.0
#: Relative change of the rate in a rush and in the lull after it.
_SWING = 0.8


@dataclass(slots=True)
class _Visit:
    user: str
    product: int
    step: str = "view"
    quantity: int = 1


class Shop:
    """Concurrent visits, each at its own step.

    Args:
        random: the only source of randomness.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._visits: list[_Visit] = []

    def next(self, event_id: str, now: float) -> dict[str, Any]:
        """The fields of the next event; ``now`` is seconds since 1970."""
        random = self._random
        place = random.randrange(_VISITS)
        if place >= len(self._visits):
            place = len(self._visits)
            self._visits.append(_Visit(f"user_{random.randrange(USERS)}", self._product()))
        visit = self._visits[place]
        fields = {
            "event_id": event_id,
            "user_id": visit.user,
            "product_id": f"P{visit.product:04d}",
            "category": CATEGORIES[visit.product % len(CATEGORIES)],
            "event_type": visit.step,
            "price": price(visit.product),
            "quantity": visit.quantity,
            "timestamp": self._timestamp(now),
        }
        # For all other fields, use the examples of their declarations.
        for field in EVENT_FIELDS:
            if field.name not in fields:
                fields[field.name] = random.choice(field.examples)
        self._advance(place)
        return fields

    def _advance(self, place: int) -> None:
        visit = self._visits[place]
        chance = self._random.random()
        for step, share in _NEXT[visit.step]:
            chance -= share
            if chance < 0:
                if step == "view":
                    visit.product, visit.quantity = self._product(), 1
                elif step == "add_to_cart":
                    visit.quantity = self._random.choice((1, 1, 1, 2, 3))
                visit.step = step
                return
        last = self._visits.pop()
        if place < len(self._visits):
            self._visits[place] = last

    def _product(self) -> int:
        # In a flash sale, a few products draw most of the crowd.
        return min(int(self._random.paretovariate(0.8)), PRODUCTS)

    def _timestamp(self, now: float) -> str:
        random = self._random
        if random.random() < _LATE:
            now -= random.random() * _LATEST
        zone = random.choice((UTC, UTC, timezone(timedelta(hours=5, minutes=30))))
        moment = datetime.fromtimestamp(now, zone)
        return random.choice(_SPELLINGS)(moment)


_SPELLINGS: tuple[Callable[[datetime], str], ...] = (
    lambda moment: moment.isoformat(),
    lambda moment: moment.isoformat(timespec="seconds"),
    lambda moment: moment.isoformat(" ", "milliseconds"),
    lambda moment: moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
)


def price(product: int) -> float:
    """A product's price, always the same."""
    return round(math.exp(Random(product).normalvariate(3.2, 0.8)), 2)  # noqa: S311 - no secret


def rush(elapsed: float, period: float) -> float:
    """Seconds of even pace that correspond to ``elapsed`` seconds: more during each period's rush.

    Over a whole period both are equal.
    """
    turns = 2 * math.pi / period
    return elapsed + _SWING / turns * (1 - math.cos(turns * elapsed))
