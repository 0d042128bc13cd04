"""The dashboard's last minutes: rates, bounded, and never below zero."""

from web.history import SAMPLES, History, Totals


def test_rates_are_per_second_and_smoothed_over_the_last_samples():
    history = History()
    for at, read in ((0, 0), (5, 0), (10, 3000), (15, 3000)):
        history.sample(Totals(at, read, dropped=read // 10, lag=7, buffered=3))
    last = history.as_json()["samples"][-1]
    assert last == {"at": 15, "events": 200.0, "dropped": 20.0, "lag": 7, "buffered": 3}


def test_events_let_go_are_no_negative_rate_and_old_samples_go():
    history = History()
    for number in range(SAMPLES + 50):
        history.sample(Totals(number, -number, dropped=0, lag=None, buffered=0))
    samples = history.as_json()["samples"]
    assert len(samples) == SAMPLES
    assert {sample["events"] for sample in samples} == {0}


def test_a_clock_that_is_set_costs_some_samples():
    history = History()
    for number in range(30):
        stepped = {0: 0, 1: -3600, 2: 3600}[number // 10]
        history.sample(Totals(10_000 + number + stepped, number, dropped=0, lag=0, buffered=0))
    samples = history.as_json()["samples"]
    assert len(samples) >= 25
    assert {sample["events"] for sample in samples[-5:]} == {1}
    assert all(0 <= sample["events"] <= 1 for sample in samples)
