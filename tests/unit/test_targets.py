"""Targets of the benchmark: reached by any of the runs, missed by all of them, or not measured."""

from typing import Any

import pytest

from benchmarks.measuring.programs import OURS
from benchmarks.peers.peer_list import PROGRAMS
from benchmarks.reports import targets
from benchmarks.reports.targets import MARIADB, MYSQL, MYSQL_LOADS, TARGETS, USUAL_PACE, YARDSTICK
from benchmarks.scenarios import SCENARIOS

LOAD, TEXT = "Go loop, LOAD DATA LOCAL (a limit)", "Go loop, text inserts (a limit)"


def check(measured: dict[str, Any], server: str = MARIADB) -> tuple[str, bool]:
    return targets.check(measured, server)


def runs(*rates: dict[str, float]) -> list[list[dict[str, Any]]]:
    """Rounds of runs of these programs at these rates."""
    more = {"micros": 2.0, "micros_database": 5.0, "peak_memory": 1e8, "wrong": ""}
    return [
        [{"program": program, "rate": rate, **more} for program, rate in one.items()]
        for one in rates
    ]


def test_a_target_is_missed_where_no_run_reaches_it() -> None:
    table, reached = check({"codecs": runs({"lz4": 100, "zstd": 80}, {"lz4": 100, "zstd": 84})})
    assert "| zstd: times the rate of lz4 | ≥ 0.85 | ≥ 0.85 | 0.82 (0.80–0.84) | missed |" in table
    assert not reached
    table, reached = check({"codecs": runs({"lz4": 100, "zstd": 80}, {"lz4": 100, "zstd": 86})})
    assert "reached" in table
    assert reached


@pytest.mark.parametrize(("lowest", "outcome"), [(7.9, True), (8.1, False)])
def test_a_cost_is_to_be_low(lowest: float, outcome: bool) -> None:
    cores = {"0": [0.004], "1000": [0.009], "5000": [0.05, lowest / 2e2], "20000": [0.1]}
    table, reached = check({"ordinary": {"cores": cores, "statements": [480]}})
    assert reached is outcome
    assert "idle: % of a core | ≤ 0.50 | ≤ 0.50 | 0.40 |" in table


def test_a_peer_that_is_missing_reaches_nothing() -> None:
    """Otherwise a machine without Java would show that all is well."""
    table, reached = check({"full": runs({OURS.name: 250_000, "confluent-kafka loop": 90_000})})
    assert "times the rate of Flink SQL, JDBC sink | ≥ 2.50 | ≥ 2.50 | – | not measured |" in table
    assert not reached


def test_speeds_and_costs_are_wanted_at_the_pace_of_the_machine() -> None:
    """A laptop half as fast must not make the app look half as good."""
    results = runs({OURS.name: 110_000, YARDSTICK: 45_000})
    results[0][1]["micros"] = 2 * USUAL_PACE
    cores = {"0": [0.007], "1000": [0.0239], "5000": [0.081], "20000": [0.1]}
    refused = runs({"100 % refused": 1_600})
    ordinary = {"cores": cores, "statements": [480]}
    table, _ = check({"full": results, "ordinary": ordinary, "refused": refused})
    assert "| 100 % refused: events/s | ≥ 3,000 | ≥ 1,500 | 1,600 | reached |" in table
    assert "| µs/event at 1,000 a second | ≤ 12.00 | ≤ 24.00 | 23.90 | reached |" in table
    assert "| µs/event at 5,000 a second | ≤ 8.00 | ≤ 16.00 | 16.20 | missed |" in table
    assert "| idle: % of a core | ≤ 0.50 | ≤ 0.50 | 0.70 | missed |" in table


def test_the_worker_is_to_take_half_as_long_as_the_database() -> None:
    results = runs({OURS.name: 100}, {OURS.name: 100})
    for one, database in zip(results, (3.0, 3.9), strict=True):
        one[0]["micros_database"] = database
    what = "worker µs/event over the database's | ≤ 0.50 | ≤ 0.50 |"
    assert f"{what} 0.59 (0.51–0.67) | missed |" in check({"full": results})[0]
    results[1][0]["micros_database"] = 4.0
    assert f"{what} 0.58 (0.50–0.67) | reached |" in check({"full": results})[0]


def test_a_target_for_one_server_is_left_out_on_the_others() -> None:
    results = {"full": runs({OURS.name: 100, LOAD: 110, TEXT: 90})}
    tables = {server: check(results, server)[0] for server in (MARIADB, MYSQL, MYSQL_LOADS)}
    load = f"{LOAD}, on MariaDB | ≥ 0.90 | ≥ 0.90 | 0.91 | reached |"
    text = f"{TEXT}, on MySQL with LOCAL_INFILE=ON | ≥ 1.00 | ≥ 1.00 | 1.11 | reached |"
    assert [load in table for table in tables.values()] == [True, False, False]
    assert [text in table for table in tables.values()] == [False, False, True]
    assert "Go loop" not in tables[MYSQL]


def test_wrong_rows_count_for_nothing() -> None:
    results = runs({"lz4": 100, "zstd": 100})
    results[0][1]["wrong"] = "a row too many"
    assert "not measured" in check({"codecs": results})[0]


def test_what_has_no_targets_has_no_table() -> None:
    assert check({"backlog": {}}) == ("", True)


def test_targets_name_scenarios_and_programs_that_there_are() -> None:
    names = {program.name for program in (OURS, *PROGRAMS)}
    for target in TARGETS:
        assert target.scenario in {"full", *SCENARIOS}
        if target.scenario == "full" and ": times the rate of " in target.what:
            assert set(target.what.split(": times the rate of ")) <= names
