"""What a static member does when the broker no longer knows it, and where its name comes from."""

from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError

from config.instance import platform_name
from config.settings import Settings
from source.cluster.static_member import Coordinator, FencedInstanceIdError, ReplacedError

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({**POD, "HOSTNAME": "etl-0"}, "etl-0"),
        ({**POD, "HOSTNAME": "flash-sale-etl-12"}, "flash-sale-etl-12"),
        ({**POD, "HOSTNAME": "flash-sale-etl-7d9c5b6f4-x2x8z"}, None),
        ({**POD, "HOSTNAME": "flash-sale-etl-7d9c5b6f4-24568"}, None),
        ({**POD, "HOSTNAME": "etl-01"}, None),
        ({"HOSTNAME": "db-1"}, None),
        ({"DYNO": "worker.1", "HOSTNAME": "f3a1"}, "worker.1"),
        ({}, None),
    ],
)
def test_only_a_name_that_is_kept_is_taken(variables, name, monkeypatch):
    assert platform_name(variables) == name
    for variable in ("KUBERNETES_SERVICE_HOST", "HOSTNAME", "DYNO"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert of(group_instance_id="auto").instance_id == name
    assert of(group_instance_id="a-1").instance_id == "a-1"
    assert of().instance_id is None


def of(**given: Any) -> Settings:
    return Settings(kafka_url="a:9092", DATABASE_URL="mysql://u@h/d", **given)


class Broker:
    """Answers requests to join as a broker does, which knows one id of the member's name."""

    def __init__(self) -> None:
        self.knows: str | None = None
        self.asked: list[str] = []

    async def _join(self, coordinator: Any, _: Any) -> bool:
        self.asked.append(coordinator.member_id)
        if coordinator.member_id == "":
            self.knows = coordinator.member_id = f"w-0-{len(self.asked)}"
        elif self.knows is None:
            coordinator.member_id = ""
            return False
        elif self.knows != coordinator.member_id:
            raise KafkaError(repr(FencedInstanceIdError()))
        return True

    def __get__(self, coordinator: Any, _: Any = None) -> Any:
        return lambda subscription: self._join(coordinator, subscription)


@pytest.fixture
def member():
    found = Coordinator.__new__(Coordinator)
    found.member_id, found.group_id = "", "g"
    found._group_instance_id = "w-0"
    return found


@pytest.fixture
def broker(monkeypatch):
    made = Broker()
    monkeypatch.setattr(GroupCoordinator, "_do_rejoin_group", made)
    return made


async def test_one_that_was_replaced_is_told_and_does_not_join(member, broker):
    assert await member._do_rejoin_group(None)
    broker.knows, member.member_id = "w-0-other", ""
    for _ in range(2):
        with pytest.raises(ReplacedError, match=r"^Another worker .* GROUP_INSTANCE_ID w-0 too"):
            await member._do_rejoin_group(None)
    assert broker.knows == "w-0-other"


async def test_one_whose_id_expired_joins_under_none(member, broker):
    assert await member._do_rejoin_group(None)
    broker.knows, member.member_id = None, ""
    assert not await member._do_rejoin_group(None)
    assert await member._do_rejoin_group(None)
    assert broker.asked == ["", "w-0-1", ""]


async def test_a_member_without_a_name_joins_under_no_id(member, broker):
    member._group_instance_id = None
    assert await member._do_rejoin_group(None)
    member.member_id = ""
    assert await member._do_rejoin_group(None)
    assert broker.asked == ["", ""]
