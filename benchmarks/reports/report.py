"""Results as people and programs read them: a Markdown table, and JSON beside it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring.runs import Run

HEAD = (
    "program",
    "events/s",
    "ours is … times as fast",
    "CPU µs/event",
    "broker µs/event",
    "database µs/event",
    "peak memory (MB)",
    "first row after (s)",
    "runs",
    "events a run",
)

#: Fields of a run that are long.
COURSE = frozenset({"memory", "growth"})
#: What a reader of the numbers must know.
NOTE = (
    "Medians of the runs, with the lowest and the highest; ratios are taken within each round. "
    "Rates and processor time are those of the steady state, between the commits that complete "
    "10 % and 90 % of the rows. The rows of every run were held against their number, a checksum "
    "and sums."
)


def line(one: Run) -> str:
    """A run in a line."""
    if one.wrong:
        return f"{one.program}: WRONG: {one.wrong}"
    return (
        f"{one.program}: {one.rate:,.0f} events/s, {one.micros:.1f} µs of CPU an event "
        f"(broker {one.micros_broker:.1f}, database {one.micros_database:.1f}), "
        f"{one.peak_memory / 1e6:.0f} MB, first row after {one.first_row:.1f} s"
    )


def comparison(
    ours: str,
    runs: Sequence[Sequence[Run]],
    left_out: Mapping[str, str],
    lacks: Mapping[str, Sequence[str]],
) -> str:
    """Medians, with the lowest and the highest, of rounds in which each program ran once.

    Args:
        ours: the name of the program the others are held against, round by round.
        runs: the rounds.
        left_out: why others did not run, by name.
        lacks: what each program does not give, by name.
    """
    names = list(dict.fromkeys(run.program for one in runs for run in one))
    lines = [_line(HEAD), _line(["---", *["---:"] * (len(HEAD) - 1)])]
    lines += [_program(name, ours, runs) for name in names]
    lines.append(f"\n{NOTE}")
    lines += _lacking(ours, lacks)
    lines += [f"\n{name} is left out: {why}." for name, why in left_out.items()]
    return "\n".join(lines)


def _lacking(ours: str, lacks: Mapping[str, Sequence[str]]) -> list[str]:
    """What programs do not give, those that lack the same in one line."""
    groups: dict[str, list[str]] = {}
    for name, lacking in lacks.items():
        if lacking:
            groups.setdefault(", ".join(lacking), []).append(name)
    if not groups:
        return []
    intro = f"\nNot so {ours}, and the numbers do not show it:\n"
    return [intro, *(f"- {what}: {'; '.join(names)}" for what, names in groups.items())]


def _program(name: str, ours: str, rounds: Sequence[Sequence[Run]]) -> str:
    runs = [run for one in rounds for run in one if run.program == name]
    good = [run for run in runs if not run.wrong]
    wrong = next((run.wrong for run in runs if run.wrong), "")
    label = f"{name} (WRONG {len(runs) - len(good)} of {len(runs)}: {wrong})" if wrong else name
    if not good:
        return _line([label, *["–"] * (len(HEAD) - 1)])
    # One that commits everything at once has no steady state, and so no rate.
    steady = [run for run in good if run.steady]
    return _line(
        [
            label,
            spread([run.rate for run in steady], ",.0f"),
            spread(ratios(name, ours, rounds), ".2f") if name != ours else "1",
            spread([run.micros for run in steady], ".1f"),
            spread([run.micros_broker for run in steady], ".1f"),
            spread([run.micros_database for run in steady], ".1f"),
            spread([run.peak_memory / 1e6 for run in good], ".0f"),
            spread([run.first_row for run in good], ".1f"),
            str(len(good)),
            f"{good[0].events:,}",
        ]
    )


def ratios(name: str, ours: str, rounds: Sequence[Sequence[Run]]) -> list[float]:
    """Our rate over that of another in each round in which both were right."""
    found = []
    for one in rounds:
        rates = {run.program: run.rate for run in one if not run.wrong}
        if rates.get(name) and rates.get(ours):
            found.append(rates[ours] / rates[name])
    return found


def spread(values: Sequence[float], form: str) -> str:
    """``median (lowest–highest)``."""
    if not values:
        return "–"
    middle = format(median(values), form)
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):{form}}–{max(values):{form}})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(map(_line, [head, rule, *rows]))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def save(folder: Path, name: str, text: str, machine: Mapping[str, Any], results: Any) -> Path:
    """Write ``NAME.md`` and ``NAME.json``; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    found = "\n".join(f"- {key}: {value}" for key, value in machine.items())
    path = folder / f"{name}.md"
    path.write_text(f"# {name}, {made}\n\n{text}\n\n{found}\n")
    content = {"made": made, "machine": dict(machine), "results": results}
    path.with_suffix(".json").write_text(json.dumps(content, indent=1, ensure_ascii=False))
    return path


def as_json(run: Run) -> dict[str, Any]:
    """A run with what is computed from it, without its course."""
    return {
        **{name: value for name, value in asdict(run).items() if name not in COURSE},
        "rate": run.rate,
        "micros": run.micros,
        "micros_broker": run.micros_broker,
        "micros_database": run.micros_database,
    }
