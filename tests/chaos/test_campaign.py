"""Short campaigns, in an order the seed decides."""

import os

import pytest

from dev.servers.processes import Folder
from tests.chaos import soak
from tests.chaos.campaign import cast_of, drawn, run, table
from tests.chaos.cluster_faults import CLUSTER_FAULTS
from tests.chaos.stage import Stage
from tests.helpers.three_brokers import ThreeBrokers

SEED = int(os.environ.get("SEED", "1"))


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_every_fault_twice():
    kind, faults, _ = cast_of(1)
    _run(kind, faults, 2)


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.usefixtures("apache")
def test_every_fault_of_three_brokers_twice():
    _run(ThreeBrokers, CLUSTER_FAULTS, 2)


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_soak_of_a_minute():
    assert soak.main(["--minutes", "1", "--seed", str(SEED)]) == 0


def _run(kind, faults, times):
    with Folder("chaos") as folder, Stage(folder, kind, SEED) as stage:
        results = run(stage, drawn(faults, SEED), rounds=times * len(faults), seed=SEED)
    print(table(results))
    assert all(result.times == times for result in results.values())
    assert sum(result.missing + result.doubled for result in results.values()) == 0
    assert not stage.ended_alone
