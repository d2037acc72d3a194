"""What opening the page costs: bytes on the wire, time to the first paint, and nobody else is asked."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect

from tests.harness import Installation
from tests.page.conftest import visiting

MOST_BYTES = 200_000
FIRST_PAINT_MS = 1000
TRIES = 3  # another process may have the processor in one of them
VIEWS = ("jobs", "batches", "training", "fleet", "ask")
PAINTED = """() => new Promise(done => new PerformanceObserver(list => done({
    first: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    usable: list.getEntries().at(-1).startTime,
})).observe({type: 'largest-contentful-paint', buffered: true}))"""


def test_all_views_together_weigh_less_than_two_hundred_kilobytes(browser: Browser, live: Installation) -> None:
    with visiting(browser, live.url) as visitor:
        wire = visitor.page.context.new_cdp_session(visitor.page)
        wire.send("Network.enable")
        urls: dict[str, str] = {}
        sizes: dict[str, float] = {}
        wire.on("Network.requestWillBeSent", lambda said: urls.update({said["requestId"]: said["request"]["url"]}))
        wire.on(
            "Network.loadingFinished",
            lambda said: sizes.update({said["requestId"]: said["encodedDataLength"]}),
        )
        page = visitor.open()
        for view in VIEWS:
            page.goto(f"{live.url}/#/{view}")
            page.wait_for_load_state("networkidle")
        page.evaluate("document.fonts.load('16px \"mathcode mathematics\"')")
        page.wait_for_load_state("networkidle")
    own = {urls[name]: size for name, size in sizes.items() if _is_file(urls[name])}
    print(f"\n{sum(own.values()):.0f} bytes in {len(own)} files, {sum(sizes.values()):.0f} with what the API said")
    assert f"{live.url}/page/vendor/mathematics.woff2" in own
    assert sum(own.values()) < MOST_BYTES, own


def _is_file(url: str) -> bool:
    path = urlsplit(url).path
    return path == "/" or path.startswith("/page/")


def test_it_is_painted_within_a_second(browser: Browser, live: Installation) -> None:
    times = []
    for _ in range(TRIES):
        with visiting(browser, live.url) as visitor:
            page = visitor.open()
            expect(page.get_by_label("Your question")).to_be_visible()
            times.append(page.evaluate(PAINTED))
    print(f"\nfirst paint, usable, in ms: {times}")
    assert min(each["first"] for each in times) < FIRST_PAINT_MS
    assert min(each["usable"] for each in times) < FIRST_PAINT_MS
