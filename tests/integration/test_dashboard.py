"""The live page, in a browser: numbers move, hostile values stay text, outages are said."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from config.version import VERSION
from tests.helpers.worker import Worker, wait_until
from web import dashboard
from web.access import Refusal

#: What would run if a value were taken for HTML.
HOSTILE = (
    b"<script>window.harmed = 1</script>",
    b"\"><img src=x onerror='window.harmed = 1'>",
    b"\xff\x00\x1b[31m<b>not text</b>\xe2\x80\xae",
)
PRODUCT = "<img src=x onerror=harmed=1>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the package chromium is not installed")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on a phone, which tells of every request and of every error."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    yield page
    context.close()


def event(number, **fields):
    good = {
        "event_id": f"e{number}",
        "user_id": "u",
        "product_id": "P1",
        "category": "c",
        "event_type": "purchase",
        "price": 2.5,
        "quantity": 4,
        "timestamp": datetime.now(UTC).isoformat(),
    }
    return json.dumps({**good, **fields}).encode()


def url(running: Worker, path: str = "") -> str:
    return f"http://127.0.0.1:{running.port}/dashboard/{path}"


def test_numbers_move_and_hostile_values_stay_text(worker, produce, page):
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(f"{message.type}: {message.text}"))
    running = worker(FLUSH_INTERVAL=0.5, ROLLUP_INTERVAL=0.5).wait_ready()
    answer = page.goto(url(running))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    expect(page.locator("#own-rows")).to_have_text("0")
    expect(page.locator("#history")).to_have_class(re.compile("empty"))
    expect(page.locator("#ready")).to_have_text("ready")
    expect(page.locator("footer")).to_have_text(f"flash-sale ETL {VERSION}")

    produce([event(n) for n in range(100)])
    expect(page.locator("#own-rows")).to_have_text("100")
    expect(page.locator("#rows")).to_have_text("100")
    expect(page.locator("#revenue")).to_have_text("1,000")
    expect(page.locator("#summed")).to_contain_text("sums 0 rows behind")
    views = [event(n, event_type="view", price=99) for n in range(60)]
    carts = [event(n, event_type="add_to_cart", price=99) for n in range(30)]
    produce([*views, *carts, event(0, product_id=PRODUCT, price=1000), *HOSTILE, b"{}"])
    expect(page.locator("#rows")).to_have_text("191")
    # Only purchases are revenue.
    expect(page.locator("#revenue")).to_have_text("5,000")
    expect(page.locator("#products tr").first).to_contain_text(PRODUCT)
    expect(page.locator("#funnel .step b")).to_have_text(["60", "30", "101"])
    expect(page.locator("#partitions tr")).to_have_count(4)
    expect(page.locator("#dropped")).to_have_text("group, 4 events")
    expect(page.locator("#own-dropped")).to_have_text("4")

    expect(page.locator("#letters .letter")).to_have_count(4)
    page.click("#reason-malformed")
    expect(page.locator("#letters .letter")).to_have_count(3)
    shown = page.locator("#letters code").all_inner_texts()
    assert HOSTILE[0].decode() in shown
    assert HOSTILE[1].decode() in shown
    assert r"\xff\x00\x1b[31m<b>not text</b>\u202e" in shown
    assert page.evaluate("window.harmed") is None
    assert page.locator("main img, #letters b, #letters script").count() == 0

    replay = page.locator("#replay")
    expect(replay).to_have_text("faust -A app dead-letters replay --reason malformed")
    page.select_option("#reason", "")
    page.select_option("#column", "event_id")
    expect(page.locator("#letters .letter")).to_have_count(1)
    page.select_option("#column", "")
    page.fill("#text", "onerror='window")
    expect(page.locator("#letters .letter")).to_have_count(1)
    expect(replay).to_have_text("""faust -A app dead-letters replay '--text=onerror='"'"'window'""")
    page.click("#letters button")
    expect(page.locator("#letters")).to_contain_text("key none")
    page.fill("#text", "")
    page.fill("#until", "2020-01-01T00:00")
    expect(page.locator("#letters")).to_have_text("None among the newest 50,000.")
    page.fill("#until", "")
    expect(page.locator("#letters .letter")).to_have_count(4)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    spans = "[...'throughput waiting batches'.split(' ')].map((one) => charts[one].scales.x)"
    assert all(one["max"] - one["min"] < 3600 for one in page.evaluate(spans))
    shot(page, "phone")
    assert {urlsplit(one).netloc for one in asked} == {f"127.0.0.1:{running.port}"}
    assert errors == []


def shot(page, name):
    """A picture, for people: in the tests' folder, where they ask for it."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_two_workers_are_a_group_whose_history_stays(worker, produce, page, run_faust):
    settings = {"FLUSH_INTERVAL": 0.5, "ROLLUP_INTERVAL": 0.5}
    one = worker(**settings).wait_ready()
    two = worker(**settings).wait_ready()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"http://127.0.0.1:{one.port}/")
    expect(page).to_have_url(url(one))
    workers = page.locator("#workers tr")
    expect(workers).to_have_count(2)
    expect(workers.locator(".state.good")).to_have_count(2)
    expect(page.locator("#running")).to_have_text("2")
    produce([event(n) for n in range(400)])
    # All of the group's, half of this one's.
    expect(page.locator("#rows")).to_have_text("400")
    expect(page.locator("#rate")).not_to_have_text("0")
    expect(page.locator("#lag")).to_have_text("0")
    own = one.get("/dashboard/data/")["worker"]["valid"]
    assert 0 < own < 400
    expect(page.locator("#own-rows")).to_have_text(str(own))
    expect(page.locator("#workers")).to_contain_text("(this one)")
    shot(page, "two-workers")

    one.kill()
    assert two.terminate() == 0
    again = worker(**settings).wait_ready()
    page.goto(url(again))
    expect(page.locator("#own-rows")).to_have_text("0")
    expect(page.locator("#rows")).to_have_text("400")
    expect(page.locator("#history")).not_to_have_class(re.compile("empty"))
    expect(page.locator("#workers")).to_contain_text("stopped")
    # A time that is selected leads to the command that tells of it.
    box = page.locator("#history .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 60)
    page.mouse.up()
    expect(page.locator("#report")).to_contain_text("--until")
    said = run_faust(*page.locator("#report").inner_text().split()[3:]).stdout
    assert "400 events in" in said


def test_an_open_breaker_is_said_with_its_command(worker, produce, page):
    running = worker(FLUSH_INTERVAL=0.5, BREAKER_WINDOW=50).wait_ready()
    page.goto(url(running))
    produce([(b"bad %d" % n, 0) for n in range(200)])
    banner = page.locator("#banner")
    expect(banner).to_contain_text("The circuit breaker is open: ")
    expect(banner).to_contain_text("faust -A app breaker close")
    expect(banner).to_contain_text("other partitions continue")
    expect(page.locator("#workers .state.bad")).to_have_text("not ready")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, "breaker-open")


EMPTY: dict[str, Any] = {
    "name": "w",
    "alive": None,
    "ready": None,
    "group": {"value": None, "error": "is away"},
    "sales": {"value": None, "error": "is away"},
    "worker": {
        "version": VERSION,
        "history": {"samples": [], "batches": []},
        "dropped": {},
        "partitions": [],
        "quality": [],
        **dict.fromkeys(("events", "valid", "duplicate", "buffered"), 0),
        "rollup": None,
    },
}


@pytest.mark.parametrize(
    ("ready", "said"),
    [
        ("the database is away: no answer", "The database is away: no answer."),
        (
            "the stored offsets are not known yet",
            "This worker is not ready: the stored offsets are not known yet.",
        ),
        (None, "This worker is ready and stores events."),
    ],
)
def test_a_fresh_page_without_a_database_says_what_is_true(page, ready, said):
    html, headers = dashboard.page()

    def answer(route):
        path = urlsplit(route.request.url).path
        if path == "/dashboard/":
            route.fulfill(body=html, headers={**headers, "Content-Type": "text/html"})
        elif path == "/dashboard/data/":
            route.fulfill(json={**EMPTY, "ready": ready})
        else:
            route.fulfill(json={"value": None, "error": "is away"})

    page.route("**/*", answer)
    page.goto("http://worker.test/dashboard/")
    banner = page.locator("#banner")
    expect(banner).to_contain_text(said)
    expect(banner).to_contain_text("The group is shown as soon as it answers.")
    if ready:
        expect(banner).not_to_contain_text("stores events")
        expect(banner).to_contain_text("wait in Kafka")
    # Nothing is drawn of nothing: no axis of one minute around midnight.
    assert page.locator(".chart").count() == page.locator(".chart.empty").count()
    assert page.locator("#history").get_attribute("data-empty") == "Not known yet."
    for tile in ("rate", "rows", "share", "lag", "running", "revenue"):
        expect(page.locator(f"#{tile}")).to_have_text("–")
    expect(page.locator("#letters")).to_have_text("Dead letters cannot be read: is away.")
    shot(page, f"away-{'ready' if not ready else ready[4:10].strip()}")


def test_a_refused_page_says_what_to_set(page):
    html, headers = dashboard.page()

    def answer(route):
        if urlsplit(route.request.url).path == "/dashboard/":
            route.fulfill(body=html, headers={**headers, "Content-Type": "text/html"})
        else:
            route.fulfill(status=403, json={"reason": Refusal.ELSEWHERE.sentence})

    page.route("**/*", answer)
    page.goto("http://worker.test/dashboard/")
    expect(page.locator("#banner")).to_contain_text("This worker refuses this page: without WEB_T")
    expect(page.locator("#banner")).to_contain_text("set WEB_TOKEN to read it from elsewhere")
    expect(page.locator("#alive")).to_have_text("no access")


@pytest.mark.slow
def test_an_outage_is_said_and_holds_up_nothing(worker, produce, page, server):
    running = worker(FLUSH_INTERVAL=0.5, ROLLUP_INTERVAL=0.5).wait_ready()
    produce([event(1)])
    page.goto(url(running))
    expect(page.locator("#own-rows")).to_have_text("1")
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#revenue")).to_have_text("10")
    server.pause()
    try:
        expect(page.locator("#banner")).to_contain_text("The database is away: ")
        expect(page.locator("#revenue")).to_have_text("10")
        # Viewers and liveness probes are answered meanwhile.
        for path in ("data/", "dead-letters/?reason=invalid", "data/"):
            assert running.request(f"/dashboard/{path}")[0] == 200
        assert running.request("/health/")[0] == 200
    finally:
        server.resume()
    expect(page.locator("#banner")).to_be_hidden(timeout=45_000)
    running.kill()
    expect(page.locator("#banner")).to_contain_text("This worker does not answer since")
    expect(page.locator("#alive")).to_have_text("this worker is gone")


def test_answers_tell_browsers_what_not_to_do(worker):
    running = worker()
    wait_until(lambda: _headers(running, "data/"), 30)
    for path in ("", "data/", "dead-letters/", "dead-letters/?reason=none"):
        headers = _headers(running, path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def _headers(running: Worker, path: str):
    import urllib.error
    import urllib.request

    try:
        return urllib.request.urlopen(url(running, path), timeout=5).headers
    except urllib.error.HTTPError as refusal:
        return refusal.headers
    except OSError:
        return None
