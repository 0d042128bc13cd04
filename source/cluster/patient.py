"""Has a query wait for a cluster that is about to answer."""

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from pipeline.patience import Patience
from source.cluster.auth import Cluster

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Query = Callable[Concatenate[Cluster, _P], Coroutine[Any, Any, _T]]


def patient(query: _Query[_P, _T]) -> _Query[_P, _T]:
    """Have it repeated for ``cluster.patience`` seconds while what it lacks may come by itself."""

    @wraps(query)
    async def waiting(cluster: Cluster, /, *arguments: _P.args, **more: _P.kwargs) -> _T:
        attempt = partial(query, cluster, *arguments, **more)
        return await Patience(cluster.patience).wait_out(attempt)

    return waiting
