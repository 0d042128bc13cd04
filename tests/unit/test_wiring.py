"""The app is made of objects, each of those before it: no closures, no handfuls of callables."""

import ast
import importlib
import inspect
import typing
from collections.abc import Callable
from typing import Any, get_args, get_origin

import pytest

from dev import ROOT
from pipeline.stream import Stream
from tests.unit.test_architecture import MODULES

#: More than this many callables to one constructor are a missing object.
MOST = 3
#: A stream is its functions.
MADE_OF_FUNCTIONS = {Stream}


def test_the_app_has_no_closures():
    tree = ast.parse((ROOT / "app.py").read_text())
    inner = [
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if node is not function
        and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    assert inner == []


def callables(owner):
    """How many of a constructor's parameters are functions, or sequences of them."""
    hints = typing.get_type_hints(owner.__init__)
    return sum(map(is_callable, (hints[name] for name in hints.keys() - {"return"})))


def is_callable(hint: Any) -> bool:
    return get_origin(hint) is Callable or any(map(is_callable, get_args(hint)))


def classes():
    for name in MODULES:
        if name == "app" or name.startswith("db.migrations"):
            continue  # they act when they are imported
        for one in vars(importlib.import_module(name)).values():
            if inspect.isclass(one) and one.__module__ == name and "__init__" in vars(one):
                yield one


@pytest.mark.parametrize("owner", list(classes()), ids=lambda one: one.__qualname__)
def test_no_constructor_takes_many_callables(owner):
    assert owner in MADE_OF_FUNCTIONS or callables(owner) <= MOST
