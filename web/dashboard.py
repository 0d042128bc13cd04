"""The dashboard: one page without external resources, and the JSON that all viewers share."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import faust
from faust.web import Request, Response, View

from db.reports import Reports
from models.rules import Reason
from pipeline.errors import FatalError, TransientError
from pipeline.threads import in_thread
from web.headers import content_policy
from web.health import Health
from web.status import Status

_HERE = Path(__file__).parent
_VENDOR = _HERE / "vendor" / "uplot"
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)

#: Seconds for which the database's answer is reused, and that a viewer waits for a new one.
MAX_AGE = 2.0
ANSWER_TIMEOUT = 1.5
#: Seconds for which it is reused while nothing happens.
IDLE_AGE = 30.0
#: After a query slower than SLOW seconds, the next one waits REST times as long as it took.
SLOW = 0.1
REST = 10


class Shared:
    """An answer of the database that all viewers share; getting it never takes long.

    Args:
        ask: asks the database.
        version: changes whenever the answer may have changed.
    """

    def __init__(
        self, ask: Callable[[], Awaitable[Any]], version: Callable[[], object] = lambda: None
    ) -> None:
        self._ask = ask
        self._version = version
        #: The version when the database was last asked.
        self._asked_of: object = self
        self._value: Any = None
        self._since: float | None = None
        self._error: str | None = None
        self._asking: asyncio.Task[None] | None = None
        self._asked = 0.0
        self._took = 0.0

    async def get(self) -> dict[str, Any]:
        """The newest answer, its age in seconds, and the current error or None."""
        # However large the sums, viewers use at most a tenth of the database's time.
        is_idle = self._error is None and self._version() == self._asked_of
        rest = REST * self._took if self._took > SLOW else 0.0
        pause = max(IDLE_AGE if is_idle else MAX_AGE, rest)
        if self._asking is None and monotonic() - self._asked >= pause:
            self._asked, self._asked_of = monotonic(), self._version()
            self._asking = asyncio.create_task(self._refresh())
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=ANSWER_TIMEOUT)
        waited = monotonic() - self._asked
        error = self._error
        if self._asking is not None and waited >= ANSWER_TIMEOUT:
            error = f"no answer for {waited:.0f} s"
        age = None if self._since is None else round(monotonic() - self._since, 1)
        return {"value": self._value, "age": age, "error": error}

    async def _refresh(self) -> None:
        try:
            self._value = await self._ask()
            self._since, self._error = monotonic(), None
        except (TransientError, FatalError) as error:
            self._error = str(error)
        finally:
            self._took = monotonic() - self._asked
            self._asking = None


def page() -> tuple[str, dict[str, str]]:
    """The page and its headers, which allow only its own inline styles and scripts."""
    html = (_HERE / "dashboard.html").read_text()
    html = html.replace("/* uPlot.min.css */", (_VENDOR / "uPlot.min.css").read_text())
    html = html.replace("/* uPlot.iife.min.js */", (_VENDOR / "uPlot.iife.min.js").read_text())
    inline: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        inline[kind].append(text)
    return html, content_policy(scripts=inline["script"], styles=inline["style"])


def dashboard(app: faust.App, state: Status, health: Health, reports: Reports) -> None:
    """Register the page and its data.

    Args:
        app: the Faust app.
        state: this worker's state.
        health: whether it is alive and ready.
        reports: the database's numbers.
    """
    html, headers = page()
    one_at_a_time = asyncio.Lock()

    async def ask(question: Callable[..., Any], *arguments: object) -> Any:
        # However many pages are open, they use one connection to the database.
        async with one_at_a_time:
            return await in_thread(question, *arguments)

    sales = Shared(partial(ask, reports.sales), state.version)
    dead_letters = {
        name: Shared(partial(ask, reports.dead_letters, reason), state.version)
        for name, reason in [("", None), *((reason.value, reason) for reason in Reason)]
    }

    @app.page("/dashboard/", name="dashboard")
    async def dashboard_page(self: View, request: Request) -> Response:
        return self.html(html, headers=dict(headers))

    @app.page("/dashboard/data/", name="dashboard-data")
    async def data_page(self: View, request: Request) -> Response:
        answer = {
            "alive": health.alive(),
            "ready": health.ready(),
            "worker": state.with_history(),
            "sales": await sales.get(),
        }
        return self.json(answer)

    @app.page("/dashboard/dead-letters/", name="dashboard-dead-letters")
    async def dead_letters_page(self: View, request: Request) -> Response:
        wanted = dead_letters.get(request.query.get("reason", ""))
        if wanted is None:
            return self.json({"error": "no such reason"}, status=404)
        return self.json(await wanted.get())
