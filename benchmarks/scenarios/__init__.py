"""What is measured: this app beside its peers (`compare`), and what only this app is asked."""

from collections.abc import Callable
from typing import Any

from benchmarks.measuring.stage import Stage
from benchmarks.scenarios.backlog import backlog
from benchmarks.scenarios.full_table import full_table
from benchmarks.scenarios.kinds_of_events import (
    all_codecs,
    bad_values,
    catalogue,
    duplicates,
    refused_rows,
    traffic,
)
from benchmarks.scenarios.latency import latency
from benchmarks.scenarios.network import network
from benchmarks.scenarios.ordinary_day import ordinary_day
from benchmarks.scenarios.outage import outage
from benchmarks.scenarios.partitions_and_workers import more_workers, partitions
from benchmarks.scenarios.restarts import restarts
from benchmarks.scenarios.servers import servers

#: A table and the results for JSON, from the rounds and the scale of the sizes.
Scenario = Callable[[Stage, int, float], tuple[str, Any]]

SCENARIOS: dict[str, Scenario] = {
    "latency": latency,
    "ordinary": ordinary_day,
    "partitions": partitions,
    "workers": more_workers,
    "rows": full_table,
    "traffic": traffic,
    "network": network,
    "servers": servers,
    "bad": bad_values,
    "refused": refused_rows,
    "catalogue": catalogue,
    "duplicates": duplicates,
    "codecs": all_codecs,
    "backlog": backlog,
    "outage": outage,
    "restarts": restarts,
}
