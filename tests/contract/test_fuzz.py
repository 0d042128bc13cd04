"""A short run of the fuzzer; a long one is `make fuzz`."""

from tests.contract.fuzz import run


def test_mutated_values_become_a_row_or_a_dead_letter():
    outcomes = run(20_000, seed=20_261_127)
    assert sum(outcomes.values()) == 20_000
    assert len(outcomes) == 5, "every outcome was met"
