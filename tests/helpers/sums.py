"""The sales sums beside what the rows themselves add up to, counted in Python, byte by byte."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.rollup.rounds import Rollup
from tests.helpers.accounts import owner

_STEPS = {"view": 0, "cart": 1, "add_to_cart": 1, "purchase": 2}
_Sums = dict[tuple[Any, ...], list[float]]


def settle(engine: Engine, most: int = 500) -> None:
    """Let the roll-up do all there is to do, at once."""
    rollup = Rollup(engine, 0)
    for _ in range(most):
        found = rollup.step()
        assert found.error is None
        if not (found.behind or found.categories_behind or found.rows):
            break
    else:
        raise AssertionError(f"not done after {most} steps: {found}")
    for _ in range(3):
        assert rollup.step().rows == 0


def assert_sums_true(engine: Engine, but: str = "") -> None:
    """The views, but one, say what the rows add up to, to the cent and a FLOAT's digits."""
    with owner(engine).connect() as connection:
        rows = [dict(row) for row in connection.execute(_ROWS).mappings()]
        for view in _VIEWS.keys() - {but}:
            keys, of = _VIEWS[view]
            found = connection.execute(text(f"SELECT * FROM {view}")).all()
            there = {tuple(row[:keys]): [float(value) for value in row[keys:]] for row in found}
            assert len(there) == len(found), f"{view} has a key twice"
            wanted = of(rows)
            assert there.keys() == wanted.keys(), view
            for key, numbers in there.items():
                assert numbers == pytest.approx(wanted[key], rel=1e-5, abs=0.006), (view, key)


_ROWS = text(
    "SELECT event_type, product_id, category, quantity, revenue, ts FROM flash_sale_events"
)


def _sales(key: Callable[[dict[str, Any]], tuple[Any, ...]], *, all_rows: bool = False) -> Any:
    def count(rows: list[dict[str, Any]]) -> _Sums:
        sums: _Sums = defaultdict(lambda: [0, 0, 0])
        for row in rows:
            if row["event_type"] == "purchase":
                one = sums[key(row)]
                one[0] += 1
                one[1] += row["quantity"] or 0
                one[2] += row["revenue"] or 0
            elif all_rows:
                _ = sums[key(row)]
        return sums

    return count


def _funnel(rows: list[dict[str, Any]]) -> _Sums:
    sums: _Sums = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        sums[_minute(row)][_STEPS.get(row["event_type"], 3)] += 1
    return sums


def _minute(row: dict[str, Any]) -> tuple[Any]:
    return (row["ts"] and row["ts"].replace(second=0),)


def _category_minute(row: dict[str, Any]) -> tuple[Any, ...]:
    return *_minute(row), row["category"] or ""


def _product_hour(row: dict[str, Any]) -> tuple[Any, ...]:
    hour = row["ts"] and row["ts"].replace(second=0, minute=0)
    return hour, row["product_id"] or "", row["category"] or ""


_VIEWS = {
    "sales_per_minute": (1, _sales(_minute, all_rows=True)),
    "funnel_per_minute": (1, _funnel),
    "sales_per_product": (1, _sales(lambda row: (row["product_id"] or "",))),
    "sales_per_category": (1, _sales(lambda row: (row["category"] or "",))),
    "sales_per_category_minute": (2, _sales(_category_minute)),
    "sales_per_product_hour": (3, _sales(_product_hour)),
}
