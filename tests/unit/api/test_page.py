"""The page as it is served: whole, small, from here alone, and with a policy that lets nothing else in."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient

from api.app import create_app
from core.settings import read_settings
from tests.harness import ROOT

FOLDER = ROOT / "api" / "page"
VENDORS = [FOLDER / "vendor", ROOT / "tests" / "page" / "vendor"]
OURS = sorted(path for path in FOLDER.iterdir() if path.is_file())
MOST_SENT = 200_000
LIBRARIES = sorted(
    path for folder in VENDORS for path in folder.iterdir() if not path.name.startswith(("LICENSE", "README"))
)


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    """Of an API that wants a key of everybody, without servers: the page asks none."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("MATHCODE_")]:
            environment.delenv(name)
        environment.setenv("MATHCODE_REQUIRE_KEYS", "always")
        environment.setenv("MATHCODE_FLOWER_PORT", "5999")
        environment.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
        environment.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
        yield create_app(read_settings()).test_client()


def sent_files() -> list[str]:
    """Paths of all that the page may load, with the page itself."""
    served = [path for path in FOLDER.rglob("*") if path.suffix in {".css", ".js", ".mjs", ".svg", ".woff2"}]
    return ["/", *(f"/page/{path.relative_to(FOLDER)}" for path in sorted(served))]


def sent_bytes(client: FlaskClient, path: str) -> int:
    """With its headers; the server adds a date and the id of the request."""
    response = client.get(path, headers={"Accept-Encoding": "gzip"})
    return len(response.data) + sum(len(f"{name}: {value}\r\n") for name, value in response.headers)


def loaded_by(path: str, text: str) -> set[str]:
    """What a file of the page names to be loaded, as paths from the root."""
    of_document = re.findall(r'(?:src|href)="(page/[^"]+)"', text)
    of_file = re.findall(r"""from "(\./[^"]+)"|url\(["'](?!data:)([^"']+)["']\)""", text)
    return {f"/{name}" for name in of_document} | {urljoin(path, first or second) for first, second in of_file}


def test_the_page_needs_no_key(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert 'name="flower-port" content="5999"' in page.text


def test_everything_that_is_named_is_there_and_nothing_else_is_sent(client: FlaskClient) -> None:
    known, waiting = {"/"}, ["/"]
    while waiting:
        path = waiting.pop()
        response = client.get(path)
        assert response.status_code == 200, path
        if path.endswith((".woff2", ".svg", ".min.js", ".esm.js")):
            continue
        new = loaded_by(path, response.text) - known
        known |= new
        waiting += new
    assert known == set(sent_files())


def test_no_other_host_is_named_by_what_we_wrote() -> None:
    for file in OURS:
        hosts = set(re.findall(r"https?://([^/\s\"'`$]+)", file.read_text(encoding="utf-8")))
        assert hosts <= {"127.0.0.1:", "127.0.0.1:${port}", "www.w3.org"}, file


def test_all_of_it_is_sent_in_less_than_two_hundred_kilobytes(client: FlaskClient) -> None:
    sizes = {path: sent_bytes(client, path) for path in sent_files()}
    assert sum(sizes.values()) < MOST_SENT, sizes


@pytest.mark.parametrize("path", sent_files()[1:])
def test_a_file_opened_by_itself_may_load_nothing(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"] == "default-src 'none'"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_has_a_policy_that_lets_nothing_else_in(client: FlaskClient) -> None:
    headers = client.get("/").headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["trusted-types"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_a_file_is_sent_once_and_then_only_asked_about(client: FlaskClient) -> None:
    first = client.get("/page/app.js", headers={"Accept-Encoding": "gzip"})
    again = client.get("/page/app.js", headers={"Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]})
    assert (first.headers["Cache-Control"], first.headers["Vary"]) == ("no-cache", "Accept-Encoding")
    assert (again.status_code, again.data) == (304, b"")


def test_who_takes_no_gzip_gets_the_same(client: FlaskClient) -> None:
    path = "/page/vendor/marked.esm.js"
    plain, zipped = (client.get(path, headers={"Accept-Encoding": name}) for name in ("identity", "gzip"))
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.data) == plain.data
    assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nothing.js",
        "index.html",
        "vendor",
        "../app.py",
        "..%2fapp.py",
        "vendor/README.md",
        "%00",
        "/etc/passwd",
    ],
)
def test_nothing_but_these_files_is_sent(client: FlaskClient, name: str) -> None:
    response = client.get(f"/page/{name}")
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_others_work_is_as_it_was_published_and_has_its_licence(library: Path) -> None:
    table = (library.parent / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"
    ]
    (row,) = [row for row in rows if row[0] == library.name]
    _, source, licence, text, checksum = row
    assert re.search(r"\d+\.\d+", source), "its version is not said"
    assert licence
    assert (library.parent / text).stat().st_size > 500
    assert hashlib.sha256(library.read_bytes()).hexdigest() == checksum


@pytest.mark.parametrize(
    "file", [path for path in OURS if path.suffix in {".css", ".js"}], ids=lambda path: path.name
)
def test_no_file_of_the_page_is_too_long_and_none_writes_html(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\(|new Function", text
    )
