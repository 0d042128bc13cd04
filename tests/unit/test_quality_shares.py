"""Shares of rows filled and repaired: told in words, and judged as the alerts do."""

import re

import yaml

from agents.flash_sales import QUALITY
from dev import ROOT

shares = QUALITY.shares

ALERTS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def test_a_mistyped_price_is_high_above_one_percent():
    [price] = shares(200, {}, {"price.mistyped": 2})
    assert (price.rows, price.share, price.is_high) == (2, 0.01, False)
    [price, other] = shares(200, {"price": 3}, {"price.mistyped": 3})
    assert price.is_high
    assert not other.is_high
    assert price.sentence() == (
        "price was repaired in 3 rows (1.5%): 3 mistyped; stored as price 0 with revenue 0"
    )


def test_kinds_of_a_field_are_counted_together():
    [quantity] = shares(100, {}, {"quantity.out_of_range": 3, "quantity.mistyped": 3})
    assert (quantity.rows, quantity.is_high) == (6, True)
    assert quantity.kinds == {"mistyped": 3, "out_of_range": 3}


def test_guests_are_no_trouble():
    [users] = shares(100, {"user_id": 100}, {})
    assert not users.is_high
    assert users.sentence() == "user_id was filled in 100 rows (100.0%)"


def test_the_alerts_have_the_same_limits():
    repaired = ALERTS["ManyRepaired"]
    assert f'field="price"}} > {QUALITY.repaired["price"]}' in repaired
    assert f"share1m > {QUALITY.repaired_else}" in repaired
    found = {
        field: float(limit)
        for fields, limit in re.findall(r'field=~?"([^"]+)"} > (\S+)', ALERTS["ManyFilled"])
        for field in fields.split("|")
    }
    assert found == QUALITY.filled
