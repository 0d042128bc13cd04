"""Quality flags: what was filled and repaired, and how often."""

from array import array

import pytest

from models.quality import BITS, Kind, tally
from tests.helpers.transformed import changed, row


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({}, set()),
        ({"user_id": None}, {"user_id.filled"}),
        ({"category": None}, {"category.filled"}),
        ({"price": None}, {"price.filled"}),
        ({"quantity": None}, {"quantity.filled"}),
        ({"price": "1.5"}, {"price.mistyped", "price.filled"}),
        ({"quantity": 2.0}, {"quantity.mistyped", "quantity.filled"}),
        ({"quantity": False}, {"quantity.mistyped", "quantity.filled"}),
        ({"price": False}, {"price.mistyped", "price.filled"}),
        ({"quantity": 2**31}, {"quantity.out_of_range", "quantity.filled"}),
        ({"quantity": -(2**31) - 1}, {"quantity.out_of_range", "quantity.filled"}),
        ({"quantity": -(2**63) - 1}, {"quantity.out_of_range", "quantity.filled"}),
        ({"quantity": -(2**31)}, set()),
        ({"event_id": 5}, {"event_id.stringified"}),
        ({"user_id": True}, {"user_id.stringified"}),
        ({"product_id": []}, {"product_id.stringified"}),
        ({"category": {}}, {"category.stringified"}),
        ({"event_type": 1.5}, {"event_type.stringified"}),
        ({"timestamp": "soon"}, {"timestamp.unparsable"}),
        ({"timestamp": 2026}, {"timestamp.stringified"}),
        ({"timestamp": {}}, {"timestamp.stringified", "timestamp.unparsable"}),
    ],
)
def test_what_was_filled_and_repaired_is_flagged(fields, flags):
    assert row(changed(**fields))[1] == flags


def bits(*flags):
    return sum(BITS[field, Kind(kind)] for field, kind in (flag.split(".") for flag in flags))


def test_a_row_has_room_for_all_flags():
    assert len(BITS) <= 8 * array("Q").itemsize, "pipeline.chunk keeps them in that many bits"


def test_flags_are_tallied_by_field_and_kind():
    rows = {
        bits("price.mistyped", "price.filled"): 2,
        bits("price.filled"): 3,
        bits("quantity.out_of_range", "quantity.filled"): 1,
    }
    assert tally(rows) == (
        {"price": 5, "quantity": 1},
        {"price.mistyped": 2, "quantity.out_of_range": 1},
    )


def test_every_flag_has_a_bit_of_its_own():
    filled, repaired = tally(dict.fromkeys(BITS.values(), 1))
    assert len(filled) + len(repaired) == len(BITS)
    assert set((filled | repaired).values()) == {1}
