"""A short campaign: every fault twice, in an order the seed decides."""

import os

import pytest

from dev.servers.chosen_broker import choose
from dev.servers.processes import Folder
from tests.chaos.campaign import drawn, run, table
from tests.chaos.faults import BROKER_FAULTS, FAULTS
from tests.chaos.stage import Stage

SEED = int(os.environ.get("SEED", "1"))


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_every_fault_twice():
    kind, _ = choose()
    faults = FAULTS + (BROKER_FAULTS if kind.can_restart else ())
    with Folder("chaos") as folder, Stage(folder, kind, SEED) as stage:
        results = run(stage, drawn(faults, SEED), rounds=2 * len(faults), seed=SEED)
    print(table(results))
    assert all(result.times == 2 for result in results.values())
    assert sum(result.missing + result.doubled for result in results.values()) == 0
