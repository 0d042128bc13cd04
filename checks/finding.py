"""What a check found: one line each, and what would mend it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import FatalError, RowError, TransientError, UntrustedError


class State(StrEnum):
    """How it stands with a thing looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """A thing looked at, how it stands, what was found, and what would mend it."""

    subject: str
    state: State
    found: str
    mend: str = ""


class Findings:
    """Findings in the order in which they were made."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def ok(self, subject: str, found: str) -> None:
        """It is as it should be."""
        self.all.append(Finding(subject, State.OK, found))

    def warn(self, subject: str, found: str, mend: str) -> None:
        """A worker would run, but someone should know."""
        self.all.append(Finding(subject, State.WARN, found, mend))

    def fail(self, subject: str, found: str, mend: str = "") -> None:
        """A worker would not run, or would stop."""
        self.all.append(Finding(subject, State.FAIL, found, mend))

    @contextmanager
    def about(self, subject: str) -> Iterator[None]:
        """Turn an error of the app's into a failure: its sentence ends with what would mend it."""
        try:
            yield
        except (UntrustedError, RowError, FatalError) as error:
            found, _, mend = str(error).rstrip(".").rpartition(": ")
            self.fail(subject, found or mend, mend if found else "")
        except TransientError as error:
            self.fail(subject, str(error), "start the database, or change DATABASE_URL")

    def has_failed(self, *subjects: str) -> bool:
        """Whether one of these subjects has failed; without any, whether anything has."""
        return any(
            one.state is State.FAIL and (not subjects or one.subject in subjects)
            for one in self.all
        )


def table(findings: Sequence[Finding]) -> str:
    """The findings as text, a line each, and a second one for what would mend it."""
    width = max((len(one.subject) for one in findings), default=0)
    lines = []
    for one in findings:
        lines.append(f"{one.state:<5} {one.subject:<{width}}  {one.found}")
        if one.mend:
            lines.append(f"{'':<{width + 6}}  → {one.mend}")
    return "\n".join(lines)
