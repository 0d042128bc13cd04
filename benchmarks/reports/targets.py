"""What the app is to reach, held against what was measured.

A target is missed when no run of several reaches it: then it is missed by more than they differ.

Speeds and costs are wanted on a machine where an event takes the Python loop of the comparison
7.9 µs. On another one they are as many times as large or small as that loop takes there, where the
same command has measured it; ratios, memory and shares are the same everywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from benchmarks.measuring.programs import OURS
from benchmarks.reports import report

#: The results of a scenario, as they are saved: rounds of runs, for most of them.
Results = Any

#: What tells how fast a machine is, and its processor time an event where targets are as they are.
YARDSTICK, USUAL_PACE = "confluent-kafka loop", 7.9

#: The servers that a target may be for; MySQL's own default is to refuse LOAD DATA LOCAL.
MARIADB, MYSQL, MYSQL_LOADS = "MariaDB", "MySQL", "MySQL with LOCAL_INFILE=ON"


@dataclass(frozen=True)
class Target:
    """A number to reach.

    Args:
        scenario: that measures it.
        what: in words.
        wanted: at least that, or at most.
        values: one of each round, out of the scenario's results.
        at_least: whether more is better.
        of_machine: whether it depends on how fast the machine is.
        server: the only one that it is for; empty where it is for all of them.
    """

    scenario: str
    what: str
    wanted: float
    values: Callable[[Results], Sequence[float]]
    at_least: bool = True
    of_machine: bool = False
    server: str = ""

    def here(self, pace: float) -> float:
        """What is wanted where everything takes so many times as long."""
        if not self.of_machine:
            return self.wanted
        return self.wanted / pace if self.at_least else self.wanted * pace

    def is_missed(self, found: Sequence[float], pace: float) -> bool:
        """Whether not one of the rounds reached it."""
        wanted = self.here(pace)
        return max(found) < wanted if self.at_least else min(found) > wanted


def _of(name: str, program: str, rounds: Results) -> list[float]:
    right = (run for one in rounds for run in one if not run["wrong"])
    return [run[name] for run in right if run["program"] == program]


def _beside(program: str, other: str, rounds: Results) -> list[float]:
    """One rate over the other, round by round."""
    rates = ({run["program"]: run["rate"] for run in one if not run["wrong"]} for one in rounds)
    return [one[program] / one[other] for one in rates if one.get(program) and one.get(other)]


def _shares(program: str, rounds: Results) -> list[float]:
    """A program's processor time over the database's, round by round."""
    times = zip(
        _of("micros", program, rounds), _of("micros_database", program, rounds), strict=True
    )
    return [ours / database for ours, database in times if database]


def _core(rate: int, results: Results) -> list[float]:
    """Microseconds an event at so many a second; percent of a core where there are none."""
    return [1e6 * one / rate if rate else 100 * one for one in results["cores"][str(rate)]]


def _statements(results: Results) -> list[float]:
    """An hour, without events."""
    found: list[float] = results["statements"]
    return found


def _cost(
    scenario: str, what: str, wanted: float, values: Callable[[Results], Sequence[float]]
) -> Target:
    return Target(scenario, what, wanted, values, at_least=False, of_machine=True)


def _ratio(scenario: str, program: str, other: str, wanted: float, server: str = "") -> Target:
    what = f"{program}: times the rate of {other}"
    return Target(scenario, what, wanted, partial(_beside, program, other), server=server)


TARGETS = (
    _ratio("full", OURS.name, "Go loop, LOAD DATA LOCAL (a limit)", 0.9, MARIADB),
    _ratio("full", OURS.name, "Go loop, text inserts (a limit)", 1.0, MYSQL_LOADS),
    _ratio("full", OURS.name, "Flink SQL, JDBC sink", 2.5),
    _ratio("full", OURS.name, YARDSTICK, 4.0),
    Target(
        "full",
        "worker µs/event over the database's",
        0.5,
        partial(_shares, OURS.name),
        at_least=False,
    ),
    Target(
        "full", "peak memory (bytes)", 115e6, partial(_of, "peak_memory", OURS.name), at_least=False
    ),
    _ratio("catalogue", "1/3 buy, 5,000 products", "no purchases", 0.95),
    _ratio("catalogue", "every event its own product and minute", "1/3 buy, 100 products", 0.75),
    # They have 3.3 and 5.2 times the bytes.
    _ratio("traffic", "20 unknown fields", "5 % filled", 0.5),
    _ratio("traffic", "events of 1 KB", "5 % filled", 0.5),
    _ratio("traffic", "1 % with escapes", "5 % filled", 0.85),
    _ratio("traffic", "64 % filled", "whole events", 0.9),
    _ratio("traffic", "5 % repaired", "whole events", 0.95),
    _ratio("network", "TLS to both", "plain, next to each other", 0.85),
    _ratio("network", "database 2 ms away", "plain, next to each other", 0.85),
    _ratio("codecs", "zstd", "lz4", 0.85),
    _ratio("partitions", "12 partitions", "4 partitions", 0.85),
    _ratio("partitions", "300 partitions", "4 partitions", 0.85),
    _ratio("refused", "1 % refused", "none refused", 0.5),
    Target(
        "refused",
        "100 % refused: events/s",
        3_000,
        partial(_of, "rate", "100 % refused"),
        of_machine=True,
    ),
    _ratio("duplicates", "true, 5 % duplicates", "DEDUPLICATE=false", 0.6),
    Target("ordinary", "idle: % of a core", 0.5, partial(_core, 0), at_least=False),
    Target("ordinary", "idle: statements an hour", 600, _statements, at_least=False),
    *(
        _cost("ordinary", f"µs/event at {rate:,} a second", wanted, partial(_core, rate))
        for rate, wanted in ((1_000, 12), (5_000, 8), (20_000, 8))
    ),
)


def check(measured: Mapping[str, Results], server: str) -> tuple[str, bool]:
    """A table of these scenarios' targets, empty without any, and whether all are reached.

    Args:
        measured: results by scenario.
        server: one of those above; what is for another one is left out.
    """
    pace = _pace(measured)
    rows = []
    reached = True
    for target in TARGETS:
        if target.scenario not in measured or target.server not in ("", server):
            continue
        found = target.values(measured[target.scenario])
        if not found:
            outcome = "not measured"
        else:
            outcome = "missed" if target.is_missed(found, pace) else "reached"
        reached = reached and outcome == "reached"
        form = ",.0f" if target.wanted > 1_000 else ".2f"
        sign = "≥" if target.at_least else "≤"
        wanted = [f"{sign} {number:{form}}" for number in (target.wanted, target.here(pace))]
        what = f"{target.what}, on {target.server}" if target.server else target.what
        rows.append([what, *wanted, report.spread(found, form), outcome])
    if not rows:
        return "", True
    head = ["target", "wanted", "wanted here", "measured", ""]
    why = f"The {YARDSTICK} takes {pace * USUAL_PACE:.1f} µs an event here, {USUAL_PACE} where the "
    return f"{report.table(head, rows)}\n\n{why}targets are as they are.", reached


def _pace(measured: Mapping[str, Results]) -> float:
    """How many times as long everything takes here; 1 where that was not measured."""
    found = _of("micros", YARDSTICK, measured.get("full", ()))
    return median(found) / USUAL_PACE if found else 1.0
