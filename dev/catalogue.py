"""``python -m dev.catalogue``: the metrics as a page of documentation."""

from prometheus_client import Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

from pipeline import metrics
from web.progress import REVENUE

_HEAD = """# Metrics

Made by `make docs` from `pipeline/metrics.py`. They are on `/metrics`, beside Faust's own
(`faust_…`) and those of Python and the process. Totals are those of one worker since its start: sum
over workers, and take `rate()` of what ends in `_total`. A histogram has `_bucket`, `_sum` and
`_count`.

| metric | type | labels | |
|---|---|---|---|
"""
_SUFFIXES = {Counter: "_total", Info: "_info", Gauge: "", Histogram: ""}


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_line(found) for found in catalogue())


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


if __name__ == "__main__":
    print(page(), end="")
