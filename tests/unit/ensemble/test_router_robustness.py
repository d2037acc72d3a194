"""Laws of the learned router on prompts of our own: the same in other words, other scripts, other languages."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from core.messages import RouteLabel, TaskType
from core.settings import Settings
from ensemble.router_files import MOST_BYTES, SHIPPED, build_router
from ensemble.router_training.generator import typos
from ensemble.routing.labelled_prompts import parse_rows
from ensemble.routing.labels import GENERAL_CERTAINTY, LABELS, decide
from tests.harness import ROOT
from tests.pace import slowness

ROUTER = build_router(Settings())
LABELLED = ROOT.parent / "shared" / "routing" / "dev.jsonl"
MOST_FLIPS = 0.05
MIB = 2**20

PROMPTS = {
    RouteLabel.MATH: (
        "Show that the square of every odd number leaves remainder 1 when divided by 8.",
        "Evaluate the integral of x * exp(-x) from 0 to infinity.",
        "A jar holds 12 red and 8 blue marbles. Two are drawn together. How probable are two reds?",
        "Find all real solutions of x^4 - 5x^2 + 4 = 0.",
        "Let $G$ be a finite group of prime order. Prove that $G$ is cyclic.",
        "Lena earns $14 an hour and works 6 hours on each of 5 days. She spends a third. How much is left?",
        "What is the sum of the first 50 positive even integers?",
    ),
    RouteLabel.CODE: (
        "Write a Java class that reads a properties file and reloads it when it changes.",
        "Why does my React component render twice when the state changes?",
        "How do I undo a merge in git that I have already pushed?",
        "Write a Python function that groups words by their first letter.",
        "SELECT with a left join returns duplicate rows, how do I fix the query?",
        "Create a Dockerfile for a Flask app with gunicorn.",
        "My C++ program ends with a segmentation fault when I delete a node of the list.",
    ),
    RouteLabel.HYBRID: (
        "Write a Python function that solves the heat equation by implicit finite differences.",
        "Implement Newton's method in C++ and prove its quadratic convergence.",
        "Implement the conjugate gradient method with numpy for a sparse matrix and analyse its convergence.",
        "Write code that integrates an ODE system with an adaptive Runge-Kutta method.",
        "Write a function that finds the eigenvalues of a symmetric matrix by QR iterations.",
    ),
    RouteLabel.OTHER: (
        "Write a short poem about the first snow.",
        "What should I see in Vienna in three days?",
        "Give me five tips for a job interview at a bank.",
        "Who painted the ceiling of the Sistine Chapel?",
        "Suggest a vegetarian dinner for four guests.",
        "Rewrite this e-mail so that it sounds more polite: send me the report now.",
        "Explain the causes of the French revolution to a child.",
    ),
}
ALL = [(prompt, label) for label, prompts in PROMPTS.items() for prompt in prompts]

CHANGES: dict[str, Callable[[str], str]] = {
    "polite": lambda prompt: f"Hello, I would be very grateful if you could help me with this: {prompt}",
    "thanks": lambda prompt: f"{prompt} Thank you so much!",
    "typos": lambda prompt: typos(random.Random(11), prompt),  # noqa: S311 (no secret)
    "lower": str.lower,
    "upper": str.upper,
    "space": lambda prompt: "\n\t " + prompt.replace(" ", "  ") + " \n\n",
    "wrapped": lambda prompt: f"[INST] {prompt} [/INST]",
}

_TALK = """
hello there;hello;hi;hey there;good morning;good night;how are you?;thank you very much;bye bye;ok;who are you?;
tell me a joke;I am bored;what is your name?;hola;bonsoir;Guten Abend;grazie mille;你好;こんにちは;привет;
안녕하세요;مرحبا;😀😀😀;nice weather today;what should I cook?
"""
TALK = [prompt.strip() for prompt in _TALK.split(";")]

SNIPPETS = {
    "Python": "def total(items):\n    return sum(item.price for item in items if item.sold)",
    "JavaScript": "const names = users.filter(u => u.active).map(u => u.name);\nconsole.log(names);",
    "TypeScript": "interface User { id: number; name?: string }\nexport const one = (i: number): User => all[i];",
    "Java": "public class Main {\n  public static void main(String[] args) { System.out.println(args[0]); }\n}",
    "C": "#include <stdio.h>\nint main(void) { char *s = malloc(8); puts(s); return 0; }",
    "C++": "std::vector<std::string> words;\nfor (const auto& w : words) std::cout << w << std::endl;",
    "C#": "var names = users.Where(u => u.Active).Select(u => u.Name).ToList();\nConsole.WriteLine(names.Count);",
    "Go": 'func main() {\n\tif err := run(); err != nil {\n\t\tlog.Fatalf("run: %v", err)\n\t}\n}',
    "Rust": "fn longest<'a>(a: &'a str, b: &'a str) -> &'a str { if a.len() > b.len() { a } else { b } }",
    "Ruby": "class Shop\n  attr_reader :items\n  def names = items.map(&:name)\nend",
    "PHP": "<?php\nforeach ($users as $user) { echo htmlspecialchars($user['name']); }",
    "Kotlin": "data class User(val name: String)\nfun greet(u: User?) = u?.name ?: \"nobody\"",
    "Swift": "guard let url = URL(string: text) else { return nil }\nlet names = users.map { $0.name }",
    "Scala": "case class Item(name: String)\nval names = items.filter(_.name.nonEmpty).map(_.name)",
    "Haskell": "module Main where\nmain :: IO ()\nmain = interact (unlines . reverse . lines)",
    "SQL": "SELECT city, COUNT(*) FROM users WHERE active = 1 GROUP BY city ORDER BY 2 DESC;",
    "Bash": "#!/bin/bash\nfor f in *.log; do gzip \"$f\" && echo \"done $f\"; done",
    "R": "library(dplyr)\nsales %>% group_by(city) %>% summarise(total = n())",
    "Lua": "local function each(t, f)\n  for k, v in pairs(t) do f(k, v) end\nend",
    "Perl": "my %seen;\nwhile (my $line = <STDIN>) { chomp $line; print \"$line\\n\" unless $seen{$line}++; }",
}  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_prompts_of_our_own_are_taken_for_what_they_are(label: RouteLabel) -> None:
    assert [prompt for prompt in PROMPTS[label] if ROUTER.route(prompt).label is not label] == []


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_in_other_words_goes_to_the_same_models(change: str) -> None:
    flipped = [
        prompt
        for prompt, _ in ALL
        if ROUTER.route(prompt).task_type is not ROUTER.route(CHANGES[change](prompt)).task_type
    ]
    assert len(flipped) <= MOST_FLIPS * len(ALL), flipped


@pytest.mark.parametrize("model", ["mathstral", "codestral"])
def test_small_talk_goes_to_the_one_model_of_the_setting_and_never_to_two(model: str) -> None:
    router = build_router(Settings(MATHCODE_GENERAL_MODEL=model))
    general = {"mathstral": TaskType.MATH, "codestral": TaskType.CODE}[model]
    routes = [router.route(prompt) for prompt in TALK]
    assert [p for p, route in zip(TALK, routes, strict=True) if route.task_type is TaskType.HYBRID] == []
    elsewhere = [p for p, route in zip(TALK, routes, strict=True) if route.task_type is not general]
    assert len(elsewhere) <= 0.1 * len(TALK), elsewhere
    assert routes[0].task_type is general


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("general", [TaskType.MATH, TaskType.CODE])
def test_what_is_likeliest_general_never_goes_to_two(threshold: float, general: TaskType) -> None:
    for other in (0.26, 0.5, 0.84, 0.85, 0.99):
        rest = (1 - other) / 3
        chances = dict.fromkeys(LABELS, rest) | {RouteLabel.OTHER: other}
        decision = decide(chances, threshold=threshold, general=general)
        assert decision.task_type is not TaskType.HYBRID
        assert decision.why
        assert other < GENERAL_CERTAINTY or decision.task_type is general


@pytest.mark.parametrize("language", SNIPPETS)
def test_code_in_any_common_language_is_recognised(language: str) -> None:
    assert ROUTER.route(f"What does this do?\n\n{SNIPPETS[language]}").label is RouteLabel.CODE
    assert ROUTER.route(SNIPPETS[language]).task_type is TaskType.CODE


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("Beweise, dass die Wurzel aus 2 irrational ist.", RouteLabel.MATH),
        ("Résoudre l'équation x^2 - 3x + 2 = 0.", RouteLabel.MATH),
        ("证明根号2是无理数", RouteLabel.MATH),
        ("Докажите, что произведение нечётных чисел нечётно.", RouteLabel.MATH),
        ("Escribe una función en Python que ordene una lista de nombres.", RouteLabel.CODE),
        ("用Python写一个函数,读取文件并统计单词", RouteLabel.CODE),
        ("Напиши функцию на JavaScript, которая сортирует строки", RouteLabel.CODE),
        ("Scrivi una poesia sul mare.", RouteLabel.OTHER),
        ("海についての詩を書いてください。", RouteLabel.OTHER),
    ],
)
def test_other_languages_are_understood_too(prompt: str, label: RouteLabel) -> None:
    assert ROUTER.route(prompt).label is label


@pytest.mark.parametrize(
    "prompt",
    [
        "x" * MIB,
        "prove that " * (MIB // 11),
        "\0" * MIB,
        "((" * (MIB // 2),
        "$a$ " * (MIB // 4),
        "```\n" * (MIB // 4),
        "😀" * (MIB // 4),
        "用Python Привет مرحبا " * (MIB // 22),
        "a" * 500 + " " * MIB + "select " * 1000,
        "at a.b(" * (MIB // 7),
        "\n" * MIB + "?",
    ],
    ids=[
        "one word",
        "words",
        "zeros",
        "brackets",
        "dollars",
        "fences",
        "emoji",
        "scripts",
        "gap",
        "traces",
        "lines",
    ],
)
def test_a_prompt_of_a_mebibyte_costs_no_more_than_what_is_read_of_it(prompt: str) -> None:
    start = time.thread_time()
    assert not ROUTER.route(prompt).is_fallback
    assert time.thread_time() - start < 0.1 * slowness()


def test_bytes_of_a_program_are_routed_with_reasons() -> None:
    binary = SHIPPED.read_bytes()[:200_000]
    for prompt in (binary.decode("latin-1"), binary.decode(errors="replace"), binary.decode("utf-16", "replace")):
        route = ROUTER.route(prompt)
        assert route.reasons
        assert not route.is_fallback


def test_prompts_of_others_are_as_steady() -> None:
    """On every tenth of the labelled prompts, where they lie beside the repository."""
    if not LABELLED.exists():
        pytest.skip("the labelled prompts are not here")
    with LABELLED.open(encoding="utf-8") as lines:
        prompts = [row.prompt for row in parse_rows(lines)][::10]
    before = [ROUTER.route(prompt).task_type for prompt in prompts]
    for name, change in CHANGES.items():
        after = [ROUTER.route(change(prompt)).task_type for prompt in prompts]
        flipped = sum(old is not new for old, new in zip(before, after, strict=True))
        assert flipped <= MOST_FLIPS * len(prompts), name


def test_time_for_five_hundred_characters() -> None:
    """The documents say what is measured; here only that it is not ten times that."""
    texts = [(f"{prompt} " * 20)[:500] for prompt, _ in ALL] * 4
    spent = []
    for text in texts:
        start = time.thread_time()
        ROUTER.route(text)
        spent.append(time.thread_time() - start)
    spent.sort()
    assert spent[len(spent) // 2] < 0.001 * slowness()
    assert spent[round(0.99 * (len(spent) - 1))] < 0.004 * slowness()


def test_the_weights_that_are_shipped_are_small_and_plain() -> None:
    content = SHIPPED.read_bytes()
    assert len(content) < MOST_BYTES
    assert content[8:9] == b"{"  # a safetensors header: JSON, then numbers
