"""What the Python peers share: the rules for good events, the statement, the environment."""

import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pymysql

KAFKA = os.environ["KAFKA"]
TOPIC = os.environ["TOPIC"]
GROUP = os.environ["CONSUMER_GROUP"]

INSERT = (
    "INSERT INTO flash_sale_events (event_id, user_id, product_id, category, event_type, price,"
    " quantity, revenue, ts) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


def to_row(event: dict[str, Any]) -> tuple[Any, ...] | None:
    """Fill, compute the revenue, drop what is invalid; None where it is.

    A price or quantity that is no number is filled as one that is missing.
    """
    product_id = event.get("product_id")
    user_id = event.get("user_id")
    if user_id is None and product_id is not None:
        user_id = f"guest_{product_id}"
    category = event.get("category")
    if category is None and product_id is not None:
        category = f"category_{product_id[:2]}"
    quantity = event.get("quantity")
    if not isinstance(quantity, int):
        quantity = 1
    price = event.get("price")
    if not isinstance(price, (float, int)):
        price = 0.0
    event_id = event.get("event_id")
    if event_id is None or user_id is None or category is None:
        return None
    return (
        event_id,
        user_id,
        product_id,
        category,
        event.get("event_type"),
        price,
        quantity,
        price * quantity,
        to_utc(event.get("timestamp")),
    )


def to_utc(timestamp: str | None) -> str | None:
    """An ISO timestamp as MySQL takes it, in UTC; MySQL rounds the fraction, MariaDB cuts it."""
    if timestamp is None:
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(" ")


def connect() -> "pymysql.Connection[Any]":
    """A connection whose time zone is UTC."""
    url = urlsplit(os.environ["DATABASE_URL"])
    return pymysql.connect(
        host=url.hostname,
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        database=url.path[1:],
        charset="utf8mb4",
        init_command="SET time_zone = '+00:00'",
    )
