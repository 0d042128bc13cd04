"""The simulator knows what must become of its events, and the audit notices what did not."""

from collections import Counter
from itertools import islice
from random import Random

import pytest

from commands.traffic.shop import Shop, rush
from commands.traffic.simulator import Event, Outcome, events
from dev.audit import Audit, Sent
from models.rules import Reason, Rejection, transform


def some(number: int, bad: float = 0.02) -> list[Event]:
    return list(islice(events(1, bad=bad, clock=lambda: 1_795_774_530.25), number))


def test_same_arguments_same_events() -> None:
    assert some(50) == some(50)


def test_events_are_numbered_and_carry_their_number() -> None:
    assert [(event.number, event.key) for event in islice(events(first=7), 2)] == [
        (7, b"sim-7"),
        (8, b"sim-8"),
    ]


@pytest.mark.parametrize("bad", [0.0, 0.3, 1.0])
def test_share_of_bad_ones(bad: float) -> None:
    dropped = sum(event.outcome != Outcome.ROW for event in some(2000, bad=bad))
    assert dropped == pytest.approx(2000 * bad, abs=100)


def test_outcomes_are_those_of_the_pipeline() -> None:
    found = [(event, transform(event.value)) for event in some(5000, bad=0.5)]
    wrong = [
        (event, result)
        for event, result in found
        if event.outcome
        != (result.reason.value if isinstance(result, Rejection) else Outcome.ROW.value)
    ]
    assert not wrong[:3]
    assert {event.outcome for event, _ in found} == set(Outcome)
    assert {reason.value for reason in Reason} == set(Outcome) - {Outcome.ROW}


def test_an_event_left_out_is_noticed() -> None:
    sent = Sent(some(3))
    with pytest.raises(ValueError, match="event 0 came after 3"):
        sent.add(some(1)[0])


def test_verdict_in_words() -> None:
    audit = Audit(sent=9, rows=7, doubled=[3], missing=list(range(6)))
    assert not audit.exact
    assert "9 events sent, 7 rows stored, 0 dropped (none), 1 duplicates (3)" in str(audit)
    assert "6 missing (0, 1, 2, 3, 4, …)" in str(audit)


def test_visit_views_then_fills_a_cart_then_buys() -> None:
    shop = Shop(Random(1))
    reached: dict[tuple[str, str], set[str]] = {}
    steps = Counter[str]()
    for number in range(20_000):
        fields = shop.next(f"s-{number}", 1_795_774_530.0)
        before = reached.setdefault((fields["user_id"], fields["product_id"]), set())
        step = fields["event_type"]
        assert step == "view" or ("view" if step == "add_to_cart" else "add_to_cart") in before
        before.add(step)
        steps[step] += 1
    assert steps["view"] > 3 * steps["add_to_cart"] > 3 * steps["purchase"] > 0


def test_a_rush_is_ahead_of_an_even_pace_and_back_at_its_end() -> None:
    assert rush(15, 60) > 20
    assert rush(60, 60) == pytest.approx(60)
    assert all(rush(t + 1, 60) > rush(t, 60) for t in range(120))
