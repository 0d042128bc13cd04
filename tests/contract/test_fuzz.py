"""A short run of the fuzzer; a long one is `make fuzz`."""

import re

from dev import ROOT
from tests.contract.fuzz import run


def test_mutated_values_become_a_row_or_a_dead_letter():
    outcomes = run(20_000, seed=20_261_127)
    assert sum(outcomes.values()) == 20_000
    page = (ROOT / "docs" / "guarantees.md").read_text().partition(" 0 exceptions:\n")[2]
    shown = re.findall(r"^ +[\d,]+ (.+)$", page.partition("```")[0], re.MULTILINE)
    assert outcomes.keys() == set(shown), "every outcome was met, and no other"
