"""The live page, in a browser: numbers move, hostile values stay text, outages are said."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from config.version import VERSION
from tests.helpers.worker import Worker, wait_until

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
    expect(page.locator("#rows")).to_have_text("0")
    expect(page.locator("#ready")).to_have_text("ready")
    expect(page.locator("footer")).to_have_text(f"flash-sale ETL {VERSION}")

    produce([event(n) for n in range(100)])
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
    expect(page.locator("#dropped")).to_have_text("4 events")

    expect(page.locator("#letters .letter")).to_have_count(4)
    page.click("#reason-malformed")
    expect(page.locator("#letters .letter")).to_have_count(3)
    shown = page.locator("#letters code").all_inner_texts()
    assert HOSTILE[0].decode() in shown
    assert HOSTILE[1].decode() in shown
    assert r"\xff\x00\x1b[31m<b>not text</b>\u202e" in shown
    assert page.evaluate("window.harmed") is None
    assert page.locator("main img, #letters b, #letters script").count() == 0

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert {urlsplit(one).netloc for one in asked} == {f"127.0.0.1:{running.port}"}
    assert errors == []


@pytest.mark.slow
def test_an_outage_is_said_and_holds_up_nothing(worker, produce, page, server):
    running = worker(FLUSH_INTERVAL=0.5, ROLLUP_INTERVAL=0.5).wait_ready()
    produce([event(1)])
    page.goto(url(running))
    expect(page.locator("#rows")).to_have_text("1")
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
    expect(page.locator("#banner")).to_contain_text("The worker does not answer since")
    expect(page.locator("#alive")).to_have_text("worker gone")


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
