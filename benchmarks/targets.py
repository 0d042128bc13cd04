"""What the app is to reach, held against what was measured.

A target is missed when no run of several reaches it: then it is missed by more than they differ.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import report
from benchmarks.programs import OURS

#: The results of a scenario, as they are saved: rounds of runs, for most of them.
Results = Any


@dataclass(frozen=True)
class Target:
    """A number to reach.

    Args:
        scenario: that measures it.
        what: in words.
        wanted: at least that, or at most.
        values: one of each round, out of the scenario's results.
        at_least: whether more is better.
    """

    scenario: str
    what: str
    wanted: float
    values: Callable[[Results], Sequence[float]]
    at_least: bool = True

    def is_missed(self, found: Sequence[float]) -> bool:
        """Whether not one of the rounds reached it."""
        return max(found) < self.wanted if self.at_least else min(found) > self.wanted


def _of(name: str, program: str, rounds: Results) -> list[float]:
    right = (run for one in rounds for run in one if not run["wrong"])
    return [run[name] for run in right if run["program"] == program]


def _beside(program: str, other: str, rounds: Results) -> list[float]:
    """One rate over the other, round by round."""
    rates = ({run["program"]: run["rate"] for run in one if not run["wrong"]} for one in rounds)
    return [one[program] / one[other] for one in rates if one.get(program) and one.get(other)]


def _core(rate: int, results: Results) -> list[float]:
    """Microseconds an event at so many a second; percent of a core where there are none."""
    return [1e6 * one / rate if rate else 100 * one for one in results["cores"][str(rate)]]


def _ratio(scenario: str, program: str, other: str, wanted: float) -> Target:
    what = f"{program}: times the rate of {other}"
    return Target(scenario, what, wanted, partial(_beside, program, other))


TARGETS = (
    Target("full", "events/s", 200_000, partial(_of, "rate", OURS.name)),
    _ratio("full", OURS.name, "Flink SQL, JDBC sink", 2.0),
    _ratio("full", OURS.name, "confluent-kafka loop", 2.3),
    Target("full", "worker µs/event", 2.5, partial(_of, "micros", OURS.name), at_least=False),
    Target(
        "full", "peak memory (bytes)", 110e6, partial(_of, "peak_memory", OURS.name), at_least=False
    ),
    _ratio("catalogue", "1/3 buy, 5,000 products", "no purchases", 0.95),
    _ratio("catalogue", "every event its own product and minute", "1/3 buy, 100 products", 0.75),
    _ratio("traffic", "1 % with escapes", "usual events", 0.85),
    _ratio("traffic", "5 % repaired", "usual events", 0.85),
    _ratio("codecs", "zstd", "lz4", 0.85),
    _ratio("partitions", "12 partitions", "4 partitions", 0.85),
    _ratio("partitions", "300 partitions", "4 partitions", 0.85),
    _ratio("refused", "1 % refused", "none refused", 0.5),
    Target("refused", "100 % refused: events/s", 3_000, partial(_of, "rate", "100 % refused")),
    _ratio("duplicates", "true, 5 % duplicates", "DEDUPLICATE=false", 0.6),
    Target("ordinary", "idle: % of a core", 0.6, partial(_core, 0), at_least=False),
    *(
        Target(
            "ordinary", f"µs/event at {rate:,} a second", 8, partial(_core, rate), at_least=False
        )
        for rate in (1_000, 5_000, 20_000)
    ),
)


def check(measured: Mapping[str, Results]) -> tuple[str, bool]:
    """A table of these scenarios' targets, empty without any, and whether all are reached."""
    rows = []
    reached = True
    for target in TARGETS:
        if target.scenario not in measured:
            continue
        found = target.values(measured[target.scenario])
        if not found:
            outcome = "not measured"
        else:
            outcome = "missed" if target.is_missed(found) else "reached"
        reached = reached and outcome == "reached"
        wanted = f"{'≥' if target.at_least else '≤'} {target.wanted:,.10g}"
        form = ",.0f" if target.wanted > 1_000 else ".2f"
        rows.append([target.what, wanted, report.spread(found, form), outcome])
    text = report.table(["target", "wanted", "measured", ""], rows) if rows else ""
    return text, reached
