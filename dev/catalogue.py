"""The metrics, as documentation lists them."""

from prometheus_client import Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

from pipeline import metrics
from web.progress import REVENUE

_SUFFIXES = {Counter: "_total", Info: "_info", Gauge: "", Histogram: ""}


def table() -> str:
    """All of them as a table of documentation."""
    head = "| metric | type | labels | |\n|---|---|---|---|\n"
    return head + "".join(_line(found) for found in catalogue())


def catalogue() -> list[MetricWrapperBase]:
    """Every metric, in the order of `pipeline/metrics.py`."""
    return [*(one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)), REVENUE]


def exposed_name(metric: MetricWrapperBase) -> str:
    """The name on `/metrics`, a histogram's without its endings."""
    return f"{metric._name}{_SUFFIXES[type(metric)]}"


def _line(metric: MetricWrapperBase) -> str:
    labels = ", ".join(f"`{name}`" for name in metric._labelnames)
    kind = type(metric).__name__.lower()
    return f"| `{exposed_name(metric)}` | {kind} | {labels} | {metric._documentation} |\n"
