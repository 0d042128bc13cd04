"""The faults of three brokers, of which two at least are always there."""

import time

from tests.chaos.faults import Fault
from tests.chaos.stage import TOPIC, Stage
from tests.helpers.three_brokers import Node, ThreeBrokers


def kill_one_broker(stage: Stage) -> None:
    """Also the one that coordinates the group, or leads most partitions."""
    node = _any(stage)
    node.kill()
    _pause(stage)
    node.start()


def stop_one_broker(stage: Stage) -> None:
    node = _any(stage)
    node.stop()
    _pause(stage)
    node.start()


def freeze_one_broker(stage: Stage) -> None:
    node = _any(stage)
    node.pause()
    time.sleep(stage.random.uniform(1, 8))
    node.resume()


def rolling_restart(stage: Stage) -> None:
    _brokers(stage).restart_in_turn(lambda: None)


def move_leaders(stage: Stage) -> None:
    """Of the partitions, and the group's coordinator."""
    order = stage.random.sample([1, 2, 3], 3)
    brokers = _brokers(stage)
    brokers.move(TOPIC, [order[number % 3 :] + order[: number % 3] for number in range(6)])
    brokers.move("__consumer_offsets", [order])


def reassign_partitions(stage: Stage) -> None:
    """A third of the replicas is given up, and copied again from those that are left."""
    brokers = _brokers(stage)
    pairs = [stage.random.sample([1, 2, 3], 2) for _ in range(6)]
    brokers.move(TOPIC, pairs)
    _pause(stage)
    brokers.move(TOPIC, [[*({1, 2, 3} - {*pair}), *pair] for pair in pairs])


CLUSTER_FAULTS: tuple[Fault, ...] = (
    kill_one_broker,
    stop_one_broker,
    freeze_one_broker,
    rolling_restart,
    move_leaders,
    reassign_partitions,
)


def _brokers(stage: Stage) -> ThreeBrokers:
    assert isinstance(stage.broker, ThreeBrokers)
    return stage.broker


def _any(stage: Stage) -> Node:
    return stage.random.choice(_brokers(stage).nodes)


def _pause(stage: Stage) -> None:
    time.sleep(stage.random.uniform(0.2, 4))
