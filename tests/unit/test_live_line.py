"""What the demo shows on a terminal, and what elsewhere."""

import io

from rich.console import Console

from dev.demo.live_line import LiveLine

ANSWERS = (
    ({"batches": 1, "valid": 2000, "events": 2050}, (3, None)),
    ({"batches": 2, "valid": 3000, "events": 3050}, (1200, 34)),
)


def asked():
    for answer, lags in ANSWERS:
        partitions = [{"lag": lag} for lag in lags]
        yield {**answer, "dropped": {"malformed": 49, "invalid": 1}, "partitions": partitions}
    while True:
        yield None


def terminal(width=100):
    return Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=width)


def test_on_a_terminal_the_state_is_below_coloured_lines():
    console, answers = terminal(), asked()
    with LiveLine(lambda: next(answers), console) as live:
        live.refresh(0.0)
        live.print("[INFO] Batch 2: 1000 valid rows written")
        live.refresh(0.5)
        live.print("[WARNING] Batch not written")
        live.refresh(1.0)
    text = console.file.getvalue()
    assert "batches 1 · rows 2,000 · dropped 50 · events/s 0 · lag unknown" in text
    assert "batches 2 · rows 3,000 · dropped 50 · events/s 2,000 · lag 1,234" in text
    assert "\x1b[32m[INFO] Batch 2: 1000 valid rows written" in text
    assert "\x1b[33m[WARNING] Batch not written" in text
    assert text.endswith("\x1b[2K"), "what comes next has the line for itself"


def test_a_narrow_terminal_cuts_the_state_and_no_line_of_the_log():
    console, answers = terminal(30), asked()
    with LiveLine(lambda: next(answers), console) as live:
        live.refresh(0.0)
        live.print("[INFO] " + "x" * 80)
    assert "batches 1 · rows 2,000 · drop…" in console.file.getvalue()
    assert "x" * 80 in console.file.getvalue()


def test_where_there_is_no_terminal_lines_are_plain(capsys):
    with LiveLine(lambda: next(asked()), Console(file=io.StringIO())) as live:
        live.refresh(0.0)
        live.print("[INFO] Batch 1")
    assert capsys.readouterr().out == "[INFO] Batch 1\n"
