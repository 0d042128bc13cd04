"""The demo's terminal output: log lines and, below them, a line with the current state.

Where the output is no terminal it is plain text, with no line that changes.
"""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

#: Answers that the rate is computed over: half a second apart, so it includes a flush or two.
_ANSWERS = 20
_STYLES = {"[INFO]": "green", "[WARNING]": "yellow", "[ERROR]": "red", "[CRITICAL]": "bold red"}


class LiveLine:
    """Prints lines, and the newest state of a worker below them.

    Args:
        ask: returns the worker's page ``/batches/``, or None if it does not answer; blocking.
        console: where to print.
    """

    def __init__(
        self, ask: Callable[[], Mapping[str, Any] | None], console: Console | None = None
    ) -> None:
        self._ask = ask
        self._console = console or Console(highlight=False)
        self._answers: deque[tuple[float, int]] = deque(maxlen=_ANSWERS)
        self._stack = ExitStack()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live = self._stack.enter_context(live)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def print(self, line: str) -> None:
        """Show a line of the worker's log."""
        if self._live is None:
            print(line, flush=True)
            return
        style = next((style for level, style in _STYLES.items() if level in line), "")
        self._console.print(Text(line, style=style), soft_wrap=True)

    def refresh(self, now: float) -> None:
        """Ask for the worker's state and show it; do nothing without a terminal.

        Args:
            now: ``time.monotonic()``.
        """
        found = self._live and self._ask()
        if not found or self._live is None:
            return  # a worker that is about to end: its last answer stays
        self._answers.append((now, found["events"]))
        self._live.update(Text(self._state(found), no_wrap=True, overflow="ellipsis"), refresh=True)

    def _state(self, found: Mapping[str, Any]) -> str:
        (first, before), (last, after) = self._answers[0], self._answers[-1]
        rate = (after - before) / (last - first) if last > first else 0.0
        lags = [one["lag"] for one in found["partitions"]]
        lag = f"{sum(lags):,}" if None not in lags else "unknown"
        dropped = sum(found["dropped"].values())
        return (
            f"batches {found['batches']:,} · rows {found['valid']:,} · dropped {dropped:,} · "
            f"events/s {rate:,.0f} · lag {lag}"
        )
