"""Results of checks, each with a hint how to fix what failed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from db.connection.errors import advice
from pipeline.errors import FatalError, LoginError, RowError, TransientError


class State(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was checked, the outcome, what was found, and how to fix it."""

    subject: str
    state: State
    found: str
    hint: str = ""


class CheckResults:
    """The results, in the order of the checks."""

    def __init__(self) -> None:
        self.all: list[CheckResult] = []

    def ok(self, subject: str, found: str, hint: str = "") -> None:
        """Add a success; ``hint`` says what would be better still."""
        self.all.append(CheckResult(subject, State.OK, found, hint))

    def warn(self, subject: str, found: str, hint: str) -> None:
        """Add a warning: a worker would run, but someone should know."""
        self.all.append(CheckResult(subject, State.WARN, found, hint))

    def fail(self, subject: str, found: str, hint: str = "") -> None:
        """Add a failure: a worker would not run, or would stop."""
        self.all.append(CheckResult(subject, State.FAIL, found, hint))

    @contextmanager
    def about(self, subject: str) -> Iterator[None]:
        """Turn an app error into a failure; the text after its last colon is the hint."""
        try:
            yield
        except (LoginError, RowError, FatalError) as error:
            found, _, hint = str(error).rstrip(".").rpartition(": ")
            self.fail(subject, found or hint, hint if found else "")
        except TransientError as error:
            self.fail(subject, str(error), advice(error))

    def has_failed(self, *subjects: str) -> bool:
        """Whether one of these subjects has failed; without subjects, whether any has."""
        return any(
            one.state is State.FAIL and (not subjects or one.subject in subjects)
            for one in self.all
        )


def table(results: Sequence[CheckResult]) -> str:
    """The results as text: a line each, and a second line for a hint."""
    width = max((len(one.subject) for one in results), default=0)
    lines = []
    for one in results:
        lines.append(f"{one.state:<5} {one.subject:<{width}}  {one.found}")
        if one.hint:
            lines.append(f"{'':<{width + 6}}  → {one.hint}")
    return "\n".join(lines)
