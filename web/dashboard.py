"""The dashboard: one page without external resources, and the JSON behind it."""

import re
from pathlib import Path

import faust
from faust.web import Request, Response, View

from web.answers import Answers
from web.headers import content_policy
from web.health import Health
from web.status import Status

_HERE = Path(__file__).parent / "page"
_VENDOR = Path(__file__).parent / "vendor" / "uplot"
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
#: A file that the page includes, as `/* file */`.
_INCLUDED = re.compile(r"/\* ([\w.-]+\.(?:css|js)) \*/")


def page() -> tuple[str, dict[str, str]]:
    """The page and its headers, which allow only its own inline styles and scripts."""

    def included(found: re.Match[str]) -> str:
        name = found[1]
        return (next(at for at in (_HERE / name, _VENDOR / name) if at.exists())).read_text()

    html = _INCLUDED.sub(included, (_HERE / "index.html").read_text())
    inline: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        inline[kind].append(text)
    return html, content_policy(scripts=inline["script"], styles=inline["style"])


def dashboard(app: faust.App, worker: str, state: Status, health: Health, answers: Answers) -> None:
    """Register the page and its data.

    Args:
        app: the Faust app.
        worker: this worker's name in the ledger.
        state: its state.
        health: whether it is alive and ready.
        answers: what the database says of all workers.
    """
    html, headers = page()

    @app.page("/dashboard/", name="dashboard")
    async def dashboard_page(self: View, request: Request) -> Response:
        return self.html(html, headers=dict(headers))

    @app.page("/dashboard/data/", name="dashboard-data")
    async def data_page(self: View, request: Request) -> Response:
        answer = {
            "name": worker,
            "alive": health.alive(),
            "ready": health.ready(),
            "worker": state.with_history(),
            "group": await answers.group.get(),
            "sales": await answers.sales.get(),
        }
        return self.json(answer)

    @app.page("/dashboard/history/", name="dashboard-history")
    async def history_page(self: View, request: Request) -> Response:
        return self.json(await answers.history.get())

    @app.page("/dashboard/dead-letters/", name="dashboard-dead-letters")
    async def dead_letters_page(self: View, request: Request) -> Response:
        try:
            return self.json(await answers.search(request.query))
        except ValueError as error:
            return self.json({"error": str(error)}, status=400)
