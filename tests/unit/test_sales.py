"""What rows amount to, and that merging chunks is the same as summing all their rows at once."""

import json

from hypothesis import given
from hypothesis import strategies as st

from models.rules import Rejection, refine
from models.sales import Sales

EVENTS = st.fixed_dictionaries(
    {
        "event_id": st.just("e"),
        "user_id": st.just("u"),
        "category": st.sampled_from(["c", "d"]),
        "product_id": st.sampled_from(["p", "", None]),
        "event_type": st.sampled_from(["view", "cart", "add_to_cart", "purchase", "gift", None]),
        "price": st.sampled_from([0.5, 2.0, -1.0, None]),
        "quantity": st.sampled_from([1, 3, None]),
        "timestamp": st.sampled_from(["2026-11-27 10:00:05", "2026-11-27 10:59:59", "?", None]),
    }
)


def rows(events):
    found = [refine(json.dumps(event).encode()) for event in events]
    return [one[0] for one in found if not isinstance(one, Rejection)]


@given(st.lists(EVENTS), st.integers(0, 20))
def test_parts_add_up_to_the_whole(events, border):
    every = rows(events)
    whole, parts = Sales.of(every), Sales.of(every[:border])
    parts.add(Sales.of(every[border:]))
    assert parts.by_minute() == whole.by_minute()
    assert parts.by_product() == whole.by_product()
    steps = ("views", "carts", "purchases", "others")
    assert sum(minute[step] for minute in whole.by_minute() for step in steps) == len(every)
    purchases = [row for row in every if row[4] == "purchase"]
    for sums in (whole.by_minute(), whole.by_product()):
        assert sum(one["revenue"] for one in sums) == sum(row[7] for row in purchases)
        assert sum(one["units"] for one in sums) == sum(row[6] for row in purchases)
