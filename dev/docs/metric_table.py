"""The metrics, as a table for the documentation."""

from prometheus_client import Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

from pipeline import metrics
from web.progress import REVENUE

_SUFFIXES = {Counter: "_total", Info: "_info", Gauge: "", Histogram: ""}


def table() -> str:
    """All metrics as a Markdown table."""
    head = "| metric | type | labels | |\n|---|---|---|---|\n"
    names = {found: exposed_name(found) for found in catalogue()}
    lines = [_line(names[found], found, found._documentation) for found in catalogue()]
    lines += [
        _line(old, found, f"Deprecated: use `{names[found]}`.")
        for old, found in deprecated_names().items()
    ]
    return head + "".join(lines)


def catalogue() -> list[MetricWrapperBase]:
    """Every metric, in the order of `pipeline/metrics.py`."""
    return [*(one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)), REVENUE]


def exposed_name(metric: MetricWrapperBase) -> str:
    """The name on `/metrics`; a histogram's without suffixes."""
    return _exposed(metric._name, metric)


def deprecated_names() -> dict[str, MetricWrapperBase]:
    """Metrics by their deprecated names on `/metrics`."""
    return {_exposed(old, metric): metric for old, metric in metrics.DEPRECATED.items()}


def _exposed(name: str, metric: MetricWrapperBase) -> str:
    return f"{name}{_SUFFIXES[type(metric)]}"


def _line(name: str, metric: MetricWrapperBase, documentation: str) -> str:
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    kind = type(metric).__name__.lower()
    return f"| `{name}` | {kind} | {labels} | {documentation} |\n"
