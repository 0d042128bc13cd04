"""Rounds of a benchmark."""

from typing import Any

from benchmarks.reports import report
from benchmarks.scenarios.rounds import in_rounds


def test_each_measurement_is_first_once_and_found_at_its_place(monkeypatch):
    """What runs after a heavy neighbour is slower, always the same one if the order stays."""
    monkeypatch.setattr(report, "line", str)
    order = []

    def measurement(name: str) -> Any:
        def measure() -> str:
            order.append(name)
            return name

        return measure

    found: Any = in_rounds(3, [measurement(name) for name in "abc"])

    assert order == [*"abc", *"bca", *"cab"]
    assert found == [[*"abc"]] * 3
