"""Small functions that a code model is asked to write, each with a program that checks what it wrote."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exercise:
    """`prompt` ends where the body begins; `check` raises unless the function does what the prompt says."""

    prompt: str
    check: str

    def program(self, written: str) -> str:
        """The whole program, of `written` only what still belongs to the function."""
        return f"{self.prompt}{body_of(written)}\n\n{self.check}\n"


def body_of(written: str) -> str:
    """The lines up to the first that is not indented."""
    lines: list[str] = []
    for number, line in enumerate(written.split("\n")):
        if number and line.strip() and not line[0].isspace():
            break
        lines.append(line)
    return "\n".join(lines)


def _exercise(signature: str, says: str, *checks: str) -> Exercise:
    prompt = f'def {signature}:\n    """{says}"""\n'
    return Exercise(prompt, "\n".join(f"assert {check}" for check in checks))


EXERCISES = (
    _exercise("add(a, b)", "Return the sum of a and b.", "add(2, 3) == 5", "add(-1, 1) == 0"),
    _exercise("is_even(n)", "Return whether n is even.", "is_even(4) is True", "is_even(7) is False"),
    _exercise("largest(numbers)", "Return the greatest.", "largest([3, 9, 2]) == 9", "largest([-5]) == -5"),
    _exercise("reverse(text)", "Return text backwards.", "reverse('abc') == 'cba'", "reverse('') == ''"),
    _exercise("factorial(n)", "Return n factorial.", "factorial(0) == 1", "factorial(5) == 120"),
    _exercise(
        "fibonacci(n)",
        "Return the n-th Fibonacci number; the first two are 0 and 1, for n = 0 and n = 1.",
        "fibonacci(0) == 0",
        "fibonacci(1) == 1",
        "fibonacci(10) == 55",
    ),
    _exercise(
        "is_palindrome(text)",
        "Return whether text reads the same backwards.",
        "is_palindrome('level') is True",
        "is_palindrome('ab') is False",
    ),
    _exercise("count_vowels(text)", "Count a, e, i, o and u in text.", "count_vowels('education') == 5"),
    _exercise("square_all(numbers)", "Return a list of all squares.", "square_all([1, -2, 3]) == [1, 4, 9]"),
    _exercise("only_positive(numbers)", "Return the numbers above 0.", "only_positive([3, -1, 0, 2]) == [3, 2]"),
    _exercise("mean(numbers)", "Return the arithmetic mean of numbers.", "mean([1, 2, 3, 6]) == 3"),
    _exercise(
        "gcd(a, b)",
        "Return the greatest common divisor of two positive integers.",
        "gcd(12, 18) == 6",
        "gcd(7, 3) == 1",
    ),
    _exercise(
        "is_prime(n)",
        "Return whether the integer n is prime.",
        "[n for n in range(20) if is_prime(n)] == [2, 3, 5, 7, 11, 13, 17, 19]",
    ),
    _exercise("digits_sum(n)", "Return the sum of the decimal digits of n >= 0.", "digits_sum(905) == 14"),
    _exercise(
        "unique(items)",
        "Return a list of items without repetition, in order.",
        "unique('banana') == list('ban')",
    ),
    _exercise("word_count(text)", "Count the words of text.", "word_count('to be or not') == 4"),
    _exercise("flatten(lists)", "Join a list of lists into one list.", "flatten([[1], [2, 3], []]) == [1, 2, 3]"),
    _exercise(
        "clamp(x, low, high)",
        "Return x, but at least low and at most high.",
        "clamp(5, 0, 3) == 3",
        "clamp(-1, 0, 3) == 0",
        "clamp(2, 0, 3) == 2",
    ),
    _exercise(
        "frequencies(text)",
        "Return a dictionary of how often each character is in text.",
        "frequencies('abca') == {'a': 2, 'b': 1, 'c': 1}",
    ),
    _exercise(
        "merge_sorted(a, b)",
        "Merge two sorted lists into one sorted list.",
        "merge_sorted([1, 4], [2, 3, 9]) == [1, 2, 3, 4, 9]",
        "merge_sorted([], [1]) == [1]",
    ),
)
