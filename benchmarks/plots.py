"""``python -m benchmarks.plots``: draw the results of ``python -m benchmarks`` into docs/plots."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from benchmarks import BENCH
from benchmarks.measuring.programs import OURS
from dev import ROOT

#: What stands out, and what is beside it.
ACCENT, OTHERS = "#1f6feb", "#9aa4b2"
#: Lines of one plot, from the one that matters most.
LINES = ("#1f6feb", "#bf5b04", "#8250df", "#57606a")

#: What all plots have in common.
STYLE = Path(__file__).with_suffix(".mplstyle")

Runs = Sequence[Sequence[Mapping[str, Any]]]


def partitions(results: Runs) -> Figure:
    """The rate over the topic's partitions."""
    return _rates(results, "Partitions of the topic", "One worker, more partitions")


def workers(results: Runs) -> Figure:
    """The rate over the group's workers."""
    return _rates(results, "Workers, beside broker and database on one machine", "More workers")


def rows(results: Runs) -> Figure:
    """The rate over the rows that were there before."""
    return _rates(results, "Rows in the table before the run", "A table that fills")


def _rates(results: Runs, what: str, title: str) -> Figure:
    """Medians of the rounds, with the lowest and the highest, at equal distances."""
    names = [run["program"].split()[0] for run in results[0]]
    columns = [_good(results, run["program"]) for run in results[0]]
    rates = [[run["rate"] for run in column] for column in columns]
    middles = [median(column) for column in rates]
    figure, axes = _figure(6.4, 3.2)
    places = range(len(names))
    axes.vlines(places, [*map(min, rates)], [*map(max, rates)], color=ACCENT, alpha=0.35, lw=5)
    axes.plot(places, middles, color=ACCENT, marker="o", markersize=5)
    for place, (middle, column) in enumerate(zip(middles, rates, strict=True)):
        _say(axes, f"{middle:,.0f}", (place, max(column)), (0, 8), ha="center")
    axes.set_xticks(places, names)
    axes.set_xlim(-0.4, len(names) - 0.6)
    axes.set_ylim(0, 1.15 * max(map(max, rates)))
    _label(axes, what, "events/s", title)
    return figure


def latency(results: Sequence[Mapping[str, Any]]) -> Figure:
    """Seconds until an event is a row, over the rate of events."""
    names = {"longest": "longest", "p999": "99.9 %", "p99": "99 %", "median": "50 %"}
    figure, axes = _figure(6.4, 3.6)
    sent = [one["sent"] for one in results]
    ends = []
    for (key, name), color in zip(names.items(), reversed(LINES), strict=True):
        axes.plot(sent, [one[key] for one in results], color=color, marker="o", markersize=4)
        ends.append((results[-1][key], name, color))
    top = 1.12 * max(one["longest"] for one in results)
    for (seconds, name, color), height in zip(ends, _apart(ends, top / 16), strict=True):
        at = 1.1 * sent[-1], height
        axes.text(*at, f"{name}: {seconds:.1f} s", color=color, va="center", clip_on=False)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sent, [f"{round(one, -2):,.0f}" for one in sent])
    axes.set_ylim(0, top)
    _label(axes, "events/s sent", "seconds until the row is there", "How soon an event is a row")
    return figure


def _apart(ends: Sequence[tuple[float, str, str]], distance: float) -> list[float]:
    """Heights for labels, from the top down, that keep a distance from each other."""
    heights = [ends[-1][0]]
    for height, *_ in reversed(ends[:-1]):
        heights.append(max(height, heights[-1] + distance))
    return heights[::-1]


def programs(results: Runs) -> Figure:
    """Each program's rate, processor time and memory."""
    names = list(dict.fromkeys(run["program"] for one in results for run in one))
    found = {name: good for name in names if (good := _good(results, name))}
    # The fastest on top.
    order = sorted(found, key=lambda name: median(run["rate"] for run in found[name]))
    panels: dict[str, Callable[[Mapping[str, Any]], float]] = {
        "events/s": lambda run: run["rate"],
        "CPU µs/event": lambda run: run["micros"],
        "memory at most, MB": lambda run: run["peak_memory"] / 1e6,
    }
    figure = Figure(figsize=(9.2, 0.8 + 0.38 * len(order)), layout="constrained")
    for place, ((title, value), axes) in enumerate(
        zip(panels.items(), figure.subplots(1, len(panels), sharey=True), strict=True)
    ):
        values = [median(map(value, found[name])) for name in order]
        colors = [ACCENT if name == OURS.name else OTHERS for name in order]
        bars = axes.barh(order, values, color=colors, height=0.62)
        axes.bar_label(
            bars, [f"{one:,.0f}" if one >= 20 else f"{one:.1f}" for one in values], padding=3
        )
        axes.set_xlim(0, 1.25 * max(values))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_title(title, pad=8)
        axes.tick_params(axis="y", labelleft=place == 0)
    return figure


def backlog(results: Mapping[str, Any]) -> Figure:
    """The rate and the worker's memory while a backlog is worked off."""
    growth = [(at, rows) for at, rows in results["growth"]]
    rates = _in_steps(growth, 2.0)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.step([at for at, _ in rates], [rate for _, rate in rates], where="pre", color=ACCENT)
    below.plot(
        [at for at, _ in results["memory"]],
        [used / 1e6 for _, used in results["memory"]],
        color=ACCENT,
    )
    title = f"A backlog of {results['events']:,} events"
    for axes, what, named in ((above, "events/s", title), (below, "memory, MB", "")):
        _plain(axes)
        axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
        _label(axes, "", what, named)
    below.set_xlabel("seconds since the worker was started")
    return figure


def _in_steps(growth: Sequence[tuple[float, int]], seconds: float) -> list[tuple[float, float]]:
    """The rate of each span of about so many seconds, with its end."""
    found, (begin, before) = [], growth[0]
    for at, stored in growth[1:]:
        if at - begin >= seconds:
            found.append((at, (stored - before) / (at - begin)))
            begin, before = at, stored
    return found


def _good(results: Runs, name: str) -> list[Mapping[str, Any]]:
    """The runs of a program that were right and had a steady state."""
    return [
        run
        for one in results
        for run in one
        if run["program"] == name and not run["wrong"] and run["steady"]
    ]


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _label(axes: Axes, below: str, left: str, title: str) -> None:
    axes.set_xlabel(below)
    axes.set_ylabel(left)
    axes.set_title(title, pad=10)


def _say(
    axes: Axes, words: str, at: tuple[float, float], offset: tuple[float, float], **how: Any
) -> None:
    """A label at a point, so many points beside it."""
    axes.annotate(words, at, offset, textcoords="offset points", **how)


#: Each plot's file, the result that it is drawn from, and what draws it.
PLOTS: dict[str, tuple[str, Callable[[Any], Figure]]] = {
    "programs": ("full", programs),
    "partitions": ("partitions", partitions),
    "workers": ("workers", workers),
    "rows": ("rows", rows),
    "latency": ("latency", latency),
    "backlog": ("backlog", backlog),
}


def draw(name: str, results: Any, path: Path) -> None:
    """Draw a plot into a file, whose suffix says the format: the same results, the same bytes.

    Args:
        name: one of ``PLOTS``.
        results: of the scenario, as its JSON file has them.
    """
    with style.context(STYLE):
        # Without the date and the version that it would write down.
        nameless = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
        PLOTS[name][1](results).savefig(path, metadata=nameless, dpi=150)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw whatever there are results of; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description=__doc__)
    parser.add_argument("--results", type=Path, default=BENCH / "results", help="a folder")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "plots", help="a folder")
    parser.add_argument("--format", choices=["svg", "png"], default="svg")
    options = parser.parse_args(arguments)
    options.to.mkdir(parents=True, exist_ok=True)
    for name, (source, _) in PLOTS.items():
        found = options.results / f"{source}.json"
        if not found.exists():
            print(f"{name} is left out: there is no {found}.", file=sys.stderr)
            continue
        path = options.to / f"{name}.{options.format}"
        draw(name, json.loads(found.read_text())["results"], path)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
