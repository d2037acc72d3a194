"""A browser, and two installations to look at: a live one, open to anybody, and a quiet one that wants keys.

The browser is the machine's own Chromium: nothing is downloaded. Where there is none these tests are skipped.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from core.database import Database
from core.keys import KeyStore, Limits
from stack.servers import ServerUrls
from tests.harness import Installation, installation

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WITHIN_MS = 20_000
EXPECTED = re.compile("Failed to load resource")  # a refusal, which the page shows


@dataclass
class Visitor:
    """Somebody at one page; what went wrong in their browser is in `complaints`."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, place: str = "#/ask") -> Page:
        self.page.goto(f"{self.url}/{place}")
        return self.page

    def listen(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._note)
        self.page.on(
            "console",
            lambda said: (
                self.complaints.append(said.text)
                if said.type in {"error", "warning"} and not EXPECTED.match(said.text)
                else None
            ),
        )

    def _note(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https"} and parts.netloc != urlsplit(self.url).netloc:
            self.complaints.append(f"another host: {request.url}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install Debian's package `chromium` to test the page")
    expect.set_options(timeout=WITHIN_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@contextmanager
def visiting(browser: Browser, url: str, **options: object) -> Iterator[Visitor]:
    """A visitor with a browser of their own, who must not meet an error or another host."""
    permissions = ["clipboard-read", "clipboard-write"]
    context = browser.new_context(permissions=permissions, **options)  # type: ignore[arg-type]
    context.set_default_timeout(WITHIN_MS)
    visitor = Visitor(context.new_page(), url)
    visitor.listen()
    try:
        yield visitor
    finally:
        context.close()
    assert visitor.complaints == []


@pytest.fixture(scope="session")
def live(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Everything runs; models take their time, so that one can watch."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("live")
    slow = {"MATHCODE_SCRIPTED_DELAY_S": "0.02"}
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=slow
    ) as made:
        made.start("api", "mathstral", "codestral", "light", "beat")
        yield made


@pytest.fixture(scope="session")
def quiet(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The API alone, with keys; what it shows is what a test has put into its ledger."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("quiet")
    keyed = {"MATHCODE_REQUIRE_KEYS": "always"}
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=keyed
    ) as made:
        made.start("api")
        yield made


@pytest.fixture
def ledger(quiet: Installation) -> Iterator[Database]:
    """Of the quiet installation, empty but for keys."""
    with closing(Database(quiet.database_url)) as opened:
        opened.execute("TRUNCATE training_run, model_version, code_files, job RESTART IDENTITY CASCADE")
        yield opened


@pytest.fixture(scope="session")
def operator(quiet: Installation) -> tuple[str, str]:
    """The id and the secret of an operator's key."""
    with closing(Database(quiet.database_url)) as database:
        key, token = KeyStore(database).create("operator", Limits(), is_operator=True)
    return key.id, token


@pytest.fixture
def guest(browser: Browser, live: Installation) -> Iterator[Visitor]:
    """At the live installation."""
    with visiting(browser, live.url) as visitor:
        yield visitor


@pytest.fixture
def stranger(browser: Browser, quiet: Installation) -> Iterator[Visitor]:
    """At the quiet installation, without a key."""
    with visiting(browser, quiet.url) as visitor:
        yield visitor


@pytest.fixture
def keyholder(browser: Browser, quiet: Installation, operator: tuple[str, str]) -> Iterator[Visitor]:
    """At the quiet installation, with the operator's key set in this tab."""
    with visiting(browser, quiet.url) as visitor:
        visitor.page.goto(f"{quiet.url}/page/icon.svg")  # same origin, and no page yet
        visitor.page.evaluate("key => sessionStorage.setItem('mathcode-key', key)", operator[1])
        yield visitor
