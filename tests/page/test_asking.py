"""Asking by hand: the answer appears as it is written, says who wrote it and why, and can be stopped."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from core.database import Database
from core.events import Done, EventLog, Piece, Restarted
from core.messages import JobState, ModelName, TaskType
from ensemble.composition import compose_document
from tests.harness import Installation, eventually
from tests.page.conftest import Visitor
from tests.page.scenery import answered, close, insert_job

HYBRID = "Implement Newton's method in Python and prove that it converges"
FORMULAS = r"""So $\sqrt{2}$ is irrational, since $p^2 = 2q^2$ and

$$\int_0^1 x\,dx = \frac{1}{2}$$

It costs $5 or $10.
And (a*x^n)' = a*n*x^(n-1), that is *two* lines.

| n | value |
|--:|------:|
| 1 | 2 |

```python
def half(x):
    return x / 2  # exactly
```

1. one
2. **two**
"""


def ask(page: Page, prompt: str) -> Locator:
    """The newest answer."""
    page.get_by_label("Your question").fill(prompt)
    page.get_by_role("button", name="Ask", exact=True).click()
    answer = page.get_by_role("article").first
    expect(answer.get_by_role("heading", name=prompt)).to_be_visible()
    return answer


def job_id_of(answer: Locator) -> str:
    href = answer.get_by_role("link", name="Details").get_attribute("href")
    assert href is not None
    return href.rpartition("/")[2]


def test_an_answer_appears_as_it_is_written_and_is_the_answer(guest: Visitor, live: Installation) -> None:
    page = guest.open()
    answer = ask(page, HYBRID)
    parts = [answer.get_by_role("region", name=name) for name in ("Mathstral", "Codestral")]
    for part in parts:
        expect(part.get_by_text("writing…")).to_be_visible()
        expect(part.locator(".prose")).to_contain_text(re.compile(r"\w+ \w+"))
    expect(answer.get_by_text("succeeded")).to_be_visible()
    completions = live.job(job_id_of(answer))["answer"]["completions"]
    for part, completion in zip(parts, completions, strict=True):
        expect(part.locator(".prose")).to_have_text(completion["text"])
        expect(part).to_contain_text(completion["version"])
        expect(part).to_contain_text(f"{completion['completion_tokens']} tokens")


def test_it_says_why_it_was_routed_so(guest: Visitor, live: Installation) -> None:
    page = guest.open()
    answer = ask(page, HYBRID)
    answer.get_by_text("why?").click()
    for reason in live.job(job_id_of(answer))["route"]["reasons"]:
        expect(answer.get_by_text(reason)).to_be_visible()


def test_who_answers_can_be_forced_before_and_after(guest: Visitor, live: Installation) -> None:
    page = guest.open()
    page.get_by_text("Options").click()
    page.get_by_label("Most tokens").fill("4")
    page.get_by_role("radio", name="Code").check()
    first = ask(page, "What is 2 + 2?")
    expect(first.get_by_text("as you asked")).to_be_visible()
    expect(first.get_by_text("succeeded")).to_be_visible()
    assert live.job(job_id_of(first))["request"]["sampling"]["max_tokens"] == 4
    first.get_by_role("button", name="Ask as mathematics").click()
    expect(page.get_by_role("article")).to_have_count(2)
    second = page.get_by_role("article").first
    expect(second.get_by_role("region", name="Mathstral")).to_be_visible()
    assert live.job(job_id_of(second))["request"]["force_task_type"] == "math"


def test_an_answer_can_be_cancelled_and_keeps_its_text(guest: Visitor, live: Installation) -> None:
    page = guest.open()
    answer = ask(page, "Prove Fermat's last theorem")
    expect(answer.locator(".prose")).to_contain_text(re.compile(r"\w+"))
    answer.get_by_role("button", name="Cancel").click()
    expect(answer.get_by_text("cancelled").first).to_be_visible()
    expect(answer.locator(".prose")).to_contain_text(re.compile(r"\w+"))
    assert live.status(job_id_of(answer)) == "cancelled"


def test_the_keyboard_alone_is_enough(guest: Visitor) -> None:
    page = guest.open()
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type("Prove that 2 is prime")
    page.keyboard.press("Control+Enter")
    answer = page.get_by_role("article").first
    expect(answer.get_by_text("succeeded")).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Ask again":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("article")).to_have_count(2)


def test_what_was_asked_is_there_after_a_reload_and_gone_when_cleared(guest: Visitor) -> None:
    page = guest.open()
    answer = ask(page, "Prove that 3 is prime")
    expect(answer.get_by_text("succeeded")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Prove that 3 is prime")).to_be_visible()
    page.get_by_role("button", name="Clear this list").click()
    expect(page.get_by_role("article")).to_have_count(0)


def test_a_refusal_is_said_in_the_servers_words(guest: Visitor) -> None:
    page = guest.open()
    page.get_by_text("Options").click()
    page.get_by_label("Most tokens").fill("900000")
    page.get_by_label("Your question").fill("Prove it")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("lower max_tokens")
    expect(page.get_by_label("Your question")).to_have_value("Prove it")


def test_markdown_and_mathematics_are_rendered_and_copied_as_written(
    keyholder: Visitor, ledger: Database, operator: tuple[str, str]
) -> None:
    job_id = answered(ledger, "Prove it", TaskType.MATH, FORMULAS, key_id=operator[0])
    page = keyholder.open(f"#/jobs/{job_id}")
    prose = page.locator(".prose")
    expect(prose.locator("math msqrt")).to_have_count(1)
    expect(prose.locator(".formula.display mfrac")).to_have_count(1)
    expect(prose).to_contain_text("And (a*x^n)' = a*n*x^(n-1), that is two lines.")
    expect(prose.locator("em")).to_have_text("two")
    expect(prose.locator("p br")).to_have_count(1)
    expect(prose.locator("table td")).to_have_text(["1", "2"])
    expect(prose.locator("ol strong")).to_have_text("two")
    expect(prose).to_contain_text("It costs $5 or $10.")
    expect(prose.locator(".tok-keyword").first).to_have_text("def")
    assert page.evaluate("document.fonts.check('16px \"mathcode mathematics\"')")
    prose.get_by_role("button", name="Copy code").click()
    assert page.evaluate("navigator.clipboard.readText()") == "def half(x):\n    return x / 2  # exactly"
    page.get_by_role("button", name="Copy answer").click()
    assert page.evaluate("navigator.clipboard.readText()") == FORMULAS
    page.get_by_role("button", name="Plain text").click()
    expect(page.locator(".part .plain")).to_have_text(FORMULAS)


def test_a_stream_is_taken_up_where_it_broke(
    keyholder: Visitor, ledger: Database, quiet: Installation, operator: tuple[str, str]
) -> None:
    job_id = insert_job(ledger, "Prove it", TaskType.MATH, key_id=operator[0])
    events = EventLog.connect(quiet.redis_url)
    events.append(job_id, Piece(model=ModelName.MATHSTRAL, attempt=1, text="void "))
    page = keyholder.open(f"#/jobs/{job_id}")
    prose = page.locator(".prose")
    expect(prose).to_have_text("void ")
    events.append(job_id, Restarted(model=ModelName.MATHSTRAL, attempt=2))
    events.append(job_id, Piece(model=ModelName.MATHSTRAL, attempt=2, text="one "))
    expect(prose).to_have_text("one ")
    quiet.kill("api")
    expect(page.get_by_text("Connection lost")).to_be_visible()
    events.append(job_id, Piece(model=ModelName.MATHSTRAL, attempt=2, text="two"))
    quiet.start("api")
    expect(prose).to_have_text("one two")
    close(ledger, job_id, TaskType.MATH, "one two")
    events.append(job_id, Done(status=JobState.SUCCEEDED))
    expect(page.get_by_text("succeeded")).to_be_visible()
    eventually(lambda: prose.text_content() == "one two")


def test_the_next_question_is_kept_while_the_last_is_sent(guest: Visitor) -> None:
    page = guest.open()
    page.route(
        "**/v1/jobs", lambda route: (page.get_by_label("Your question").fill("The next"), route.continue_())
    )
    page.get_by_label("Your question").fill("Prove that 11 is prime")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("heading", name="Prove that 11 is prime")).to_be_visible()
    expect(page.get_by_label("Your question")).to_have_value("The next")


def test_an_answer_is_rated_and_the_router_learns_whose_it_was(
    keyholder: Visitor, ledger: Database, operator: tuple[str, str]
) -> None:
    job_id = answered(ledger, "Sum a list", TaskType.MATH, "So.", key_id=operator[0])
    page = keyholder.open(f"#/jobs/{job_id}")
    page.get_by_role("button", name="Good answer").click()
    expect(page.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("It was a question of")).to_have_count(0)
    assert _said(ledger) == ("up", None)
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_role("group", name="It was a question of").get_by_role("button", name="Code").click()
    expect(page.get_by_role("button", name="Code", exact=True)).to_have_attribute("aria-pressed", "true")
    assert _said(ledger) == ("down", "code")
    page.reload()
    expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")


def _said(ledger: Database) -> tuple[str, str | None]:
    (row,) = ledger.fetch("SELECT rating, label FROM job_feedback")
    return row["rating"], row["label"]


def test_parts_that_disagree_are_pointed_out_and_can_be_read_as_one(
    keyholder: Visitor, ledger: Database, operator: tuple[str, str]
) -> None:
    question = "Sum 1 to 10 by a program and by a formula"
    texts = ("By Gauss.\n\nAnswer: 55", "By a loop.\n\nAnswer: 45")
    job_id = insert_job(ledger, question, TaskType.HYBRID, key_id=operator[0])
    document = compose_document(question=question, mathematics=texts[0], implementation=texts[1])
    close(ledger, job_id, TaskType.HYBRID, *texts, response=document)
    page = keyholder.open(f"#/jobs/{job_id}")
    expect(page.locator(".notice.bad")).to_contain_text("The mathematics gives 55, the implementation 45.")
    expect(page.get_by_role("region", name="Codestral")).to_contain_text("By a loop.")
    page.get_by_role("button", name="As one document").click()
    whole = page.get_by_role("region", name="Whole answer")
    expect(whole.get_by_role("heading", name="Implementation")).to_be_visible()
    expect(page.get_by_role("region", name="Codestral")).to_have_count(0)
    page.get_by_role("button", name="As one document").click()
    expect(page.get_by_role("region", name="Codestral")).to_be_visible()
